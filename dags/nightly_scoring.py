"""Score the users of one landing day.

`wait_for_landing` → `extract_sessions` → `wait_for_extraction` → `build_sequences` → `score_users` →
`audit_scores`, with `pin_model` beside them.

| task | does | when it fails |
|---|---|---|
| wait_for_landing | waits, deferred, for `_SUCCESS` of the day | the delivery is late: land it, clear this task |
| extract_sessions | validates, deduplicates and cuts the day's log into sessions; then does the same for complete days of the look-back window that have not been extracted, or whose files have changed since | the reason names the file or the share of bad rows, and its day |
| wait_for_extraction | waits, deferred, until every landed day of the look-back window is extracted | complete the days it names, or remove their folders; then clear `extract_sessions` |
| build_sequences | collects each user's last installs up to the end of the day | |
| pin_model | resolves the model version once for the whole run | no champion: promote one, or give `model_version` |
| score_users | scores every user into a staged snapshot that no reader sees, with reasons from `RISK_REASONS_ABOVE` on | |
| audit_scores | checks the staged scores and publishes them in one step | they stay staged; the reason names each failed check |

A night with far fewer or far more events or users than the last seven is refused. If the number is right, start
the date again with the params `released_by` and `release_reason`, which are recorded.

A rerun of a day replaces that day. **Backfill** past days from this page or by
`airflow backfill create --dag-id nightly_scoring --from-date D1 --to-date D2 --reprocess-behavior completed`;
several days may run at once and in any order.

To run a single day, give its date as the partition key:
`POST /api/v2/dags/nightly_scoring/dagRuns {"logical_date": null, "partition_key": "2026-11-05"}`.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Asset, Context, CronPartitionTimetable, Param

from dags.commands import Command, Params
from dags.common import (
    DEFAULT_ARGS,
    HDFS_DAYS,
    SETTINGS,
    WAP_ID,
    Arguments,
    extraction_arguments,
    public_key,
    spark_job,
)
from dags.waiting import WaitForHdfsDays

DAY = "{{ partition_key }}"
PINNED = "{{ ti.xcom_pull(task_ids='pin_model') | tojson }}"  # resolved once per run, never again
SEQUENCES = f"risk.user_sequences/ds={DAY}"
SCORES = f"risk.risk_scores/ds={DAY}"
# Off by default: explaining a user costs as much as scoring a hundred or more.
REASONS: Arguments = (
    {}
    if SETTINGS.reasons_above is None
    else {"reasons-above": str(SETTINGS.reasons_above), "top-reasons": str(SETTINGS.top_reasons)}
)
# A training extracts a backlog whose days may differ as they like.
VOLUME: Arguments = {
    "lowest-volume": str(SETTINGS.lowest_volume),
    "highest-volume": str(SETTINGS.highest_volume),
    "released-by": "{{ params.released_by }}",
    "release-reason": "{{ params.release_reason }}",
}


def remember_wap_id(context: Context, result: object) -> None:  # noqa: ARG001 (the hook's interface)
    """Pass the id of the attempt that succeeded to the audit, whose own try number may differ."""
    ti = context["ti"]
    ti.xcom_push("wap_id", f"{context['run_id']}-{ti.try_number}")


def version_options(params: Params) -> list[str]:
    """Name the version to score with, if the run asks for one."""
    version = params["model_version"]
    return [] if version is None else ["--version", str(version)]


with DAG(
    dag_id="nightly_scoring",
    doc_md=__doc__,
    # One run per date, and backfills by date; `ds` and data intervals do not exist here.
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    # Backfills reach back to any date that can land.
    start_date=datetime(1971, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    # Both waits, and four hours for the jobs and their retries.
    dagrun_timeout=timedelta(
        minutes=SETTINGS.landing_timeout_minutes + SETTINGS.extraction_timeout_minutes, hours=4
    ),
    default_args=DEFAULT_ARGS,
    params={
        "model_version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            description="version to score with; empty: the champion",
        ),
        "released_by": Param(
            "", type="string", description="who publishes a night with an unusual number of events or users"
        ),
        "release_reason": Param("", type="string", description="why that number is right"),
    },
    user_defined_macros={"public_key": public_key},
    tags=["risk"],
) as dag:
    wait_for_landing = WaitForHdfsDays(
        task_id="wait_for_landing",
        days=HDFS_DAYS,
        day=DAY,
        advice="Deliver the day, close it with _SUCCESS, then clear this task.",
        timeout_minutes=SETTINGS.landing_timeout_minutes,
        poll_seconds=SETTINGS.wait_poll_seconds,
    )
    extract = spark_job(
        "extract_sessions",
        extraction_arguments([DAY]) | VOLUME,
        outlets=[Asset("lake/risk/install_sessions")],
    )
    wait_for_extraction = WaitForHdfsDays(
        task_id="wait_for_extraction",
        days=HDFS_DAYS,
        day=DAY,
        lookback_days=SETTINGS.lookback_days,
        advice="Complete these days with their _SUCCESS, or remove their folders; then clear extract_sessions.",
        timeout_minutes=SETTINGS.extraction_timeout_minutes,
        poll_seconds=SETTINGS.wait_poll_seconds,
    )
    build = spark_job(
        "build_sequences",
        {
            "sessions": "risk.install_sessions",
            "sequences": SEQUENCES,
            "lookback-days": str(SETTINGS.lookback_days),
            "max-sequence-length": str(SETTINGS.max_sequence_length),
            "landing-root": f"{SETTINGS.hdfs_url}{SETTINGS.landing_root}",
            "receipts-root": f"{SETTINGS.hdfs_url}{SETTINGS.receipts_root}",
        },
        outlets=[Asset("lake/risk/user_sequences")],
    )
    pin_model = Command(
        task_id="pin_model",
        identity="scoring",
        words=["model_registry", "pin"],
        more_words=version_options,
        execution_timeout=timedelta(minutes=10),
    )
    score = spark_job(
        "score_users",
        {
            "sequences": SEQUENCES,
            "scores": SCORES,
            "model": PINNED,
            "public-key": "{{ public_key() }}",
            "wap-id": WAP_ID,
            "run-id": "{{ run_id }}",
            **REASONS,
        },
        post_execute=remember_wap_id,
    )
    audit = spark_job(
        "audit_scores",
        {
            "sequences": SEQUENCES,
            "scores": SCORES,
            "model": PINNED,
            "wap-id": "{{ ti.xcom_pull(task_ids='score_users', key='wap_id') }}",
            **VOLUME,
        },
        outlets=[Asset("lake/risk/risk_scores")],
    )

    wait_for_landing >> extract >> wait_for_extraction >> build >> score >> audit
    wait_for_landing >> pin_model >> score
