"""The hash of a folder: it depends on names and bytes alone, and `sha256sum` gives the same."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from model_registry.errors import HashMismatchError, InvalidModelFolderError
from model_registry.hashing import folder_sha256, manifest_sha256, verify_folder

SHELL_HASH = r"find . -type f | LC_ALL=C sort | xargs -d'\n' sha256sum | sha256sum"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(
        tmp_path / "model",
        {
            # "." sorts before "/" as a byte, so a walk in folder order would be wrong.
            "variables/variables.index": b"index",
            "variables.txt": b"text",
            "Upper": b"",
            "größe 1": b"\xff\x00",
        },
    )


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_the_shell_command_of_the_docstring_gives_the_same_hash(folder):
    printed = subprocess.run(["bash", "-c", SHELL_HASH], cwd=folder, capture_output=True, check=True).stdout
    assert folder_sha256(folder) == printed.decode().split()[0]


def test_copies_hash_alike_whatever_their_place_order_and_empty_folders(folder, tmp_path):
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    copy = write(tmp_path / "elsewhere", dict(reversed(files.items())))
    (copy / "assets").mkdir()
    assert folder_sha256(copy) == folder_sha256(folder)


@pytest.mark.parametrize("change", ["byte", "name", "extra file", "missing file"])
def test_any_change_of_names_or_bytes_changes_the_hash(folder, change):
    before = folder_sha256(folder)
    file = folder / "variables.txt"
    match change:
        case "byte":
            file.write_bytes(b"texT")
        case "name":
            file.rename(folder / "variables.text")
        case "extra file":
            (folder / "empty").touch()
        case "missing file":
            file.unlink()
    with pytest.raises(HashMismatchError, match=before):
        verify_folder(folder, before)


def test_an_unchanged_folder_verifies(folder):
    verify_folder(folder, folder_sha256(folder))


def test_the_manifest_does_not_depend_on_the_order_of_its_files():
    assert manifest_sha256({"a": "1", "b": "2"}) == manifest_sha256({"b": "2", "a": "1"})


def test_a_link_is_refused_since_its_target_may_change_unseen(folder, tmp_path):
    (tmp_path / "outside").write_text("outside")
    (folder / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidModelFolderError, match="link"):
        folder_sha256(folder)


@pytest.mark.parametrize("name", ["back\\slash", "new\nline"])
def test_a_name_that_sha256sum_would_escape_is_refused(folder, name):
    (folder / name).touch()
    with pytest.raises(InvalidModelFolderError, match="backslash or control character"):
        folder_sha256(folder)


def test_a_folder_without_files_is_no_model(tmp_path):
    (tmp_path / "variables").mkdir()
    with pytest.raises(InvalidModelFolderError, match="no file at all"):
        folder_sha256(tmp_path)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(InvalidModelFolderError, match="saved_model"):
        folder_sha256(tmp_path / "saved_model")


def test_an_error_survives_the_way_from_an_executor():
    error = HashMismatchError("hash a", "hash b", "push again")
    assert str(pickle.loads(pickle.dumps(error))) == "expected hash a; found hash b. To do: push again."


def test_executors_import_hashing_without_any_heavy_library():
    code = (
        "import sys, model_registry.hashing, model_registry.versions;"
        "print({'mlflow', 'hdfs', 'tensorflow', 'numpy', 'requests'} & set(sys.modules))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, env=dict(os.environ)
    ).stdout
    assert printed.strip() == "set()"
