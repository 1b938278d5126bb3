"""DAGs: all import, have the drawn shape, and submit exactly the checked-in command lines.

After an intended change: `pytest tests/unit/dags --rebuild-expected`, then read the difference.
"""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

import jobs.compare_models
import jobs.train_encoder
from dags import nightly_scoring, train_encoder
from dags.common import SETTINGS, RetryUnlessDataError, command_line, extraction_arguments
from jobs.command import parse
from settings import REPOSITORY

EXPECTED = Path(__file__).parent / "expected"
PINNED = {"name": "risk_encoder", "version": 3, "sha256": "ab" * 32, "uri": "hdfs://h:1/models/m"}
XCOMS = {
    ("pin_model", "return_value"): PINNED,
    ("score_users", "wap_id"): "manual__2026-11-05T00:00:00+00:00-1",
    ("train_encoder", "return_value"): {"run_id": "0123456789abcdef"},
    ("register", "return_value"): {"version": 4},
}


@pytest.fixture
def rebuild(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rebuild-expected"))


def context(**params: Any) -> dict[str, Any]:
    """Context of templates in a backfill run of 2026-11-05, on the second try of a task."""

    def xcom_pull(task_ids: str, key: str = "return_value") -> Any:
        return XCOMS[task_ids, key]

    return {
        "partition_key": "2026-11-05",
        "run_id": "manual__2026-11-05T00:00:00+00:00",
        "ti": SimpleNamespace(try_number=2, xcom_pull=xcom_pull),
        "params": params,
    }


def submitted_line(task: SparkSubmitOperator, values: dict[str, Any]) -> str:
    """The spark-submit command, an option per line, free of this machine's paths."""
    task.render_template_fields(values)
    words = task._get_hook()._build_spark_submit_command(task.application)
    text = " ".join(words).replace(" --", "\n  --") + "\n"
    return text.replace(str(REPOSITORY), "REPOSITORY")


def assert_expected(name: str, text: str, rebuild: bool) -> None:
    path = EXPECTED / f"{name}.expected"
    if rebuild:
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("task_id", ["extract_sessions", "build_sequences", "score_users", "audit_scores"])
def test_nightly_job_is_submitted_as_checked_in(task_id: str, rebuild: bool) -> None:
    line = submitted_line(nightly_scoring.dag.get_task(task_id), context(model_version=None))
    assert_expected(f"nightly_scoring.{task_id}", line, rebuild)


def test_training_set_job_is_submitted_as_checked_in(rebuild: bool) -> None:
    values = context(training_date="2026-11-05", seed=7, promote=False, force=False)
    line = submitted_line(train_encoder.dag.get_task("build_training_set"), values)
    assert_expected("train_encoder.build_training_set", line, rebuild)


def training_command(task_id: str, settings: dict[str, Any], force: bool = False) -> str:
    """The command of a task as its worker runs it."""
    task = train_encoder.dag.get_task(task_id)
    values = context(training_date="2026-11-05", seed=7, settings=settings, promote=True, force=force)
    return str(task.render_template(task.bash_command, values))


def test_a_forced_promotion_passes_force_to_the_registry() -> None:
    assert training_command("promote", {}, force=True).endswith("promote --version 4 --force")


@pytest.mark.parametrize("task_id", ["train_encoder", "register", "push", "compare_models", "promote"])
def test_training_command_is_as_checked_in(task_id: str, rebuild: bool) -> None:
    settings = {"training.schedule": "cosine", "encoder.num_layers": 3}
    line = training_command(task_id, settings).replace(sys.executable, "THIS_PYTHON")
    assert_expected(f"train_encoder.{task_id}", line + "\n", rebuild)


@pytest.mark.parametrize(("version", "expected"), [(None, "pin "), (3, "pin --version 3")])
def test_pin_names_the_version_only_when_one_was_asked_for(version: int | None, expected: str) -> None:
    task = nightly_scoring.dag.get_task("pin_model")
    values = context(model_version=version)
    assert task.render_template(task.bash_command, values).endswith(expected)


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
        "push": {"compare_models", "wants_promotion"},
        "compare_models": {"wants_promotion"},
        "wants_promotion": {"promote"},
        "promote": set(),
    }


@pytest.mark.parametrize("compared", [{"verdict": "better"}, None])
@pytest.mark.parametrize("promote", [True, False])
@pytest.mark.parametrize("force", [True, False])
def test_only_force_promotes_without_a_comparison(compared: Any, promote: bool, force: bool) -> None:
    ti = SimpleNamespace(xcom_pull=lambda task_ids: {"compare_models": compared}[task_ids])
    params = {"promote": promote, "force": force}
    if compared or (promote and force):
        assert train_encoder.decide_promotion(params, ti) is promote
    else:
        with pytest.raises(AirflowFailException, match="compare_models failed"):
            train_encoder.decide_promotion(params, ti)


@pytest.mark.parametrize("task_id", ["train_encoder", "compare_models"])
def test_a_task_that_loads_a_model_waits_for_the_one_gpu_slot(task_id: str) -> None:
    assert train_encoder.dag.get_task(task_id).pool == "gpu"


def words_of_training(settings: dict[str, Any]) -> list[str]:
    """The words that bash passes to the job, after bash's own expansions."""
    arguments = training_command("train_encoder", settings).partition(" -m jobs.train_encoder ")[2]
    printed = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {arguments}"], capture_output=True, check=True, text=True
    )
    return printed.stdout.split("\0")[:-1]


@pytest.mark.parametrize(
    "value", ["cosine", "; touch /tmp/x", "$(id) `id` $HOME *", "it's", 'a "b"', "two\nlines", "{{ ds }}", ""]
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
    assert arguments.warm_start_version == 2
    words = training_command("compare_models", {}).partition(" -m jobs.compare_models ")[2].split()
    assert parse(jobs.compare_models.Arguments, words).challenger == 4


@pytest.mark.parametrize("dag", [nightly_scoring.dag, train_encoder.dag], ids=lambda dag: dag.dag_id)
def test_every_task_has_a_timeout_and_every_dag_a_page(dag: DAG) -> None:
    assert dag.doc_md
    assert all(task.execution_timeout for task in dag.tasks)


def test_extraction_of_the_night_and_of_training_is_the_same_job() -> None:
    """Training submits what the night would."""
    task = nightly_scoring.dag.get_task("extract_sessions")
    task.render_template_fields(context(model_version=None))
    assert task.application_args == command_line(extraction_arguments(["2026-11-05"]))


def test_a_data_error_is_not_retried_and_its_last_line_is_the_reason() -> None:
    reason = "extract_sessions failed: TooManyBadRowsError: 9 of 20 rows are bad"
    failure = RuntimeError(f"Cannot execute: spark-submit … Error code is: 65.\n  stack\n  {reason}\n")
    decision = RetryUnlessDataError().evaluate(failure, try_number=1, max_tries=3)
    assert (decision.action.value, decision.reason) == ("fail", reason)


@pytest.mark.parametrize(
    "message", ["Error code is: 1.", "non-zero exit code 165", "application_65 was lost"]
)
def test_any_other_failure_is_retried(message: str) -> None:
    decision = RetryUnlessDataError().evaluate(RuntimeError(message), try_number=1, max_tries=3)
    assert decision.action.value == "default"


def test_the_bash_operators_message_of_a_data_error_is_understood() -> None:
    failure = RuntimeError("Bash command failed. The command returned a non-zero exit code 65.")
    assert RetryUnlessDataError().evaluate(failure, 1, 3).action.value == "fail"


def test_the_pinned_model_reaches_the_job_as_json() -> None:
    task = nightly_scoring.dag.get_task("score_users")
    task.render_template_fields(context(model_version=None))
    assert json.loads(task.application_args[task.application_args.index("--model") + 1]) == PINNED


def test_a_night_asks_for_reasons_once_a_threshold_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SETTINGS, "reasons_above", 0.8)
    task = runpy.run_path(nightly_scoring.__file__)["dag"].get_task("score_users")
    assert task.application_args[-4:] == ["--reasons-above", "0.8", "--top-reasons", "3"]


def test_run_folder_holds_no_character_that_hdfs_refuses() -> None:
    task = train_encoder.dag.get_task("build_training_set")
    task.render_template_fields(context(training_date="2026-11-05", seed=7, promote=False, force=False))
    output = task.application_args[task.application_args.index("--output") + 1]
    assert ":" not in output.removeprefix(SETTINGS.hdfs_url)
