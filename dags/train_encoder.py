"""Train an encoder on the labels known by a date, register it in MLflow and push it to HDFS.

`find_unextracted_days` → `extract_sessions` → `build_training_set` → `train_encoder` → `register` → `push` →
`compare_models`.

| task | does |
|---|---|
| find_unextracted_days | finds landed days up to the training date that no nightly run has extracted yet |
| extract_sessions | extracts them, so that the first training needs no nightly run before it |
| build_training_set | joins labels to the installs that had happened and landed by each label's `as_of` |
| train_encoder | trains, evaluates on held-out users beside the bag-of-apps baseline, logs one MLflow run |
| register | makes that run a model version |
| push | copies its SavedModel to HDFS, verified by SHA-256, and gives it the alias `challenger` |
| compare_models | scores this run's held-out users with the new version and the champion. The page of its MLflow run says whether the new version is better, by how much, how certain that is, and for which users it is worse. Without a champion it is compared with the bag-of-apps baseline |

Whoever approves the new version then promotes it by hand, where the signing key is:
`python -m model_registry promote --version N` (`docs/operations.md`, "Models"). No run can do that.

`train_encoder` and `compare_models` run in the pool `gpu` (one slot per GPU) and, where workers have queues,
in the queue of the setting `RISK_GPU_QUEUE`.

The param `settings` holds further options of the training by their names on its command line, such as
`{"training.schedule": "cosine", "encoder.num-layers": 3}`; `python -m jobs.train_encoder --help` lists them.
The names `encoder.…`, `training.…`, `recipe.…` and `warm-start-version` are allowed; null means the job's own
default.
"""

import json
import os
import re
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dags.commands import Command, Params, matching
from dags.common import (
    DEFAULT_ARGS,
    HDFS_DAYS,
    RUN_FOLDER,
    SETTINGS,
    Arguments,
    command_line,
    extraction_arguments,
    public_key,
    run_folder,
    spark_job,
)

TRAINING_DATE = "{{ params.training_date }}"
TRAINING_SET = f"{SETTINGS.hdfs_url}{SETTINGS.training_sets_root}/training_date={TRAINING_DATE}/{RUN_FOLDER}"
MLFLOW_RUN = "{{ ti.xcom_pull(task_ids='train_encoder')['run_id'] | matching('[0-9a-f]{32}') }}"
VERSION = "{{ ti.xcom_pull(task_ids='register')['version'] | matching('[1-9][0-9]*') }}"
# On the worker's own disk, for its next try: a retry goes on from there. Clearing a task raises max_tries, and
# so starts a training from the beginning, since its training set may be another one.
CHECKPOINTS = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "checkpoints"
CHECKPOINT_FOLDER = f"{CHECKPOINTS}/{RUN_FOLDER}-{{{{ ti.max_tries }}}}"
MODEL_OPTIONS: Arguments = {
    "training-set": TRAINING_SET,
    "webhdfs-url": SETTINGS.webhdfs_url,
    "tracking-uri": SETTINGS.mlflow_tracking_uri,
    "experiment": SETTINGS.experiment,
    "model-name": SETTINGS.model_name,
}

# Options that say how to train. A param cannot change which data is read or where results are written.
SETTING_NAME = r"((encoder|training|recipe)\.[a-z][a-z0-9]*([-_][a-z0-9]+)*|warm[-_]start[-_]version)"


def training_options(params: Params) -> list[str]:
    """Write the options of `train_encoder`.

    The param `settings` wins over the DAG's own options; null means the job's default.

    >>> training_options({"seed": 7, "settings": {"training.schedule": "cosine"}})[-2:]
    ['--training.schedule', 'cosine']

    Raises:
        AirflowFailException: a name is not an option of the training.
    """
    options: dict[str, object] = {
        "recipe.max-history": SETTINGS.max_sequence_length,
        "training.seed": params["seed"],
    }
    for name, value in params["settings"].items():
        if not re.fullmatch(SETTING_NAME, name):
            raise AirflowFailException(
                f"param settings: {name!r} is not an option of the training; expected encoder.…, training.…, "
                "recipe.… or warm-start-version, such as training.max-epochs"
            )
        options[name.replace("_", "-")] = value
    if options.get("warm-start-version") is not None:
        options["public-key"] = public_key()
    return [
        word
        for name, value in options.items()
        if value is not None
        for word in (f"--{name}", value if isinstance(value, str) else json.dumps(value))
    ]


@task
def find_unextracted_days(training_date: str) -> list[str]:
    """Find the landed days without a receipt and return the command line of `extract_sessions` for them.

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
        "seed": Param(7, type="integer", minimum=0, description="seed of weights and batches"),
        "settings": Param(
            {},
            type="object",
            propertyNames={"pattern": f"^{SETTING_NAME}$"},
            description='further options of the training, such as {"training.schedule": "cosine"}',
        ),
    },
    user_defined_filters={"run_folder": run_folder, "matching": matching},
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
        # The task before is skipped if nothing is left to extract.
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    train = Command(
        task_id="train_encoder",
        identity="training",
        words=[
            "jobs.train_encoder",
            *command_line({**MODEL_OPTIONS, "checkpoint-folder": CHECKPOINT_FOLDER}),
        ],
        more_words=training_options,
        pool="gpu",
        queue=SETTINGS.gpu_queue,
        execution_timeout=timedelta(hours=12),
    )
    register = Command(
        task_id="register",
        identity="training",
        words=["model_registry", "register", "--run-id", MLFLOW_RUN],
    )
    push = Command(
        task_id="push", identity="training", words=["model_registry", "push", "--version", VERSION]
    )
    compare = Command(
        task_id="compare_models",
        identity="training",
        words=[
            "jobs.compare_models",
            *command_line({**MODEL_OPTIONS, "challenger": VERSION, "seed": "{{ params.seed }}"}),
        ],
        # TensorFlow reserves a whole GPU, so this cannot run beside a training.
        pool="gpu",
        queue=SETTINGS.gpu_queue,
    )

    extract >> build >> train >> register >> push >> compare
