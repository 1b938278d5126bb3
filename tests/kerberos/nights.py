"""A night's jobs as the DAG `nightly_scoring` submits them to YARN, without Airflow's services.

In   a landing day, the pinned model
Out  spark-submit's exit status and output; readers see what was published
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from types import SimpleNamespace
from typing import Any

from pyspark.sql import SparkSession

from local_cluster.environment import identity_environment
from model_registry.versions import PinnedModel
from tests.faults.harness.scored_days import scores_of
from tests.kerberos.realm import REALM
from tests.kerberos.secured import Secured

JOBS = ("extract_sessions", "build_sequences", "score_users", "audit_scores")


@dataclass(frozen=True)
class Night:
    secured: Secured
    model: PinnedModel
    ds: date
    run_id: str

    def submit(self, job: str, name: str = "scoring") -> "subprocess.CompletedProcess[str]":
        """Run a task's command as its worker would, and wait; as another principal, if one is named."""
        words = [word.replace(f"scoring@{REALM}", f"{name}@{REALM}") for word in self.command(job)]
        pipelines, own = (str(self.secured.realm.keytab(user)) for user in ("scoring", name))
        return subprocess.run(
            [own if word == pipelines else word for word in words],
            env={**os.environ, **identity_environment(self.secured.layout, "scoring")},
            capture_output=True,
            text=True,
        )

    def command(self, job: str) -> list[str]:
        """The task's spark-submit, with its templates filled in."""
        from dags.nightly_scoring import dag  # reads the settings of the secured cluster

        task = dag.get_task(job).prepare_for_execution()  # a copy: rendering replaces a task's templates
        task.render_template_fields(self._context())
        command: list[str] = task._get_hook()._build_spark_submit_command(task.application)
        return command

    def _context(self) -> Mapping[str, Any]:
        from dags.common import public_key

        results = {"return_value": asdict(self.model), "wap_id": f"{self.run_id}-1"}
        return {
            "partition_key": self.ds.isoformat(),
            "run_id": self.run_id,
            "params": {"released_by": "", "release_reason": ""},
            "public_key": public_key,
            "ti": SimpleNamespace(
                try_number=1,
                xcom_pull=lambda task_ids, key="return_value": results[key],  # noqa: ARG005
            ),
        }


def published(reader: SparkSession, ds: date) -> list[str]:
    """The run ids of a date's scores, one for each row; none where no night has made the table."""
    table = scores_of(ds).table
    if not reader.catalog.tableExists(f"lake.{table}"):
        return []
    rows = reader.sql(f"SELECT run_id FROM lake.{table} WHERE ds = DATE '{ds}'").collect()
    return [row.run_id for row in rows]
