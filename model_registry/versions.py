"""The frozen values that join a model's identity (MLflow) with its bytes (HDFS).

ModelVersion  name=risk_encoder version=3 sha256=ab12…
PinnedModel   the same with uri=hdfs://127.0.0.1:8020/models/risk_encoder/risk_encoder-v3-ab12…

Standard library only: executors import this module.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Self

from model_registry.errors import InvalidModelVersionError

# Characters that MLflow, HDFS and SparkFiles all accept without quoting.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ModelVersion:
    """One registered version.

    Raises:
        InvalidModelVersionError: a field has a value that no version can have.
    """

    name: str
    version: int  # from 1, given by MLflow
    sha256: str  # of the SavedModel folder, see hashing.py

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise _invalid("a name of letters, digits, '_' and '-', at most 100", repr(self.name))
        if type(self.version) is not int or self.version < 1:
            raise _invalid("a version number from 1", repr(self.version))
        if not isinstance(self.sha256, str) or not SHA256.fullmatch(self.sha256):
            raise _invalid("a SHA-256 of 64 lower-case hexadecimal digits", repr(self.sha256))

    @property
    def dirname(self) -> str:
        """Unique per version and content: SparkFiles finds a directory by basename alone."""
        return f"{self.name}-v{self.version}-{self.sha256[:12]}"


@dataclass(frozen=True)
class PinnedModel(ModelVersion):
    """A version with its bytes in place; a nightly run resolves it once and passes it to its jobs."""

    uri: str  # what `sc.addFile(uri, recursive=True)` takes; its last part is `dirname`

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.uri, str) or self.uri.rsplit("/", 1)[-1] != self.dirname:
            raise _invalid(f"a uri that ends in /{self.dirname}", repr(self.uri))

    def to_json(self) -> str:
        """One line, keys name, version, sha256, uri."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            InvalidModelVersionError: not JSON, other keys, or a value that no version can have.
        """
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise _invalid("a pinned model as JSON", f"{text!r} ({error})") from error
        keys = ["name", "version", "sha256", "uri"]
        if not isinstance(fields, dict) or sorted(fields) != sorted(keys):
            raise _invalid(f"a JSON object with keys {', '.join(keys)}", text)
        return cls(**fields)


def _invalid(expected: str, found: str) -> InvalidModelVersionError:
    return InvalidModelVersionError(
        expected, found, "pass on what `python -m model_registry pin` printed, unchanged"
    )
