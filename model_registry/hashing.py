"""One SHA-256 for a whole folder, the same wherever the folder lies.

In   saved_model/ with saved_model.pb, variables/…, assets.extra/…
Out  sha256 of the manifest, whose rows are `<sha256 of the file>  ./variables/variables.index`

Anyone can check it without this code:

    cd DIR && find . -type f | LC_ALL=C sort | xargs -d'\\n' sha256sum | sha256sum

Standard library only: executors import this module before they let TensorFlow see a model.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from model_registry.errors import HashMismatchError, InvalidModelFolderError

CHUNK_BYTES = 1 << 20


def folder_sha256(folder: str | Path) -> str:
    """Hash every file below `folder`: names and bytes, not times, owners or empty folders.

    Raises:
        InvalidModelFolderError: no folder, no file in it, or something that is no plain file.
    """
    return manifest_sha256({path: file_sha256(Path(folder, path)) for path in relative_files(folder)})


def verify_folder(folder: str | Path, sha256: str) -> None:
    """Raise HashMismatchError unless `folder` hashes to `sha256`."""
    found = folder_sha256(folder)
    if found != sha256:
        raise hash_mismatch(str(folder), expected=sha256, found=found)


def hash_mismatch(place: str, expected: str, found: str) -> HashMismatchError:
    """The error for a folder at `place` that holds other bytes than were registered."""
    return HashMismatchError(
        f"SHA-256 {expected} for {place}",
        found,
        "do not use this copy; remove it, then push or pull the version again, or register a new run",
    )


def manifest_sha256(file_hashes: Mapping[str, str]) -> str:
    """Join `relative/posix/path -> sha256` pairs, in any order, into the folder's hash."""
    manifest = hashlib.sha256()
    for path in sorted(file_hashes, key=str.encode):  # by bytes, as LC_ALL=C sort does
        manifest.update(f"{file_hashes[path]}  ./{path}\n".encode())
    return manifest.hexdigest()


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return chunks_sha256(iter(lambda: stream.read(CHUNK_BYTES), b""))


def chunks_sha256(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def relative_files(folder: str | Path) -> list[str]:
    """Posix paths of all files below `folder`, relative to it.

    Raises:
        InvalidModelFolderError: no folder, no file in it, or something that is no plain file.
    """
    if not os.path.isdir(folder):
        raise _invalid(folder, "no folder")
    files = [Path(path).relative_to(folder).as_posix() for path in _walk(folder)]
    if not files:
        raise _invalid(folder, "no file at all")
    return files


def _walk(folder: str | Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(parent, name)
            # A link would be followed by TensorFlow but not by the hash.
            if os.path.islink(path) or not (os.path.isfile(path) or os.path.isdir(path)):
                raise _invalid(folder, f"{path!r}, which is a link or a device")
            # sha256sum escapes these, so its manifest would differ from ours.
            if "\\" in name or not name.isprintable():
                raise _invalid(folder, f"the name {name!r} with a backslash or control character")
        yield from (os.path.join(parent, name) for name in names)


def _invalid(folder: str | Path, found: str) -> InvalidModelFolderError:
    return InvalidModelFolderError(
        f"a SavedModel folder of plain files at {folder}",
        found,
        "point to the folder that holds saved_model.pb, or export the model again",
    )
