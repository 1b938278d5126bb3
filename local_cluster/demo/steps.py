"""The demo, from nothing to published scores: `make demo`, or `make demo INSTALLS=DIR LABELS=FILE`.

In   simulated install logs and labels, or a user's own files (docs/data_contract.md)
Out  tables on HDFS, a model in MLflow, runs in Airflow, and a summary on the terminal
"""

import getpass
import os
import shutil
import subprocess
import threading
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from mlflow import MlflowClient
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from local_cluster.airflow_api import AirflowApi
from local_cluster.demo.landing import Delivery, check_delivery, clear_landing, find_simulated, land
from local_cluster.demo.watch import follow
from local_cluster.environment import identity_environment, pipeline_settings
from local_cluster.layout import ClusterError, Layout
from local_cluster.progress import say, step
from local_cluster.start import memory_gb, start, web_pages
from local_cluster.supervision import wait_until
from model_registry.connect import connect_tracking
from settings import Settings
from simulator.simulate import Simulation
from simulator.simulate import simulate as write_simulation

BACKFILLED_DAYS = 3
# Fixed, so that every demo on every day gives the same figures. The first day brings the backlog of months.
FIRST_SIMULATED_DAY = date(2026, 1, 1)
TRAINING_TIMEOUT_SECONDS = 60 * 60
BACKFILL_TIMEOUT_SECONDS = 60 * 60


def demo(
    installs: Annotated[Path | None, typer.Option(help="your install logs; simulated if not given")] = None,
    labels: Annotated[Path | None, typer.Option(help="your labels; simulated if not given")] = None,
    users: Annotated[int, typer.Option(help="users to simulate", min=100)] = 20_000,
) -> None:
    """Run the whole pipeline on this machine's own cluster."""
    layout = Layout(Settings())
    refuse_foreign_cluster(layout.settings)
    if (installs is None) != (labels is None):
        raise ClusterError("expected INSTALLS and LABELS together: give both, or neither to simulate them")
    own_files = check_delivery(installs, labels, layout.settings) if installs and labels else None
    start(layout)
    memory = PeakMemory(layout)
    delivery = own_files or simulate(layout, users)
    with step(f"land {describe_days(delivery.days)} on HDFS"):
        clear_landing(layout.settings)
        land(delivery, layout.settings)
    airflow = AirflowApi.login(layout)
    await_dags(airflow)
    train(airflow, layout, delivery)
    days = backfill(airflow, layout, delivery)
    print_summary(layout, days)
    say(f"memory of the whole stack: {memory.gb:.1f} GB at most, {memory_gb(layout):.1f} GB now")
    say("\n".join(web_pages(layout)))
    say("Stop it all with: make down")


class PeakMemory:
    """Peak memory of the cluster since the start of the demo, measured every five seconds."""

    def __init__(self, layout: Layout) -> None:
        self.gb = 0.0
        threading.Thread(target=self._watch, args=(layout,), daemon=True).start()

    def _watch(self, layout: Layout) -> None:
        while True:
            self.gb = max(self.gb, memory_gb(layout))
            time.sleep(5)


def describe_days(days: list[date]) -> str:
    """Describe ordered days in a few words.

    >>> describe_days([date(2026, 1, 1), date(2026, 1, 5)])
    '2 days, 2026-01-01 to 2026-01-05,'
    """
    return str(days[0]) if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]},"


def refuse_foreign_cluster(settings: Settings) -> None:
    """Refuse services of another cluster, since the demo first empties the landing zone and the tables."""
    given = [
        name
        for name in ("hdfs_uri", "webhdfs_uri", "mlflow_uri", "kerberos_principal")
        if getattr(settings, name)
    ]
    if given:
        names = ", ".join(f"RISK_{name.upper()}" for name in given)
        raise ClusterError(f"the demo runs on its own cluster and empties its tables first: unset {names}")


def simulate(layout: Layout, users: int) -> Delivery:
    folder = layout.data / "simulated"
    with step(f"simulate {users:,} users"):
        shutil.rmtree(folder, ignore_errors=True)
        simulation = Simulation(users, days=BACKFILLED_DAYS + 1, first_day=FIRST_SIMULATED_DAY, seed=7)
        write_simulation(simulation, folder, processes=os.cpu_count() or 1)
    return find_simulated(simulation, folder)


def await_dags(airflow: AirflowApi) -> None:
    with step("wait for the DAGs to be parsed"):
        wait_until(
            lambda: {"nightly_scoring", "train_encoder"} <= set(airflow.dag_ids()),
            "Airflow does not list both DAGs",
            timeout_seconds=120,
            detail=lambda: "see `airflow dags list-import-errors` and the DAG processor's log",
        )


def train(airflow: AirflowApi, layout: Layout, delivery: Delivery) -> None:
    """Train, register and push an encoder by its DAG, then promote it."""
    say(f"train an encoder on the labels known on {delivery.training_date}")
    airflow.unpause("train_encoder")
    run_id = airflow.trigger("train_encoder", {"training_date": delivery.training_date.isoformat()})
    follow(
        airflow, layout, "train_encoder", lambda run: run["dag_run_id"] == run_id, 1, TRAINING_TIMEOUT_SECONDS
    )
    with step("promote the new version: sign it, and make it champion"):
        # Forced, since a champion of an earlier demo may have been trained on more users or on other files.
        os.environ.update(layout.settings.identity("scoring"))
        promote(layout, connect_tracking(layout.settings).rows()[0].version, "--force")


def promote(layout: Layout, version: int, *options: str) -> None:
    """Promote a version, as the person who runs this would on a terminal."""
    words = ["promote", "--version", str(version), "--by", getpass.getuser(), *options]
    done = subprocess.run(
        [str(layout.python_bin / "python"), "-m", "model_registry", *words],
        env={**os.environ, **pipeline_settings(layout)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ClusterError(done.stderr.strip().splitlines()[-1])


def backfill(airflow: AirflowApi, layout: Layout, delivery: Delivery) -> list[date]:
    """Score the last landed days as one backfill and return them."""
    days = last_consecutive(delivery.days, BACKFILLED_DAYS)
    say(f"backfill nightly_scoring from {days[0]} to {days[-1]}")
    airflow.unpause("nightly_scoring")
    earlier = {run["dag_run_id"] for run in airflow.runs("nightly_scoring")}
    # Days of a given history may differ as they like.
    release = {"released_by": getpass.getuser(), "release_reason": "a demo of given files"}
    airflow.backfill(
        "nightly_scoring", days[0].isoformat(), days[-1].isoformat(), len(days), dag_run_conf=release
    )

    def is_of_this_backfill(run: dict[str, Any]) -> bool:
        return run["run_type"] == "backfill" and run["dag_run_id"] not in earlier

    follow(airflow, layout, "nightly_scoring", is_of_this_backfill, len(days), BACKFILL_TIMEOUT_SECONDS)
    return days


def last_consecutive(days: list[date], most: int) -> list[date]:
    """Choose the last days without a gap, since a backfill makes a run of every date in its range.

    >>> last_consecutive([date(2026, 1, 1), date(2026, 1, 5), date(2026, 1, 6)], 3)
    [datetime.date(2026, 1, 5), datetime.date(2026, 1, 6)]
    """
    chosen = [days[-1]]
    while len(chosen) < most and chosen[0] - timedelta(days=1) in days:
        chosen.insert(0, chosen[0] - timedelta(days=1))
    return chosen


def print_summary(layout: Layout, days: list[date]) -> None:
    """Read the published tables as an analyst would and say where to look next."""
    published, riskiest = read_scores(layout, days)
    for row in published:
        say(f"{row.ds}  {row.users:,} users scored, mean risk {row.mean_score:.4f}")
    say(f"riskiest users of {days[-1]}")
    for row in riskiest:
        say(f"    {row.user_id:40} {row.risk_score:.4f}  by {row.model_name} v{row.model_version}")
    say(training_result(layout.settings))


def read_scores(layout: Layout, days: list[date]) -> tuple[list[Row], list[Row]]:
    """Read the number of users and the mean score of each day, and the ten riskiest users of the last."""
    os.environ.update(identity_environment(layout, "reader"))
    with step("read the published scores"):
        builder = SparkSession.builder.master("local[2]").appName("demo summary")
        spark = builder.config("spark.sql.catalog.lake.jdbc.user", "reader").getOrCreate()
        scores = spark.table("lake.risk.risk_scores")
        by_day = scores.where(F.col("ds").isin(days)).groupBy("ds")
        published = by_day.agg(F.count("*").alias("users"), F.avg("risk_score").alias("mean_score"))
        last = scores.where(F.col("ds") == F.lit(days[-1]))
        riskiest = last.orderBy(F.desc("risk_score"), "user_id").limit(10)
        rows = published.orderBy("ds").collect(), riskiest.collect()
        spark.stop()
    return rows


def training_result(settings: Settings) -> str:
    """Describe the champion by the figures of its training run on held-out users."""
    os.environ.update(settings.identity("scoring"))
    client = MlflowClient(settings.mlflow_tracking_uri)
    version = client.get_model_version_by_alias(settings.model_name, "champion")
    run = client.get_run(str(version.run_id)).data
    return (
        f"AUC {run.metrics['test_auc']:.3f} (bag-of-apps baseline {run.metrics['baseline_test_auc']:.3f})"
        f" on {int(run.params['test_users']):,} held-out users\n"
        "gain by the encoder, over the same model without it: "
        f"{difference(run.metrics, 'model_without_encoder')}\n"
        f"gain over 1- to 3-grams of apps: {difference(run.metrics, '3_grams_baseline')}"
    )


def difference(metrics: dict[str, float], other: str) -> str:
    """Write how far the model's AUC is ahead of another's, with the 95% interval of its training run."""
    name = f"ahead_of_{other}_auc"
    return f"{metrics[name]:+.3f} AUC ({metrics[f'{name}_low']:+.3f} to {metrics[f'{name}_high']:+.3f})"
