"""A model's folder is used only as it was signed: by which key, with which files, under which name."""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_registry.errors import (
    InvalidModelFolderError,
    SignatureRefusedError,
    SigningKeyError,
    UnsignedModelError,
)
from model_registry.signing import (
    make_key_pair,
    read_public_key,
    sign_folder,
    signature_beside,
    verify_signature,
    write_public_key,
)

NAME = "risk_encoder-v3-0123456789ab"


@pytest.fixture
def keys(tmp_path) -> tuple[Path, Path]:
    private_key, public_key = tmp_path / "model-signing.key", tmp_path / "model-signing.pub"
    make_key_pair(private_key, public_key)
    return private_key, public_key


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / NAME
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/vocabulary.txt", ".gitignore"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


@pytest.fixture
def signed(folder, keys) -> Path:
    sign_folder(folder, keys[0])
    return folder


def test_a_signed_folder_passes(signed, keys):
    verify_signature(signed, read_public_key(keys[1]))


def test_only_the_owner_may_read_the_private_key(keys):
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600


def test_a_lost_public_key_is_made_again_from_the_private_one(keys):
    before = keys[1].read_text()
    keys[1].unlink()
    write_public_key(*keys)
    assert keys[1].read_text() == before


def test_a_key_is_not_overwritten(keys):
    before = keys[0].read_bytes()
    with pytest.raises(SigningKeyError, match="keep it"):
        make_key_pair(*keys)
    assert keys[0].read_bytes() == before


def add(folder: Path) -> None:
    (folder / "variables" / "more").write_text("x")


def add_what_git_ignores(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "more").write_text("x")


def remove(folder: Path) -> None:
    (folder / "assets.extra" / "vocabulary.txt").unlink()


def change(folder: Path) -> None:
    (folder / ".gitignore").write_text("other")


def swap(folder: Path) -> None:
    first, second = folder / "saved_model.pb", folder / "variables" / "variables.index"
    texts = first.read_text(), second.read_text()
    first.write_text(texts[1])
    second.write_text(texts[0])


def rename(folder: Path) -> None:
    (folder / "saved_model.pb").rename(folder / "saved_model.pbtxt")


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (add, "files that were not signed: variables/more"),
        (add_what_git_ignores, "files that were not signed: .git/more"),
        (remove, "missing files: assets.extra/vocabulary.txt"),
        (change, "other bytes: .gitignore"),
        (swap, "other bytes: saved_model.pb, variables/variables.index"),
        (rename, "files that were not signed: saved_model.pbtxt; missing files: saved_model.pb"),
    ],
)
def test_any_change_of_the_files_is_refused_by_their_names(
    signed: Path, keys: tuple[Path, Path], alter: Callable[[Path], None], named: str
) -> None:
    alter(signed)
    with pytest.raises(SignatureRefusedError, match=f"found {re.escape(named)}. To do"):
        verify_signature(signed, read_public_key(keys[1]))


def test_a_link_is_refused_by_its_name(signed, keys, tmp_path):
    file = signed / "saved_model.pb"
    shutil.copy(file, tmp_path / "elsewhere")
    file.unlink()
    os.symlink(tmp_path / "elsewhere", file)
    with pytest.raises(InvalidModelFolderError, match=r"saved_model\.pb"):
        verify_signature(signed, read_public_key(keys[1]))


def test_an_unsigned_folder_is_refused_and_says_who_signs(folder, keys):
    with pytest.raises(UnsignedModelError, match=rf"{NAME}\.sig; found none.*promote"):
        verify_signature(folder, read_public_key(keys[1]))


def test_a_signature_by_another_key_is_refused(signed, tmp_path):
    make_key_pair(tmp_path / "other.key", tmp_path / "other.pub")
    with pytest.raises(SignatureRefusedError, match="Key mismatch"):
        verify_signature(signed, read_public_key(tmp_path / "other.pub"))


def test_a_signature_by_another_key_that_claims_to_be_by_this_one_is_refused(signed, keys, tmp_path):
    make_key_pair(tmp_path / "other.key", tmp_path / "other.pub")
    hint = json.loads(signature_beside(signed).read_text())["verificationMaterial"]
    sign_folder(signed, tmp_path / "other.key")
    forged = json.loads(signature_beside(signed).read_text()) | {"verificationMaterial": hint}
    signature_beside(signed).write_text(json.dumps(forged))
    with pytest.raises(SignatureRefusedError, match="by another key"):
        verify_signature(signed, read_public_key(keys[1]))


def test_the_signature_of_one_version_does_not_stand_for_another_of_the_same_bytes(signed, keys):
    other = signed.with_name("risk_encoder-v4-0123456789ab")
    shutil.copytree(signed, other)
    shutil.copy(signature_beside(signed), signature_beside(other))
    with pytest.raises(SignatureRefusedError, match=f"found the signature of {NAME}"):
        verify_signature(other, read_public_key(keys[1]))


@pytest.fixture
def sound(signed) -> bytes:
    """The signature before anything is done to it."""
    return signature_beside(signed).read_bytes()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), removed=st.integers(1, 40), added=st.binary(max_size=3))
def test_a_damaged_signature_is_refused_by_name(signed, sound, keys, place, removed, added):
    start = int(place * len(sound))
    signature_beside(signed).write_bytes(sound[:start] + added + sound[start + removed :])
    try:
        verify_signature(signed, read_public_key(keys[1]))
    except SignatureRefusedError:
        return
    # It says the same in other bytes, or differs in what nothing is decided by.
    before, now = (json.loads(text) for text in (sound, signature_beside(signed).read_text()))
    assert now["dsseEnvelope"]["payload"].rstrip("=") == before["dsseEnvelope"]["payload"].rstrip("=")


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b"\xff", b'{"dsseEnvelope": 3}'])
def test_a_file_that_is_no_signature_is_refused(signed, keys, text):
    signature_beside(signed).write_bytes(text)
    with pytest.raises(SignatureRefusedError):
        verify_signature(signed, read_public_key(keys[1]))


@pytest.mark.parametrize(
    "text", [None, "", "MFkw", "-----BEGIN PUBLIC KEY-----\n?\n-----END PUBLIC KEY-----\n"]
)
def test_a_file_that_is_no_public_key_is_refused_with_its_path(tmp_path, text):
    path = tmp_path / "key.pub"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SigningKeyError, match=rf"{path}.*new-key"):
        read_public_key(path)


def test_a_private_key_is_not_taken_for_a_public_one(keys):
    with pytest.raises(SigningKeyError):
        read_public_key(keys[0])


@pytest.mark.parametrize("text", [None, "", "no key"])
def test_without_a_private_key_nothing_is_signed(folder, tmp_path, text):
    path = tmp_path / "private.key"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SigningKeyError, match=str(path)):
        sign_folder(folder, path)
    assert not signature_beside(folder).exists()
