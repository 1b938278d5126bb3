"""Versions on a real MLflow, whose store is a file instead of a server."""

import sqlite3
import uuid
from pathlib import Path

import mlflow
import pytest

from model_registry.errors import VersionNotPushedError, VersionNotReadyError
from model_registry.hashing import folder_sha256
from model_registry.resolve import pushed_here
from model_registry.store.model_store import ModelStore
from model_registry.store.webhdfs import webhdfs_client
from model_registry.tracking.model_tracking import HDFS_URI_TAG, SHA256_TAG, ModelTracking
from model_registry.versions import PinnedModel

# Creating MLflow's tables takes seconds.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("registry", artifact_location=(folder / "artifacts").as_uri())
    yield folder / "mlflow.db"
    mlflow.set_tracking_uri(before)


@pytest.fixture
def tracking(database) -> ModelTracking:
    """A registered model for this test alone."""
    return ModelTracking(f"sqlite:///{database}", f"test_{uuid.uuid4().hex}")


@pytest.fixture
def client(tracking) -> mlflow.MlflowClient:
    client = mlflow.MlflowClient()
    client.create_registered_model(tracking.model_name)
    return client


@pytest.fixture
def saved_model(tmp_path) -> Path:
    """Bytes in place of a SavedModel: nothing here loads it."""
    folder = tmp_path / "saved_model"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")
    return folder


@pytest.fixture
def run_id(tracking, saved_model) -> str:  # noqa: ARG001 (sets MLflow's address)
    mlflow.set_experiment("registry")
    with mlflow.start_run() as run:
        mlflow.set_tag("mlflow.note.content", "- model: AUC 0.8731")
        mlflow.log_artifacts(str(saved_model), "saved_model")
    return run.info.run_id


def create_version(client, tracking, run_id, saved_model, **tags: str) -> int:
    """What `register` has made at the moment at which it is killed."""
    tags = {SHA256_TAG: folder_sha256(saved_model), **tags}
    name = tracking.model_name
    return int(client.create_model_version(name, f"runs:/{run_id}/saved_model", run_id, tags=tags).version)


def versions(client, tracking) -> list[int]:
    found = client.search_model_versions(f"name='{tracking.model_name}'")
    return sorted(int(version.version) for version in found)


def test_a_register_that_was_killed_before_it_deleted_the_second_version_is_completed_by_the_next(
    client, tracking, run_id, saved_model
):
    first, _ = (create_version(client, tracking, run_id, saved_model) for _ in range(2))
    assert tracking.register(run_id).version == first
    assert versions(client, tracking) == [first]


def test_a_second_version_that_was_pushed_is_kept(client, tracking, run_id, saved_model):
    first = create_version(client, tracking, run_id, saved_model)
    second = create_version(client, tracking, run_id, saved_model, **{HDFS_URI_TAG: "hdfs://x"})
    assert tracking.register(run_id).version == first
    assert versions(client, tracking) == [first, second]


def test_a_register_that_was_killed_before_it_wrote_the_versions_page_is_completed_by_the_next(
    client, tracking, run_id, saved_model
):
    number = create_version(client, tracking, run_id, saved_model)
    tracking.register(run_id)
    version = client.get_model_version(tracking.model_name, str(number))
    assert version.description == "- model: AUC 0.8731"


@pytest.mark.parametrize("status", ["PENDING_REGISTRATION", "FAILED_REGISTRATION"])
def test_a_version_that_mlflow_has_not_made_is_not_used(
    client, tracking, database, run_id, saved_model, status
):
    number = create_version(client, tracking, run_id, saved_model)
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE model_versions SET status = ?, status_message = 'disk full' WHERE name = ?",
            (status, tracking.model_name),
        )
    connection.close()
    with pytest.raises(VersionNotReadyError, match=f"{status} disk full"):
        tracking.version(number)


@pytest.mark.parametrize(
    "place",
    [
        "hdfs://elsewhere:8020/models",
        "hdfs://127.0.0.1:8020/other",
        "hdfs://127.0.0.1:8020/other/../models",
        "http://127.0.0.1:8020/models",
    ],
)
def test_a_version_whose_tag_names_another_place_is_not_pinned(client, tracking, run_id, saved_model, place):
    number = create_version(client, tracking, run_id, saved_model)
    model = tracking.version(number)
    uri = f"{place}/{model.name}/{model.dirname}"
    tracking.mark_pushed(PinnedModel(model.name, model.version, model.sha256, uri))
    # Nothing is read from HDFS before the uri has been checked.
    store = ModelStore(webhdfs_client("http://127.0.0.1:1", "risk"), "/models", "hdfs://127.0.0.1:8020")
    with pytest.raises(VersionNotPushedError, match=f"its tag says {uri}"):
        pushed_here(tracking, store, number)
    tracking.mark_pushed(store.pinned(model))
    assert pushed_here(tracking, store, number) == store.pinned(model)
