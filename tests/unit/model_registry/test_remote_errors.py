"""Named errors for answers of WebHDFS and MLflow. The answers were copied from the real services."""

import os
import socket

import mlflow
import pytest
import requests
from hdfs import HdfsError
from mlflow.exceptions import MlflowException, RestException

from model_registry import errors
from model_registry.store import webhdfs
from model_registry.tracking import mlflow_errors
from model_registry.tracking.model_tracking import ModelTracking

URL = "http://127.0.0.1:9870"


@pytest.mark.parametrize(
    ("exception", "message", "expected"),
    [
        (
            "AccessControlException",
            'Permission denied: user=mallory, access=WRITE, inode="/models":root:supergroup:drwxr-xr-x\n\tat org.x',
            errors.PermissionDeniedError,
        ),
        (None, "Authentication failure. Check your credentials.", errors.NoTicketError),
        (
            "SafeModeException",
            "Cannot create directory /models. Name node is in safe mode.",
            errors.HdfsSafeModeError,
        ),
        ("RetriableException", "NameNode still not started: SafeMode is ON", errors.HdfsSafeModeError),
        (
            "StandbyException",
            "Operation category READ is not supported in state standby.",
            errors.WebHdfsDownError,
        ),
        (
            "DSQuotaExceededException",
            "The DiskSpace quota of /models is exceeded: quota = 1000000 B",
            errors.NoSpaceError,
        ),
        (
            "NSQuotaExceededException",
            "The NameSpace quota (directories and files) of directory /models is exceeded",
            errors.NoSpaceError,
        ),
        (
            "IOException",
            "File /models/x could only be written to 0 of the 1 minReplication nodes. There are 2 datanode(s) "
            "running and no node(s) are excluded in this operation.",
            errors.NoSpaceError,
        ),
        (
            "IOException",
            "File /models/x could only be written to 0 of the 1 minReplication nodes. There are 2 datanode(s) "
            "running and 2 node(s) are excluded in this operation.",
            errors.NoDataNodeError,
        ),
        (
            "IOException",
            "File /models/x could only be written to 0 of the 1 minReplication nodes. There are 0 datanode(s) "
            "running and no node(s) are excluded in this operation.",
            errors.NoDataNodeError,
        ),
        (
            "IOException",
            "Failed to find datanode, suggest to check cluster health. excludeDatanodes=null",
            errors.NoDataNodeError,
        ),
        ("FileNotFoundException", "File does not exist: /models/x", errors.ModelFolderMissingError),
        (
            "FileAlreadyExistsException",
            "rename destination /models/x already exists",
            errors.VersionExistsError,
        ),
        ("IllegalArgumentException", "Invalid operation GETFILESTATUS", errors.RemoteRequestError),
        (None, b"<!doctype html>\n<title>404 Not Found</title>", errors.RemoteRequestError),
    ],
)
def test_an_answer_of_hdfs_gets_its_own_error(exception, message, expected):
    error = webhdfs.named_error(HdfsError(message, exception=exception), "write /models/x", URL)
    assert type(error) is expected
    assert "write /models/x" in str(error)


def test_the_java_stack_stays_out_of_the_message():
    answer = HdfsError("Permission denied\n\tat org.apache.hadoop.X", exception="AccessControlException")
    assert "org.apache" not in str(webhdfs.named_error(answer, "write /models/x", URL))


def test_a_page_instead_of_an_answer_is_cut():
    error = webhdfs.named_error(HdfsError(b"<html>" + b"x" * 10_000), "write /models/x", URL)
    assert len(str(error)) < 1000


def test_only_a_service_that_may_come_back_is_retried():
    retried = {name for name, value in vars(errors).items() if getattr(value, "retryable", False)}
    assert retried == {
        "ServiceDownError",
        "WebHdfsDownError",
        "DataNodeDownError",
        "NoDataNodeError",
        "HdfsSafeModeError",
        "KdcDownError",
        "MlflowDownError",
        "RemoteRequestError",
    }


def test_the_tree_in_the_docstring_names_every_error():
    named = [name for name, value in vars(errors).items() if isinstance(value, type)]
    drawn = errors.__doc__ or ""
    assert [name for name in named if name not in drawn] == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MlflowException("API request to http://x failed with exception refused"), errors.MlflowDownError),
        (requests.ConnectionError("connection reset"), errors.MlflowDownError),
        (
            RestException({"error_code": "PERMISSION_DENIED", "message": "no"}),
            errors.PermissionDeniedError,
        ),
        (RestException({"error_code": "UNAUTHENTICATED", "message": "no"}), errors.PermissionDeniedError),
        (
            RestException({"error_code": "ENDPOINT_NOT_FOUND", "message": "<html>"}),
            errors.RemoteRequestError,
        ),
    ],
)
def test_an_answer_of_mlflow_gets_its_own_error(error, expected):
    named = mlflow_errors.named_mlflow_errors("find the champion", "http://127.0.0.1:5000")
    with pytest.raises(expected, match="find the champion"), named:
        raise error


@pytest.mark.parametrize(
    "answer",
    [
        {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Registered Model with name=m not found"},
        {"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias champion not found."},
    ],
)
def test_both_of_mlflows_ways_to_say_that_an_alias_is_missing_are_understood(answer):
    missing = errors.AliasMissingError("alias champion", "none", "promote")
    named = mlflow_errors.named_mlflow_errors("find the champion", "http://127.0.0.1:5000", missing)
    with pytest.raises(errors.AliasMissingError), named:
        raise RestException(answer)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (403, errors.PermissionDeniedError),
        (404, errors.RemoteRequestError),
        (429, errors.MlflowDownError),
        (503, errors.MlflowDownError),
    ],
)
def test_an_answer_to_an_artifacts_transfer_gets_its_error_by_the_status(status, expected):
    response = requests.Response()
    response.status_code = status
    with pytest.raises(expected), mlflow_errors.named_mlflow_errors("download it", URL):
        response.raise_for_status()


def test_mlflow_is_given_up_within_a_minute_unless_the_environment_says_otherwise(monkeypatch):
    for name in mlflow_errors.LIMITS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    mlflow_errors.fail_within_a_minute()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    mlflow_errors.fail_within_a_minute()
    retries, seconds = (int(os.environ[name]) for name in mlflow_errors.LIMITS)
    assert (retries + 1) * seconds <= 60
    for name in mlflow_errors.LIMITS:
        monkeypatch.delenv(name)


def test_an_mlflow_that_accepts_calls_and_never_answers_is_down(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = mlflow.get_tracking_uri()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracking = ModelTracking(f"http://127.0.0.1:{silent.getsockname()[1]}", "risk_encoder")
        with pytest.raises(errors.MlflowDownError, match="find the champion"):
            tracking.champion()
    mlflow.set_tracking_uri(before)
