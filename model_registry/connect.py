"""Build the store and the tracking client from settings."""

from model_registry.store.model_store import ModelStore
from model_registry.store.webhdfs import webhdfs_client
from model_registry.tracking.model_tracking import ModelTracking
from settings import Settings


def connect_store(settings: Settings) -> ModelStore:
    client = webhdfs_client(settings.webhdfs_url, settings.hdfs_user)
    return ModelStore(client, settings.models_root, settings.hdfs_url)


def connect_tracking(settings: Settings) -> ModelTracking:
    return ModelTracking(settings.mlflow_tracking_uri, settings.model_name)
