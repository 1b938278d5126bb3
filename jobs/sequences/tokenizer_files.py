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
from model_registry.model_folder import DESCRIPTION_FILE, EXTRA_ASSETS, VOCABULARY_FILE

# Signatures of the SavedModel: of token ids, and of app ids as they are.
SCORE_TOKEN_IDS, EXPLAIN_TOKEN_IDS = "score_token_ids", "explain_token_ids"
SCORE_APP_IDS, EXPLAIN_APP_IDS = "score_app_ids", "explain_app_ids"


class UnusableModelError(DataError):
    """The folder holds the pinned bytes, but not a model that scoring can call."""


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the files below the model's `folder`."""
    vocabulary = tokenizer.vocabulary
    description = {
        "max_history": tokenizer.max_history,
        "reads_sessions": tokenizer.reads_sessions,
        "vocabulary_size": vocabulary.size,
        "pad_token_id": PAD_TOKEN_ID,
        "unknown_token_id": UNKNOWN_TOKEN_ID,
    }
    (folder / EXTRA_ASSETS).mkdir()
    (folder / VOCABULARY_FILE).write_bytes("".join(f"{app}\n" for app in vocabulary.apps).encode())
    (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=2) + "\n")


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read what `write_tokenizer` wrote below the model's `folder`.

    Raises:
        UnusableModelError: the vocabulary or the description is missing, or one contradicts the other.
    """
    vocabulary = read_vocabulary(folder / VOCABULARY_FILE)
    description = read_description(folder / DESCRIPTION_FILE)
    if vocabulary.size != description["vocabulary_size"]:
        raise UnusableModelError(
            f"expected {description['vocabulary_size']} tokens as {DESCRIPTION_FILE} says, "
            f"found {vocabulary.size} with the apps of {VOCABULARY_FILE}; train the model again"
        )
    return Tokenizer(vocabulary, description["max_history"], bool(description["reads_sessions"]))


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
        raise UnusableModelError(
            f"the model's folder has no {path.name} below {EXTRA_ASSETS}: train the model again, "
            "its export was not finished"
        ) from error
