"""The reason why a Python worker failed, taken from Spark's report.

In   the report: two stack traces around one line   jobs.sequences.batching.TokenBudgetError: a sequence of …
Out  WorkerRefusedError, where a retry cannot help; WorkerFailedError, where it may
"""

import re

from jobs.errors import DataError
from jobs.scoring.engine import EmptySequenceError
from jobs.sequences.batching import TokenBudgetError
from jobs.sequences.tokenizer_files import UnusableModelError
from model_registry.errors import (
    HashMismatchError,
    InvalidModelFolderError,
    SignatureRefusedError,
    UnsignedModelError,
)

# Errors that every worker would raise: a retry cannot help. Spark has already tried the task several times.
REFUSALS = (
    EmptySequenceError,
    HashMismatchError,
    InvalidModelFolderError,
    SignatureRefusedError,
    TokenBudgetError,
    UnsignedModelError,
    UnusableModelError,
)
WORKER_ERROR = re.compile(r"^(?:\w+\.)*(?P<name>\w+): .+$", re.MULTILINE)  # last line of a Python traceback


class WorkerRefusedError(DataError):
    """The Python workers refused the model or the rows."""


class WorkerFailedError(Exception):
    """A Python worker failed for a reason that may pass."""


def named_worker_error(report: str) -> WorkerRefusedError | WorkerFailedError:
    """Take the reason from Spark's report, in which two stack traces surround it."""
    python_part = report.split("JVM stacktrace:")[0]
    reasons = list(WORKER_ERROR.finditer(python_part))
    if not reasons:
        return WorkerFailedError(python_part)
    refused = reasons[-1]["name"] in {refusal.__name__ for refusal in REFUSALS}
    return (WorkerRefusedError if refused else WorkerFailedError)(reasons[-1][0])
