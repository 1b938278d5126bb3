"""A tokenizer in files beside a SavedModel, for engines that map app ids to tokens themselves.

In   a tokenizer
Out  assets.extra/vocabulary.txt   one app id per line, the first is token 3
     assets.extra/model.json       {"max_history": 2048, "reads_sessions": true, "vocabulary_size": 4003, …}
"""

import json
from pathlib import Path

from jobs.encoder.tokens import PAD_TOKEN_ID, UNKNOWN_TOKEN_ID
from jobs.errors import DataError
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary

EXTRA_ASSETS = "assets.extra"  # TensorFlow's own name for files that travel with a SavedModel

VOCABULARY_FILE = "assets.extra/vocabulary.txt"
DESCRIPTION_FILE = "assets.extra/model.json"


class UnusableModelError(DataError):
    """The folder holds the pinned bytes, but not a model that scoring can call."""


def read_vocabulary(path: Path) -> Vocabulary:
    """Read one app id per line, in token order."""
    # Not splitlines(), which also cuts at characters that an app id may hold, such as U+2028.
    lines = read_text(path).removesuffix("\n").split("\n")
    return Vocabulary(tuple(line for line in lines if line))


def read_description(path: Path) -> dict[str, int]:
    """Read the sizes that the model was built with, and whether it reads sessions."""
    try:
        description = json.loads(read_text(path))
        return {key: int(description[key]) for key in ("vocabulary_size", "max_history", "reads_sessions")}
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableModelError(f"cannot use {DESCRIPTION_FILE}: {type(error).__name__}: {error}") from error


def read_text(path: Path) -> str:
    """Read a small file of the model's folder as UTF-8, with its line ends as they are."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError as error:
        raise UnusableModelError(f"the model's folder has no {path.name} below assets.extra") from error


def write_extra_assets(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the vocabulary and the sizes to files, for engines without TensorFlow strings."""
    vocabulary = tokenizer.vocabulary
    folder.mkdir()
    (folder / "vocabulary.txt").write_bytes("".join(f"{app}\n" for app in vocabulary.apps).encode())
    sizes = {
        "max_history": tokenizer.max_history,
        "reads_sessions": tokenizer.reads_sessions,
        "vocabulary_size": vocabulary.size,
        "pad_token_id": PAD_TOKEN_ID,
        "unknown_token_id": UNKNOWN_TOKEN_ID,
    }
    (folder / "model.json").write_text(json.dumps(sizes, indent=2) + "\n")
