"""Eight landing days of 300 users each, whose scores an undisturbed run has published.

In   /landing/installs/ds=2024-03-01/part-0.jsonl   {"user_id": "u007", …}, and two bad rows
Out  risk.risk_scores, with the run id undisturbed-2024-03-01 in each row
"""

import json
import random
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import mlflow

from jobs.lake.tables import TablePartition
from model_registry.connect import connect_store
from model_registry.hashing import folder_sha256
from model_registry.model_folder import SAVED_MODEL
from model_registry.versions import ModelVersion, PinnedModel
from tests.made_up.tiny_model import APPS, save_tiny_model
from tests.night import audit, build, extract, score
from tests.real_cluster import Cluster

# A year and more before the days of all other tests, so that no look-back window holds both.
DAYS = [date(2024, 3, 1) + timedelta(days=days) for days in range(8)]
USERS = 300


def landed_rows(ds: date) -> list[str]:
    """Lines of one landing day: each user with one to six installs, and two bad rows."""
    chance = random.Random(ds.isoformat())
    rows = [
        {
            "user_id": f"u{user:03}",
            "app_id": chance.choice([*APPS, "other"]),
            "event_time": f"{ds}T{chance.randrange(24):02}:{chance.randrange(60):02}:00Z",
        }
        for user in range(USERS)
        for _ in range(chance.randint(1, 6))
    ]
    return [*map(json.dumps, rows), "no json", '{"user_id": "u1"}']


def land(cluster: Cluster, ds: date, *parts: list[str]) -> None:
    """Replace the day's files on HDFS, `_SUCCESS` last."""
    folder = f"{cluster.settings.landing_root}/ds={ds}"
    cluster.hdfs.delete(folder, recursive=True)
    for number, lines in enumerate(parts):
        cluster.hdfs.write(f"{folder}/part-{number}.jsonl", "".join(f"{line}\n" for line in lines).encode())
    cluster.hdfs.write(f"{folder}/_SUCCESS", b"")


def push_tiny_model(cluster: Cluster, folder: Path, name: str = "faults_tiny") -> PinnedModel:
    """Push and sign a model whose scores can be worked out by hand."""
    saved = save_tiny_model(folder / "saved_model")
    model = ModelVersion(name, 1, folder_sha256(saved))
    connect_store(cluster.settings).push(saved, model)
    pinned = connect_store(cluster.settings).pinned(model)
    cluster.sign(pinned, folder)
    return pinned


def log_run(saved_model: Path) -> str:
    """Log a finished training run with this model, as far as the registry reads it; return its id."""
    mlflow.set_experiment("faults")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(saved_model), SAVED_MODEL)
    return str(run.info.run_id)


def publish_undisturbed(cluster: Cluster, model: PinnedModel, days: list[date]) -> None:
    """Extract, build, score and publish days that have landed."""
    for ds in days:
        extract(cluster.settings, ds)
    for ds in days:
        build(cluster.settings, ds)
        rescore(model, ds, f"undisturbed-{ds}-{uuid4().hex[:8]}")


def rescore(model: PinnedModel, ds: date, wap_id: str) -> None:
    """Score and publish a day whose sequences are built."""
    score(model, ds, wap_id)
    audit(model, ds, wap_id)


def scores_of(ds: date) -> TablePartition:
    return TablePartition("risk.risk_scores", ds)
