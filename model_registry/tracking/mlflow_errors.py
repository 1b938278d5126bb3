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

# MLflow's own defaults, 7 retries and 120 s, take four minutes to say that the server is down, and a quarter
# of an hour to say that it does not answer. These take four seconds, and a minute.
LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

TOO_MANY_REQUESTS, REQUEST_TIMEOUT = 429, 408


def fail_within_a_minute() -> None:
    """Shorten MLflow's own retries and time-out in this process, unless the environment already sets them."""
    for name, value in LIMITS.items():
        os.environ.setdefault(name, value)


@contextmanager
def named_mlflow_errors(doing: str, uri: str, missing: ModelRegistryError | None = None) -> Iterator[None]:
    """Turn MLflow's errors into a ModelRegistryError: `missing` if the thing does not exist there."""
    try:
        yield
    except MlflowException as error:
        if missing is not None and is_missing(error):
            raise missing from error
        raise named_error(error, doing, uri) from error
    except requests.HTTPError as error:  # the answer to an artifact's upload or download
        status = 500 if error.response is None else error.response.status_code
        raise _choose(status, str(error), doing, uri) from error
    except requests.RequestException as error:
        raise _down(f"{type(error).__name__}: {error}", doing, uri) from error


def is_missing(error: MlflowException) -> bool:
    if error.error_code == "RESOURCE_DOES_NOT_EXIST":
        return True
    # A missing alias of an existing model is answered as a bad parameter (MLflow 3.17).
    return "alias" in error.message and "not found" in error.message


def named_error(error: MlflowException, doing: str, uri: str) -> ModelRegistryError:
    """Choose the error by MLflow's error code and HTTP status."""
    reason = f"{error.error_code}: {error.message}"
    status = error.get_http_status_code()
    return _choose(status, reason, doing, uri)


def _choose(status: int, reason: str, doing: str, uri: str) -> ModelRegistryError:
    reason = " ".join(reason.split())
    if status in (401, 403):
        return PermissionDeniedError(
            f"permission to {doing} at {uri}", reason, "set MLflow credentials that may do this"
        )
    if status >= 500 or status in (REQUEST_TIMEOUT, TOO_MANY_REQUESTS):
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
