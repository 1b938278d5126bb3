"""Build the store and the tracking client from settings; only this file knows about log-ins."""

import hdfs

from model_registry.store.model_store import ModelStore
from model_registry.tracking.model_tracking import ModelTracking
from settings import Settings

# A dead host is noticed in seconds; a busy DataNode may take a while to acknowledge a large file.
TIMEOUT_SECONDS = (5, 60)  # to connect, to wait for bytes


def connect_store(settings: Settings) -> ModelStore:
    return ModelStore(webhdfs_client(settings), settings.models_root, settings.hdfs_url)


def connect_tracking(settings: Settings) -> ModelTracking:
    return ModelTracking(settings.mlflow_tracking_uri, settings.model_name)


def webhdfs_client(settings: Settings) -> hdfs.Client:
    """Build a client with simple authentication.

    A secure cluster gets `hdfs.TokenClient` or `hdfs.ext.kerberos.KerberosClient` here; nothing else changes.
    """
    return hdfs.InsecureClient(settings.webhdfs_url, user=settings.hdfs_user, timeout=TIMEOUT_SECONDS)
