"""The jobs of a night by their `main`, on the Spark session that the tests hold.

In   a landing day on HDFS, the pinned model
Out  what the DAG `nightly_scoring` leaves of the day: receipt, sequences, published scores
"""

import os
from datetime import date
from pathlib import Path
from typing import Any

from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from jobs.audit_scores import main as audit_scores
from jobs.build_sequences import main as build_sequences
from jobs.extract_sessions import main as extract_sessions
from jobs.lake.tables import TablePartition
from jobs.score_users import main as score_users
from model_registry.signing import read_public_key
from model_registry.versions import PinnedModel
from settings import Settings
from tests.real_cluster import HOME

# As Airflow does: what the input's fault is fails at once, anything else is tried ten times more.
as_airflow_retries = retry(
    retry=retry_if_exception(lambda error: getattr(error, "retryable", True)),
    wait=wait_fixed(1),
    stop=stop_after_attempt(11),
    reraise=True,
)


def partition(table: str, ds: date) -> TablePartition:
    return TablePartition(f"risk.{table}", ds)


def roots(settings: Settings) -> dict[str, Any]:
    return {
        "landing_root": settings.hdfs_url + settings.landing_root,
        "receipts_root": settings.hdfs_url + settings.receipts_root,
    }


def extract_options(settings: Settings, ds: date, lookback_days: int = 1) -> dict[str, Any]:
    return roots(settings) | {
        "sessions": "risk.install_sessions",
        "rejected": "risk.rejected_events",
        "counts": "risk.extraction_counts",
        "day": [ds],
        "lookback_days": lookback_days,
    }


def build_options(settings: Settings, ds: date) -> dict[str, Any]:
    return roots(settings) | {
        "sessions": "risk.install_sessions",
        "sequences": partition("user_sequences", ds),
    }


def extract(settings: Settings, ds: date, lookback_days: int = 1) -> None:
    extract_sessions(**extract_options(settings, ds, lookback_days))


def build(settings: Settings, ds: date) -> None:
    build_sequences(**build_options(settings, ds))


def score_options(champion: PinnedModel, ds: date, wap_id: str) -> dict[str, Any]:
    home = Path(os.environ.get("RISK_CLUSTER_HOME", HOME))
    public_key = read_public_key(Settings(cluster_home=home).public_key)
    return audit_options(champion, ds, wap_id) | {"run_id": wap_id, "public_key": public_key}


def audit_options(champion: PinnedModel, ds: date, wap_id: str) -> dict[str, Any]:
    return {
        "sequences": str(partition("user_sequences", ds)),
        "scores": str(partition("risk_scores", ds)),
        "model": champion.to_json(),
        "wap_id": wap_id,
    }


def score(champion: PinnedModel, ds: date, wap_id: str) -> None:
    score_users(**score_options(champion, ds, wap_id))


def audit(champion: PinnedModel, ds: date, wap_id: str) -> None:
    audit_scores(**audit_options(champion, ds, wap_id))
