"""A model's folder, signed by a key that is made for it."""

from pathlib import Path

from model_registry.signing import make_key_pair, read_public_key, sign_folder


def sign(folder: Path) -> str:
    """Sign the folder and return the public key, as one line."""
    private_key, public_key = (folder.with_name(f"{folder.name}.{kind}") for kind in ("private", "public"))
    make_key_pair(private_key, public_key)
    sign_folder(folder, private_key)
    return read_public_key(public_key)
