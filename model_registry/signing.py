"""Signatures of model folders: made where versions are promoted, checked wherever a night loads a model.

In   the folder risk_encoder-v3-0123456789ab/ and a key on the elliptic curve P-256
Out  risk_encoder-v3-0123456789ab.sig beside it: the SHA-256 of each file and the folder's name, signed
     (OpenSSF Model Signing 1.0: an in-toto statement in a Sigstore bundle)

A public key travels as one line, the middle of its PEM file: MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE…
"""

import base64
import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from model_registry.errors import SignatureRefusedError, SigningKeyError, UnsignedModelError
from model_registry.hashing import file_sha256, relative_files

if TYPE_CHECKING:
    from model_signing import hashing

SUFFIX = ".sig"  # a model's own name has no dot
PEM = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n"
LINE = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def signature_beside(folder: Path) -> Path:
    """Path of a folder's signature: SparkFiles, as HDFS, keeps the two side by side."""
    return folder.with_name(folder.name + SUFFIX)


def make_key_pair(private_key: Path, public_key: Path) -> None:
    """Write a new pair as PEM files; the private one can be read by its owner alone.

    Raises:
        SigningKeyError: there is such a file already.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(private_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise SigningKeyError(
            f"no file yet at {private_key}",
            "one",
            "keep it: models signed by it would no longer be scored; to replace it, move it away first",
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
    write_public_key(private_key, public_key)


def write_public_key(private_key: Path, public_key: Path) -> None:
    """Write the public half of a private key's file."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
    public_key.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def read_public_key(path: Path) -> str:
    """Read a PEM file of a public key as one line.

    Raises:
        SigningKeyError: there is no such file, or it holds something else.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _no_key(path, "public", f"{type(error).__name__}: {error}") from error
    line = "".join(lines[1:-1])
    if not LINE.fullmatch(line) or [lines[0], lines[-1]] != PEM.splitlines()[::2]:
        raise _no_key(path, "public", "something else")
    return line


def sign_folder(folder: Path, private_key: Path) -> Path:
    """Sign the names and bytes of all files below `folder`, and its own name; return the signature's path.

    Raises:
        SigningKeyError: `private_key` is no file with a private key of a supported curve.
        InvalidModelFolderError: no folder, no file in it, or something that is no plain file.
    """
    from model_signing import signing

    relative_files(folder)
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
    except (OSError, ValueError, TypeError) as error:
        raise _no_key(private_key, "private", f"{type(error).__name__}: {error}") from error
    signer.set_hashing_config(_all_files()).sign(folder, signature_beside(folder))
    return signature_beside(folder)


def verify_signature(folder: Path, public_key: str) -> None:
    """Check that the signature beside `folder` is by the owner of `public_key`, for just this folder.

    Args:
        public_key: as `read_public_key` gives it.

    Raises:
        UnsignedModelError: there is no signature.
        SignatureRefusedError: it is by another key or damaged, or for other names or bytes; names each file.
        InvalidModelFolderError: the folder holds a link or something else that is no plain file.
    """
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    relative_files(folder)
    signature = signature_beside(folder)
    if not signature.is_file():
        raise unsigned(str(signature))
    with TemporaryDirectory(prefix="public_key_") as scratch:
        key = Path(scratch, "key.pem")
        key.write_text(PEM.format(public_key))
        try:
            verifier = verifying.Config().use_elliptic_key_verifier(public_key=key)
            statement = _read_statement(signature)
            verifier.set_hashing_config(_all_files()).verify(folder, signature)
            name = statement["subject"][0]["name"]
        except InvalidSignature as error:
            raise _refused(folder, "a signature of other content or by another key") from error
        # What a damaged file makes the parsers raise.
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            is_by_key = str(error).startswith(
                "Signature mismatch"
            )  # then the library names digests, as bytes
            found = _differences(folder, statement) if is_by_key else f"{type(error).__name__}: {error}"
            raise _refused(folder, found) from error
    if name != folder.name:
        raise _refused(folder, f"the signature of {name}")


def unsigned(signature: str) -> UnsignedModelError:
    """The error for a model without a signature at the place where one belongs."""
    return UnsignedModelError(
        f"the signature {signature}",
        "none: nobody has promoted this version",
        "compare it, then python -m model_registry promote, or score with a version that was promoted",
    )


def _all_files() -> "hashing.Config":
    from model_signing import hashing

    # By default files named .git… are left out.
    return hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)


def _read_statement(signature: Path) -> Any:
    """What was signed: the folder's name as `subject`, names and hashes of files in `predicate`."""
    bundle = json.loads(signature.read_text())
    return json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))


def _differences(folder: Path, statement: Any) -> str:
    """Name the files that are not as they were signed."""
    signed = {one["name"]: one["digest"] for one in statement["predicate"]["resources"]}
    found = {name: file_sha256(folder / name) for name in relative_files(folder)}
    kinds = {
        "files that were not signed": found.keys() - signed.keys(),
        "missing files": signed.keys() - found.keys(),
        "other bytes": {name for name in found.keys() & signed.keys() if found[name] != signed[name]},
    }
    return "; ".join(f"{kind}: {', '.join(sorted(names))}" for kind, names in kinds.items() if names)


def _refused(folder: Path, found: str) -> SignatureRefusedError:
    return SignatureRefusedError(
        f"{folder} as it was signed at its promotion, by the owner of the public key",
        found,
        "do not use this copy; find out who changed it, then push and promote the version again",
    )


def _no_key(path: Path, kind: str, found: str) -> SigningKeyError:
    return SigningKeyError(
        f"a {kind} key on the curve P-256 as a PEM file at {path}",
        found,
        "make a pair by `python -m model_registry new-key`, or name the right file by RISK_MODEL_"
        + ("SIGNING_KEY" if kind == "private" else "PUBLIC_KEY"),
    )
