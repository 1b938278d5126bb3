"""DAGs: all import, have the drawn shape, and submit exactly the checked-in command lines.

After an intended change: `pytest tests/unit/dags --rebuild-expected`, then read the difference.
"""

import json
import os
import re
import runpy
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

import jobs.compare_models
import jobs.train_encoder
from dags import common, nightly_scoring, train_encoder
from dags.commands import Command
from dags.common import (
    SETTINGS,
    RetryOutages,
    command_line,
    extraction_arguments,
    refuse_unknown_conf,
    run_folder,
    spark_job,
)
from jobs.command import parse
from model_registry.errors import SigningKeyError
from settings import REPOSITORY

EXPECTED = Path(__file__).parent / "expected"
PINNED = {"name": "risk_encoder", "version": 3, "sha256": "ab" * 32, "uri": "hdfs://h:1/models/m"}
XCOMS = {
    ("pin_model", "return_value"): PINNED,
    ("score_users", "wap_id"): "manual__2026-11-05T00:00:00+00:00-1",
    ("train_encoder", "return_value"): {"run_id": "0123456789abcdef" * 2},
    ("register", "return_value"): {"version": 4},
}


@pytest.fixture
def rebuild(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rebuild-expected"))


PUBLIC_KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"


@pytest.fixture(autouse=True)
def public_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the key that models are signed by."""
    file = tmp_path / "model-signing.pub"
    file.write_text(f"-----BEGIN PUBLIC KEY-----\n{PUBLIC_KEY}\n-----END PUBLIC KEY-----\n")
    monkeypatch.setattr(SETTINGS, "model_public_key", file)
    return file


RELEASED = {"released_by": "Ada", "release_reason": "holiday"}


def context(**params: Any) -> dict[str, Any]:
    """Context of templates in a backfill run of 2026-11-05, on the second try of a task."""

    def xcom_pull(task_ids: str, key: str = "return_value") -> Any:
        return XCOMS[task_ids, key]

    return {
        "partition_key": "2026-11-05",
        "run_id": "manual__2026-11-05T00:00:00+00:00",
        "dag_run": SimpleNamespace(triggering_user_name="ada"),
        "ti": SimpleNamespace(try_number=2, max_tries=10, xcom_pull=xcom_pull),
        "params": RELEASED | params,
    }


def submitted_line(task: SparkSubmitOperator, values: dict[str, Any]) -> str:
    """The spark-submit command, an option per line, free of this machine's paths."""
    task = task.prepare_for_execution()  # a copy: rendering replaces a task's templates
    task.render_template_fields(values)
    words = task._get_hook()._build_spark_submit_command(task.application)
    text = " ".join(words).replace(" --", "\n  --") + "\n"
    return text.replace(str(SETTINGS.identities_dir), "IDENTITIES").replace(str(REPOSITORY), "REPOSITORY")


def assert_expected(name: str, text: str, rebuild: bool) -> None:
    path = EXPECTED / f"{name}.expected"
    if rebuild:
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("task_id", ["extract_sessions", "build_sequences", "score_users", "audit_scores"])
def test_nightly_job_is_submitted_as_checked_in(task_id: str, rebuild: bool) -> None:
    line = submitted_line(nightly_scoring.dag.get_task(task_id), context(model_version=None))
    assert_expected(f"nightly_scoring.{task_id}", line, rebuild)


def test_without_a_public_key_no_scoring_is_submitted(public_key_file: Path) -> None:
    public_key_file.unlink()
    with pytest.raises(SigningKeyError, match=r"model-signing\.pub.*new-key"):
        submitted_line(nightly_scoring.dag.get_task("score_users"), context(model_version=None))


def test_jobs_log_in_by_the_keytab_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keytab = tmp_path / "risk.keytab"
    login = {"kerberos_principal": "risk@EXAMPLE.COM", "kerberos_keytab": keytab}
    monkeypatch.setattr(common, "SETTINGS", common.SETTINGS.model_copy(update=login))
    line = submitted_line(spark_job("extract_sessions", {}), context())
    assert f"--keytab {keytab}\n  --principal risk@EXAMPLE.COM\n" in line


def test_training_set_job_is_submitted_as_checked_in(rebuild: bool) -> None:
    values = context(training_date="2026-11-05", seed=7)
    line = submitted_line(train_encoder.dag.get_task("build_training_set"), values)
    assert_expected("train_encoder.build_training_set", line, rebuild)


def test_no_password_is_on_the_command_line_of_a_spark_job() -> None:
    line = submitted_line(nightly_scoring.dag.get_task("audit_scores"), context(model_version=None))
    assert SETTINGS.identity("scoring")["MLFLOW_TRACKING_PASSWORD"] not in line


@pytest.mark.parametrize(
    ("dag", "identities"),
    [
        (nightly_scoring.dag, {"pin_model": "scoring"}),
        (
            train_encoder.dag,
            dict.fromkeys(["train_encoder", "register", "push", "compare_models"], "training"),
        ),
    ],
)
def test_a_command_acts_as_the_identity_that_it_needs(dag: DAG, identities: dict[str, str]) -> None:
    assert {task.task_id: task.identity for task in dag.tasks if isinstance(task, Command)} == identities


def words_of(dag: DAG, task_id: str, values: dict[str, Any]) -> list[str]:
    """The command of a task as its worker runs it, after `python -m`."""
    task = dag.get_task(task_id)
    rendered = task.render_template(task.words, values, dag.get_template_env())
    return [*rendered, *(task.more_words(values["params"]) if task.more_words else [])]


def training_words(task_id: str, settings: dict[str, Any]) -> list[str]:
    values = context(training_date="2026-11-05", seed=7, settings=settings)
    return words_of(train_encoder.dag, task_id, values)


@pytest.mark.parametrize("task_id", ["train_encoder", "register", "push", "compare_models"])
def test_training_command_is_as_checked_in(task_id: str, rebuild: bool) -> None:
    words = training_words(task_id, {"training.schedule": "cosine", "encoder.num_layers": 3})
    line = " ".join(words).replace(os.environ["AIRFLOW_HOME"], "AIRFLOW_HOME")
    assert_expected(f"train_encoder.{task_id}", line.replace(" --", "\n  --") + "\n", rebuild)


@pytest.mark.parametrize(("version", "options"), [(None, []), (3, ["--version", "3"])])
def test_pin_names_the_version_only_when_one_was_asked_for(version: int | None, options: list[str]) -> None:
    words = words_of(nightly_scoring.dag, "pin_model", context(model_version=version))
    assert words == ["model_registry", "pin", *options]


def downstream(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}


def test_the_night_has_the_drawn_shape() -> None:
    assert downstream(nightly_scoring.dag) == {
        "wait_for_landing": {"extract_sessions", "pin_model"},
        "extract_sessions": {"wait_for_extraction"},
        "wait_for_extraction": {"build_sequences"},
        "build_sequences": {"score_users"},
        "pin_model": {"score_users"},
        "score_users": {"audit_scores"},
        "audit_scores": set(),
    }


def test_training_has_the_drawn_shape() -> None:
    assert downstream(train_encoder.dag) == {
        "find_unextracted_days": {"extract_sessions"},
        "extract_sessions": {"build_training_set"},
        "build_training_set": {"train_encoder"},
        "train_encoder": {"register"},
        "register": {"push"},
        "push": {"compare_models"},
        "compare_models": set(),
    }


def test_no_task_promotes() -> None:
    for task in train_encoder.dag.tasks:
        assert "promote" not in getattr(task, "words", [])


@pytest.mark.parametrize("task_id", ["train_encoder", "compare_models"])
def test_a_task_that_loads_a_model_waits_for_the_one_gpu_slot(task_id: str) -> None:
    assert train_encoder.dag.get_task(task_id).pool == "gpu"


def words_of_training(settings: dict[str, Any]) -> list[str]:
    return training_words("train_encoder", settings)[1:]


@pytest.mark.parametrize(
    "value", ["cosine", "; touch /tmp/x", "two\nlines", "{{ ds }}", "--training.seed", ""]
)
def test_a_setting_reaches_the_training_as_one_word_whatever_it_holds(value: str) -> None:
    assert words_of_training({"training.schedule": value})[-2:] == ["--training.schedule", value]


@pytest.mark.parametrize(("value", "word"), [(3, "3"), (0.5, "0.5"), (True, "true"), ([1, 2], "[1, 2]")])
def test_a_setting_that_is_not_text_reaches_the_training_as_json(value: Any, word: str) -> None:
    assert words_of_training({"recipe.min_count": value})[-2:] == ["--recipe.min-count", word]


@pytest.mark.parametrize(
    "name",
    ["tracking-uri", "training.seed; id", "training.seed\n", "--training.seed", "training.", "encoder.A", ""],
)
def test_a_name_that_is_not_an_option_of_the_training_is_refused(name: str) -> None:
    with pytest.raises(AirflowFailException, match="is not an option of the training"):
        words_of_training({name: 1})
    schema = train_encoder.dag.params.get_param("settings")
    if name != "training.seed\n":  # $ of a JSON schema's pattern allows one at the end
        with pytest.raises(ParamValidationError):
            schema.resolve({name: 1})


def test_a_setting_replaces_the_dags_own_value() -> None:
    words = words_of_training({"training.seed": 11, "recipe.max_history": 64})
    assert words[-4:] == ["--recipe.max-history", "64", "--training.seed", "11"]


def test_the_jobs_accept_the_options_that_the_dag_writes() -> None:
    settings = {
        "training.schedule": "cosine",
        "training.max_steps": None,
        "encoder.num-layers": 3,
        "warm_start_version": 2,
    }
    arguments = parse(jobs.train_encoder.Arguments, words_of_training(settings))
    assert (arguments.training.seed, arguments.training.schedule) == (7, "cosine")
    assert (arguments.training.max_steps, arguments.encoder.num_layers) == (None, 3)
    assert (arguments.warm_start_version, arguments.public_key) == (2, PUBLIC_KEY)
    words = training_words("compare_models", {})[1:]
    assert parse(jobs.compare_models.Arguments, words).challenger == 4


@pytest.mark.parametrize("run_id", ["x; touch pwned", "--force", "3f2a", None])
def test_a_run_id_that_is_none_of_mlflows_is_not_registered(
    run_id: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(XCOMS, ("train_encoder", "return_value"), {"run_id": run_id})
    with pytest.raises(AirflowFailException, match="clear the task that made it"):
        training_words("register", {})


@pytest.mark.parametrize("dag", [nightly_scoring.dag, train_encoder.dag], ids=lambda dag: dag.dag_id)
def test_every_task_has_a_timeout_and_every_dag_a_page(dag: DAG) -> None:
    assert dag.doc_md
    assert all(task.execution_timeout for task in dag.tasks)


def test_a_training_extracts_as_the_night_would_but_for_the_gate_on_volume() -> None:
    task = nightly_scoring.dag.get_task("extract_sessions").prepare_for_execution()
    task.render_template_fields(context(model_version=None))
    same = command_line(extraction_arguments(["2026-11-05"]))
    volume = {
        "lowest-volume": "0.5",
        "highest-volume": "2.0",
        "released-by": "Ada",
        "release-reason": "holiday",
    }
    assert task.application_args == [*same, *command_line(volume)]


REASON = "extract_sessions failed: TooManyBadRowsError: 9 of 20 rows are bad"


@pytest.mark.parametrize(
    "failure",
    [
        f"Cannot execute: spark-submit … Error code is: 65.\n  stack\n  {REASON}\n",
        f"Cannot execute: spark-submit … Error code is: 2.\n  {REASON}\n",
        f"jobs.extract_sessions ended with exit code 65\n{REASON}",
        # YARN's diagnostics in cluster mode: the reason is in the application's log.
        "YARN application application_1_65 ended with final status: FAILED\n"
        "Diagnostics: User application exited with status 65",
    ],
)
def test_a_refused_input_is_not_retried_and_the_last_line_is_the_reason(failure: str) -> None:
    decision = RetryOutages().evaluate(RuntimeError(failure), try_number=1, max_tries=10)
    assert (decision.action.value, decision.reason) == ("fail", failure.splitlines()[-1].strip())


@pytest.mark.parametrize(
    "message", ["Error code is: 1.", "non-zero exit code 165", "application_65 was lost", "", "exit code 265"]
)
def test_any_other_failure_is_retried(message: str) -> None:
    decision = RetryOutages().evaluate(RuntimeError(message), try_number=10, max_tries=10)
    assert decision.action.value == "default"


def test_the_last_failure_says_its_reason_in_one_line() -> None:
    failure = RuntimeError("Error code is: 1.\n  stack\nbuild_sequences failed: ConnectException: refused")
    decision = RetryOutages().evaluate(failure, try_number=11, max_tries=10)
    assert decision.action.value == "fail"
    assert (
        decision.reason == "given up after the last retry: build_sequences failed: ConnectException: refused"
    )


def pauses(task: Any) -> list[timedelta]:
    """Airflow's own pauses before each retry."""
    end = datetime(2026, 1, 1, tzinfo=UTC)
    tries = (
        SimpleNamespace(
            task=task,
            dag_id=task.dag_id,
            task_id=task.task_id,
            logical_date=None,
            try_number=number,
            end_date=end,
            retry_delay_override=None,
        )
        for number in range(1, task.retries + 1)
    )
    return [TaskInstance.next_retry_datetime(attempt) - end for attempt in tries]


@pytest.mark.parametrize("dag", [nightly_scoring.dag, train_encoder.dag], ids=lambda dag: dag.dag_id)
def test_the_retries_of_every_task_outlast_an_hour_and_end_before_their_run_does(dag: DAG) -> None:
    waits = timedelta(minutes=SETTINGS.landing_timeout_minutes + SETTINGS.extraction_timeout_minutes)
    for task in dag.tasks:
        assert pauses(task)[0] <= timedelta(minutes=1), task  # most failures are brief
        assert timedelta(hours=1) <= sum(pauses(task), timedelta()) <= timedelta(minutes=80), task
    assert dag.dagrun_timeout is not None
    assert dag.dagrun_timeout >= waits + timedelta(hours=4)


@pytest.mark.parametrize("dag", [nightly_scoring.dag, train_encoder.dag], ids=lambda dag: dag.dag_id)
def test_a_run_with_a_key_that_no_param_has_is_refused_by_name(dag: DAG) -> None:
    known = {"dag": dag, "dag_run": SimpleNamespace(conf=dict.fromkeys(dag.params))}
    refuse_unknown_conf(known)  # type: ignore[arg-type]
    refuse_unknown_conf({"dag": dag, "dag_run": SimpleNamespace(conf=None)})  # type: ignore[arg-type,typeddict-item]
    mistyped = {"dag": dag, "dag_run": SimpleNamespace(conf={"model_verson": 3})}
    for task in dag.roots:
        with pytest.raises(AirflowFailException, match="'model_verson'; expected only"):
            task._pre_execute_hook(mistyped)


class ResourceManager(BaseHTTPRequestHandler):
    """Says of every application that it has succeeded."""

    def do_GET(self) -> None:
        body = json.dumps(
            {"app": {"state": "FINISHED", "finalStatus": "SUCCEEDED", "diagnostics": ""}}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_in_cluster_mode_a_cleared_task_submits_again_although_its_application_succeeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = tmp_path / "spark-submit"
    submit.write_text('#!/bin/sh\necho "$@" >> "$0.calls"\necho Submitted application application_1_0001\n')
    submit.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(SETTINGS, "spark_deploy_mode", "cluster")
    stored: dict[str, Any] = {}
    store = SimpleNamespace(get=stored.get, set=stored.__setitem__)
    with HTTPServer(("127.0.0.1", 0), ResourceManager) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        extra = {"deploy-mode": "cluster", "yarn_resourcemanager_webapp_address": address}
        connection = {"conn_type": "spark", "host": "yarn", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
        for _ in ("first run", "cleared"):
            spark_job("extract_sessions", {"day": "2026-11-05"}).execute({"task_state_store": store})  # type: ignore[arg-type,typeddict-item]
        server.shutdown()
    calls = Path(f"{submit}.calls").read_text().splitlines()
    assert len(calls) == 2
    assert all("spark.yarn.maxAppAttempts=1" in call for call in calls)


def test_the_pinned_model_reaches_the_job_as_json() -> None:
    task = nightly_scoring.dag.get_task("score_users").prepare_for_execution()
    task.render_template_fields(context(model_version=None))
    assert json.loads(task.application_args[task.application_args.index("--model") + 1]) == PINNED


def test_a_night_asks_for_reasons_once_a_threshold_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SETTINGS, "reasons_above", 0.8)
    task = runpy.run_path(nightly_scoring.__file__)["dag"].get_task("score_users")
    assert task.application_args[-4:] == ["--reasons-above", "0.8", "--top-reasons", "3"]


RUN_IDS = [".", "..", ".:.", "a:b", "ab", "a+b", "a_b", "a b", "A", "a", "_", "-", "é", "x" * 250, "x" * 249]


def test_folders_of_runs_are_plain_names_and_never_shared() -> None:
    folders = [run_folder(run_id) for run_id in RUN_IDS]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", folder) for folder in folders)
    assert len({folder.lower() for folder in folders}) == len(RUN_IDS)


@pytest.mark.parametrize("run_id", RUN_IDS)
def test_no_run_id_leads_out_of_the_folder_of_its_training_date(run_id: str) -> None:
    task = train_encoder.dag.get_task("build_training_set")
    values = context(training_date="2026-11-05", seed=7) | {"run_id": run_id}
    words = task.render_template(task.application_args, values, train_encoder.dag.get_template_env())
    output = Path(words[words.index("--output") + 1].removeprefix(SETTINGS.hdfs_url))
    assert output.parent == Path(SETTINGS.training_sets_root) / "training_date=2026-11-05"
    assert os.path.normpath(output) == str(output)


def test_a_retry_of_a_training_finds_its_checkpoint_and_a_cleared_training_does_not() -> None:
    task = train_encoder.dag.get_task("train_encoder")
    values = context(training_date="2026-11-05", seed=7, settings={})

    def checkpoint_folder(**ti: int) -> str:
        instance = SimpleNamespace(**{**vars(values["ti"]), **ti})
        words = task.render_template(
            task.words, values | {"ti": instance}, train_encoder.dag.get_template_env()
        )
        return str(words[words.index("--checkpoint-folder") + 1])

    assert checkpoint_folder(try_number=1) == checkpoint_folder(try_number=9)
    assert checkpoint_folder(max_tries=10) != checkpoint_folder(max_tries=11)
