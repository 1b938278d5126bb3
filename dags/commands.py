"""Run a Python module of this environment as a task, without a shell.

In   words: jobs.train_encoder --training-set hdfs://… ; every template is one word, whatever it renders to
Out  the last line of its standard output that is a JSON object: {"run_id": "3f2a…", "auc": 0.873}
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from tempfile import TemporaryDirectory
from threading import Thread
from typing import IO, Any, cast

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from settings import Settings

# Airflow's configuration, with its keys and its database's password, and its connections: no job needs them.
AIRFLOWS_OWN = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_")

Params = Mapping[str, Any]


class CommandFailedError(AirflowException):
    """A command ended with an exit status other than 0; its last line on stderr says why."""


class NoResultError(AirflowException):
    """A command ended well without printing the result that the next task needs."""


class Command(BaseOperator):
    """Run `python -m` with some words; return the result that it prints.

    Args:
        words: a module and its arguments (templated).
        identity: on whose behalf it runs, such as `training`.
        more_words: makes further arguments of the run's params.
        has_result: whether the command prints a JSON object.
    """

    template_fields = ("words",)

    def __init__(
        self,
        *,
        words: list[str],
        identity: str,
        more_words: Callable[[Params], list[str]] | None = None,
        has_result: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.words = words
        self.identity = identity
        self.more_words = more_words
        self.has_result = has_result
        self.process: subprocess.Popen[str] | None = None

    def command_line(self, params: Params) -> list[str]:
        """The words that are executed, once templates are rendered."""
        more = self.more_words(params) if self.more_words else []
        return [sys.executable, "-m", *self.words, *more]

    def environment(self) -> dict[str, str]:
        """This worker's variables without Airflow's own, and those of the identity."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(AIRFLOWS_OWN)}
        return kept | Settings().identity(self.identity)

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Run the command.

        Raises:
            CommandFailedError: it failed; the message ends with its reason.
            NoResultError: it printed no JSON object.
        """
        command_line = self.command_line(context["params"])
        self.log.info("running %s", shlex.join(command_line))
        last_error: deque[str] = deque(maxlen=1)
        with TemporaryDirectory() as folder:
            # Not `with Popen`: after a time-out it would wait for the command, which on_kill ends only later.
            self.process = subprocess.Popen(
                command_line,
                cwd=folder,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="backslashreplace",
                start_new_session=True,
            )
            stdout, stderr = cast(IO[str], self.process.stdout), cast(IO[str], self.process.stderr)
            errors = Thread(target=self._follow_errors, args=(stderr, last_error), daemon=True)
            errors.start()
            result = self._follow_output(stdout)
            exit_code = self.process.wait()
            errors.join()
        if exit_code != 0:
            reason = last_error[0] if last_error else "it printed nothing on stderr"
            raise CommandFailedError(f"{self.words[0]} ended with exit code {exit_code}\n{reason}")
        if self.has_result and result is None:
            raise NoResultError(
                f"expected {self.words[0]} to print its result as a line of JSON on stdout, found none: read "
                "its output above"
            )
        return result

    def _follow_output(self, lines: Iterable[str]) -> dict[str, Any] | None:
        """Log the lines and return the last JSON object: libraries may print more after it."""
        result = None
        for line in lines:
            self.log.info("%s", line.rstrip())
            result = parse_object(line) or result
        return result

    def _follow_errors(self, lines: Iterable[str], last: deque[str]) -> None:
        for line in lines:
            if line.strip():
                self.log.info("%s", line.rstrip())
                last.append(line.strip())

    def on_kill(self) -> None:
        """End the command and what it started."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)


def parse_object(line: str) -> dict[str, Any] | None:
    """Read a line that is one JSON object; None for any other."""
    if not line.startswith("{"):
        return None
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def matching(value: object, pattern: str) -> str:
    """Check what another task passed on, since anyone who may edit XComs can change it; a filter of templates.

    >>> matching(4, "[0-9]+")
    '4'

    Raises:
        AirflowFailException: the whole value does not match.
    """
    if not re.fullmatch(pattern, str(value), re.ASCII):
        raise AirflowFailException(
            f"expected a value such as {pattern}, found {str(value)[:80]!r}: clear the task that made it"
        )
    return str(value)
