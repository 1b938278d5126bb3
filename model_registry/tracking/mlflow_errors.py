"""Named errors for MLflow's refusals and outages.

MLflow's own HTTP client already retries dropped connections, so there are no retries here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from mlflow.exceptions import MlflowException

from model_registry.errors import (
    MlflowDownError,
    ModelRegistryError,
    PermissionDeniedError,
    RemoteRequestError,
)

# MLflow's default of 7 retries takes four minutes to say that the server is down; 2 take four seconds.
MAX_RETRIES = "2"


def fail_within_seconds() -> None:
    """Shorten MLflow's own retries in this process, unless the environment already sets them."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", MAX_RETRIES)


@contextmanager
def named_mlflow_errors(doing: str, uri: str, missing: ModelRegistryError | None = None) -> Iterator[None]:
    """Turn MLflow's errors into a ModelRegistryError: `missing` if the thing does not exist there."""
    try:
        yield
    except MlflowException as error:
        if missing is not None and is_missing(error):
            raise missing from error
        raise named_error(error, doing, uri) from error
    except requests.RequestException as error:
        raise _down(f"{type(error).__name__}: {error}", doing, uri) from error


def is_missing(error: MlflowException) -> bool:
    if error.error_code == "RESOURCE_DOES_NOT_EXIST":
        return True
    # A missing alias of an existing model is answered as a bad parameter (MLflow 3.17).
    return "alias" in error.message and "not found" in error.message


def named_error(error: MlflowException, doing: str, uri: str) -> ModelRegistryError:
    """Choose the error by MLflow's error code and HTTP status."""
    reason = f"{error.error_code}: {' '.join(error.message.split())}"
    status = error.get_http_status_code()  # type: ignore[no-untyped-call]
    if status in (401, 403):
        return PermissionDeniedError(
            f"permission to {doing} at {uri}", reason, "set MLflow credentials that may do this"
        )
    if status >= 500:
        return _down(reason, doing, uri)
    return RemoteRequestError(
        f"MLflow at {uri} to {doing}", reason, "check that this is an MLflow server's address, and its log"
    )


def _down(found: str, doing: str, uri: str) -> MlflowDownError:
    return MlflowDownError(
        f"the MLflow server at {uri} to {doing}",
        found,
        "start the server, read its log, or correct its address, then repeat",
    )
