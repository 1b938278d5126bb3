"""Commands: words without a shell, a result that noise does not hide, a reason that decides on retries."""

import os
import signal
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from airflow.sdk import TaskInstanceState
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.task_runner import _handle_current_task_failed

from dags.commands import Command, CommandFailedError, NoResultError, matching
from dags.common import DEFAULT_ARGS


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that a command can run by its name `made_up_job`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(code: str) -> None:
        (tmp_path / "made_up_job.py").write_text(f"import sys\n{code}\n")

    return write


def run(*words: str, **options: Any) -> Any:
    task = Command(
        task_id="command", identity="training", words=["made_up_job", *words], **{**DEFAULT_ARGS, **options}
    )
    return task.execute({"params": {"seed": 7}})


def test_the_result_is_the_last_json_object_on_stdout_whatever_is_printed_around_it(module):
    module(
        """print('{"run_id": "early"}')
print('{"run_id": "3f2a", "auc": 0.9}')
print('[1, 2]\\n{not json}\\nView run at http://127.0.0.1:5000', flush=True)
print('WARNING: a thread did not end\\n{"level": "warning"}', file=sys.stderr)
sys.stdout.buffer.write(b'\\xff\\n')"""
    )
    assert run() == {"run_id": "3f2a", "auc": 0.9}


def test_a_command_that_prints_no_result_fails_unless_none_is_expected(module):
    module("print('version 4 is champion')")
    with pytest.raises(NoResultError, match="made_up_job"):
        run()
    assert run(has_result=False) is None


def test_every_word_reaches_the_command_as_it_is(module):
    module("import json; print(json.dumps({'words': sys.argv[1:]}))")
    words = ["$(touch x)", "a b", "'", '"', "; exit 3", "two\nlines", "", "*"]
    result = run(*words, more_words=lambda params: ["--seed", str(params["seed"])])
    assert result == {"words": [*words, "--seed", "7"]}


def test_much_output_on_both_streams_does_not_block_the_command(module):
    module("print('e' * 300_000, file=sys.stderr); print('o' * 300_000); print('{\"done\": 1}')")
    assert run() == {"done": 1}


def test_a_command_sees_the_environment_without_airflows_own_secrets(module, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "key")
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", "spark://user:password@yarn")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    module("import json, os; print(json.dumps(dict(os.environ)))")
    seen = run()
    assert seen["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    assert not {name for name in seen if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))}


def outcome(failure: Exception, try_number: int = 1, max_tries: int = 10) -> TaskInstanceState:
    """What Airflow makes of a task that failed so."""
    from_server = SimpleNamespace(max_tries=max_tries, should_retry=try_number <= max_tries)
    log = SimpleNamespace(info=lambda event, **details: print(event, details))
    ti = SimpleNamespace(
        task=SimpleNamespace(retry_policy=DEFAULT_ARGS["retry_policy"]),
        try_number=try_number,
        rendered_map_index=None,
        stats_tags={},
        _ti_context_from_server=from_server,
        _failure_metrics_emitted=False,
    )
    return _handle_current_task_failed(ti, failure, log)[1]


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    [
        (1, TaskInstanceState.UP_FOR_RETRY),
        (137, TaskInstanceState.UP_FOR_RETRY),  # killed, such as by the kernel for its memory
        (165, TaskInstanceState.UP_FOR_RETRY),
        (2, TaskInstanceState.FAILED),  # wrong options
        (65, TaskInstanceState.FAILED),  # the input is refused
    ],
)
def test_a_failed_command_is_retried_unless_its_input_is_at_fault(module, capsys, exit_code, expected):
    module(f"print('made_up_job failed: SomeError: why', file=sys.stderr); sys.exit({exit_code})")
    with pytest.raises(CommandFailedError) as failure:
        run()
    assert (
        str(failure.value)
        == f"made_up_job ended with exit code {exit_code}\nmade_up_job failed: SomeError: why"
    )
    assert outcome(failure.value) == expected
    if expected == TaskInstanceState.FAILED:
        assert "'reason': 'made_up_job failed: SomeError: why'" in capsys.readouterr().out


def test_a_command_and_what_it_started_are_ended_with_their_task(module, tmp_path):
    pids = tmp_path / "pids"
    module(
        f"""import os, subprocess, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
with open({str(pids)!r}, 'w') as file: file.write(f'{{os.getpid()}} {{child.pid}}')
time.sleep(600)"""
    )
    task = Command(task_id="command", identity="training", words=["made_up_job"])

    class TimeOut(BaseException):
        """As Airflow raises when the execution's time is up."""

    def interrupt(*_: object) -> None:
        raise TimeOut

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        with pytest.raises(TimeOut):
            task.execute({"params": {}})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    started = [int(pid) for pid in pids.read_text().split()]
    task.on_kill()
    deadline = time.monotonic() + 30
    while any(is_alive(pid) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in started if is_alive(pid)]
    task.on_kill()  # nothing is left to end


def is_alive(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    "value", ["x; touch pwned", "--force", "0123456789abcdef" * 2 + "\n", "", None, {"a": 1}]
)
def test_what_another_task_passed_on_is_checked(value):
    with pytest.raises(AirflowFailException, match="clear the task that made it"):
        matching(value, "[0-9a-f]{32}")
    assert matching("0123456789abcdef" * 2, "[0-9a-f]{32}")


def test_a_command_has_the_variables_of_its_identity_and_none_of_airflows(module, monkeypatch, tmp_path):
    (tmp_path / "training.env").write_text("HADOOP_USER_NAME=training\n")
    monkeypatch.setenv("RISK_IDENTITIES_DIR", str(tmp_path))
    monkeypatch.setenv("HADOOP_USER_NAME", "scheduler")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "key")
    module(
        "import json, os; print(json.dumps({'user': os.environ['HADOOP_USER_NAME'],"
        " 'keys': [name for name in os.environ if name.startswith('AIRFLOW__')]}))"
    )
    assert run() == {"user": "training", "keys": []}
