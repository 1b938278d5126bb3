"""Start and end of every job's command line.

In   a typed function, whose parameters become the options
Out  an exit status, and on failure one line, the last of stderr, which SparkSubmitOperator's log still shows:
     extract_sessions failed: TooManyBadRowsError: 61 of 800 rows (7.6%) are bad, allowed are 5.0%

    exit  0   done
    exit  2   wrong options
    exit 65   the data or the request is refused: running again with the same input gives the same answer
    exit  1   anything else: a retry may help
"""

import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from pydantic_settings import CliApp

from jobs.errors import WrongArgumentsError
from jobs.lake.java_errors import (
    TokenExpiredError,
    find_denied_permission,
    find_lack_of_room,
    find_parquet_file,
    find_refused_token,
    is_damage,
    java_text,
    root_cause,
)

EXIT_FAILED = 1
EXIT_REFUSED = 65  # EX_DATAERR of sysexits.h
# Characters. A Java error's text holds its whole stack trace, which is already printed above the line.
LONGEST_UNEXPECTED_MESSAGE = 1000

Model = TypeVar("Model", bound=BaseModel)


def run_job(main: Callable[..., None], arguments: type[BaseModel] | None = None) -> NoReturn:
    """Run `main` with the options of the command line, stop Spark if it was started, and exit.

    Args:
        arguments: type of the one argument that `main` takes; its fields are the options. Without it, the
            parameters of `main` are the options.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    try:
        if arguments is None:
            # Without rich markup, a usage error also ends in a plain line.
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            app.command()(main)
            app(standalone_mode=True)  # exits by SystemExit: 0 when done, 2 on wrong options
        else:
            main(parse(arguments))
    except Exception as error:
        failure = Failure.of(error)
        if not failure.is_refused:
            traceback.print_exc()
        stop_spark(silence_its_log=True)
        print(failure.line(Path(sys.argv[0]).stem), file=sys.stderr, flush=True)
        raise SystemExit(EXIT_REFUSED if failure.is_refused else EXIT_FAILED) from error
    finally:
        stop_spark()
    raise SystemExit(0)


def parse(arguments: type[Model], command_line: list[str] | None = None) -> Model:
    """Read options `--encoder.hidden-dim 32` into a model's fields; `--help` prints them and exits.

    Raises:
        WrongArgumentsError: the model refuses values; the message names each.
        SystemExit: 2 on options that the model does not have.
    """
    try:
        return CliApp.run(arguments, command_line)
    except ValidationError as error:
        refused_values = (
            f"{'.'.join(map(str, detail['loc']))} {detail['msg'].removeprefix('Value error, ')}"
            + (f", got {detail['input']!r}" if isinstance(detail["input"], str | int | float) else "")
            for detail in error.errors()
        )
        raise WrongArgumentsError("; ".join(refused_values)) from error


def parse_share(text: str) -> float:
    """Read an option from 0 to 1; NaN is refused, since every comparison with it is false."""
    share = float(text)
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"expected a number from 0 to 1, got {text}")
    return share


def parse_multiple(text: str) -> float:
    """Read an option from 1 on; `inf` is no limit, and NaN is refused."""
    multiple = float(text)
    if not multiple >= 1:
        raise typer.BadParameter(f"expected a number from 1 on, or inf for no limit, got {text}")
    return multiple


@dataclass(frozen=True)
class Failure:
    """Why a job failed; `is_refused` if a retry cannot help."""

    name: str
    message: str
    is_refused: bool

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """Read the reason of an error; four reasons are looked for among the causes that Java gives.

        DataError and some registry errors say by `retryable = False` that a retry cannot help.
        """
        if getattr(error, "retryable", True) is False:
            return cls(type(error).__name__, str(error), is_refused=True)
        text = java_text(error)
        if is_damage(text):
            file = find_parquet_file(text) or "a file below a table, named in the executor's log,"
            message = (
                f"{file} cannot be read: {root_cause(text)}: expected the bytes that were written; run the job "
                "again that wrote this date of the table"
            )
            return cls("TableDamagedError", message, is_refused=True)
        if lack := find_lack_of_room(text):
            message = (
                f"{lack}: expected room on HDFS and in Spark's local folders (spark.local.dir); make room or "
                "raise the quota, a retry then goes on"
            )
            return cls("NoSpaceError", message, is_refused=False)
        if denied := find_denied_permission(text):
            message = f"{denied}: expected an identity that may do this; docs/deploy.md, Who may do what"
            return cls("PermissionDeniedError", message, is_refused=True)
        if token := find_refused_token(text):
            message = (
                f"{token}: expected a token that HDFS takes; a job that may last longer than its tokens needs "
                "RISK_KERBEROS_KEYTAB, a retry begins with new ones"
            )
            return cls(TokenExpiredError.__name__, message, is_refused=False)
        return cls(type(error).__name__, str(error), is_refused=False)

    def line(self, job: str) -> str:
        """Write the one line that says which job failed and why."""
        message = " ".join(self.message.split())
        if not self.is_refused and len(message) > LONGEST_UNEXPECTED_MESSAGE:
            message = message[:LONGEST_UNEXPECTED_MESSAGE] + " …"
        return f"{job} failed: {self.name}: {message}"


def stop_spark(silence_its_log: bool = False) -> None:
    """Stop the active Spark session, if this process ever started one.

    `silence_its_log` turns the JVM's log off first: its shutdown would write below the line of the failure.
    """
    if "pyspark.sql" not in sys.modules:  # jobs without Spark do not pay for its import
        return
    from py4j.protocol import Py4JError
    from pyspark.sql import SparkSession

    try:
        spark = SparkSession.getActiveSession()
        if spark is None:
            return
        if silence_its_log:
            spark.sparkContext.setLogLevel("OFF")
        spark.stop()
    except (Py4JError, OSError) as error:  # the JVM has already ended
        logging.getLogger(__name__).warning("Spark did not stop cleanly: %s", type(error).__name__)
