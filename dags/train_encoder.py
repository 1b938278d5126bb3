"""Train an encoder on the labels known by a date, register it in MLflow and push it to HDFS.

`find_unextracted_days` → `extract_sessions` → `build_training_set` → `train_encoder` → `register` → `push` → `promote` (only with the param `promote`).

| task | does |
|---|---|
| find_unextracted_days | landed days up to the training date that no nightly run has extracted yet |
| extract_sessions | extracts them, so that the first training needs no nightly run before it |
| build_training_set | joins labels to the installs that had happened and landed by each label's `as_of` |
| train_encoder | trains, evaluates on held-out users beside the bag-of-apps baseline, logs one MLflow run |
| register | makes that run a model version |
| push | copies its SavedModel to HDFS, verified by SHA-256; then the alias `challenger` names it |
| promote | moves the alias `champion`, which the next nightly run scores with |

`train_encoder` runs in the pool `gpu` (one slot per GPU) and, where workers have queues, in the queue of the
setting `RISK_GPU_QUEUE`.
"""

import json
from datetime import timedelta

from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG, Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.common import (
    DEFAULT_ARGS,
    HDFS_DAYS,
    RUN_FOLDER,
    SETTINGS,
    command,
    command_line,
    extraction_arguments,
    spark_job,
)

TRAINING_DATE = "{{ params.training_date }}"
TRAINING_SET = f"{SETTINGS.hdfs_url}{SETTINGS.training_sets_root}/training_date={TRAINING_DATE}/{RUN_FOLDER}"
MLFLOW_RUN = "{{ ti.xcom_pull(task_ids='train_encoder')['run_id'] }}"
VERSION = "{{ ti.xcom_pull(task_ids='register')['version'] }}"


@task
def find_unextracted_days(training_date: str) -> list[str]:
    """Command line of `extract_sessions`.

    Raises:
        AirflowSkipException: nothing is left to extract.
    """
    days = HDFS_DAYS.unextracted(training_date)
    if not days:
        raise AirflowSkipException(f"every day landed by {training_date} is extracted")
    return command_line(extraction_arguments(days))


with DAG(
    dag_id="train_encoder",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=2,
    dagrun_timeout=timedelta(hours=24),
    default_args=DEFAULT_ARGS,
    params={
        "training_date": Param(
            type="string",
            format="date",
            description="only labels observed by the end of this UTC day are used",
        ),
        "seed": Param(7, type="integer", minimum=0, description="of the split, the weights and the batches"),
        "promote": Param(False, type="boolean", description="make the new version the champion"),
    },
    tags=["risk"],
) as dag:
    extract = spark_job("extract_sessions", find_unextracted_days(TRAINING_DATE))
    build = spark_job(
        "build_training_set",
        {
            "sessions": "risk.install_sessions",
            "labels": f"{SETTINGS.hdfs_url}{SETTINGS.labels_root}",
            "training-date": TRAINING_DATE,
            "lookback-days": str(SETTINGS.lookback_days),
            "max-sequence-length": str(SETTINGS.max_sequence_length),
            "landing-root": f"{SETTINGS.hdfs_url}{SETTINGS.landing_root}",
            "receipts-root": f"{SETTINGS.hdfs_url}{SETTINGS.receipts_root}",
            "output": TRAINING_SET,
        },
        # With nothing left to extract the task before is skipped.
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    train = command(
        "train_encoder",
        f"jobs.train_encoder --training-set {TRAINING_SET} --webhdfs-url {SETTINGS.webhdfs_url}"
        f" --tracking-uri {SETTINGS.mlflow_tracking_uri} --experiment {SETTINGS.experiment}"
        f" --model-name {SETTINGS.model_name} --max-sequence-length {SETTINGS.max_sequence_length}"
        " --seed {{ params.seed }}",
        output_processor=json.loads,
        pool="gpu",
        queue=SETTINGS.gpu_queue,
        execution_timeout=timedelta(hours=12),
    )
    register = command(
        "register", f"model_registry register --run-id {MLFLOW_RUN}", output_processor=json.loads
    )
    push = command("push", f"model_registry push --version {VERSION}", output_processor=json.loads)
    wants_promotion = ShortCircuitOperator(
        task_id="wants_promotion", python_callable=lambda params: params["promote"]
    )
    promote = command("promote", f"model_registry promote --version {VERSION}")

    extract >> build >> train >> register >> push >> wants_promotion >> promote
