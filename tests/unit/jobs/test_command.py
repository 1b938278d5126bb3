"""The end of every job: exit status and last line."""

from typing import Annotated

import pytest
import typer

from jobs.command import EXIT_FAILED, EXIT_REFUSED, Failure, run_job
from jobs.errors import DataError


class DayRefusedError(DataError):
    pass


def exit_of(monkeypatch, main, *arguments):
    monkeypatch.setattr("sys.argv", ["/somewhere/extract_sessions.py", *arguments])
    monkeypatch.setattr("jobs.command.stop_spark", lambda **_: None)  # other tests go on using the session
    with pytest.raises(SystemExit) as stopped:
        run_job(main)
    return stopped.value.code


def refuse(message: Annotated[str, typer.Option()]) -> None:
    raise DayRefusedError(message)


def break_down() -> None:
    raise ConnectionError("HDFS is\ndown")


def test_a_job_that_returns_exits_with_0(monkeypatch):
    assert exit_of(monkeypatch, lambda: None) == 0


def test_a_data_error_exits_with_65_and_its_line_comes_last(monkeypatch, capsys):
    assert exit_of(monkeypatch, refuse, "--message", "61 rows\n  are bad") == EXIT_REFUSED
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == "extract_sessions failed: DayRefusedError: 61 rows are bad"
    )


def test_any_other_error_exits_with_1_after_its_traceback(monkeypatch, capsys):
    assert exit_of(monkeypatch, break_down) == EXIT_FAILED
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "extract_sessions failed: ConnectionError: HDFS is down"


def test_an_error_of_another_package_may_say_that_a_retry_cannot_help(monkeypatch):
    class HashMismatchError(Exception):
        retryable = False

    def main() -> None:
        raise HashMismatchError("ab12… is not cd34…")

    assert exit_of(monkeypatch, main) == EXIT_REFUSED


def test_a_missing_option_exits_with_2_and_is_named_last(monkeypatch, capsys):
    assert exit_of(monkeypatch, refuse) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "Error: Missing option '--message'."


def test_a_refusal_is_printed_in_full_and_an_unexpected_error_is_cut():
    assert Failure.of(DayRefusedError("day " * 1000)).line("job").endswith("day")
    assert Failure.of(ConnectionError("frame " * 1000)).line("job").endswith(" …")


@pytest.mark.parametrize(
    ("cause", "named"),
    [
        (
            "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException: The DiskSpace quota of /lake is exceeded",
            "DSQuotaExceededException: The DiskSpace quota of /lake is exceeded",
        ),
        ("java.io.IOException: No space left on device", "No space left on device"),
    ],
)
def test_a_full_disk_is_named_wherever_it_stands_in_javas_causes(cause, named):
    error = RuntimeError(f"An error occurred\n\tat org.apache.X\nCaused by: {cause}\n\tat java.base/java.Y")
    assert Failure.of(error).line("job").startswith(f"job failed: NoSpaceError: {named}: expected room")


def test_a_permission_that_hdfs_denies_is_named_wherever_it_stands_in_javas_causes():
    denied = 'Permission denied: user=reader, access=WRITE, inode="/lake/risk":scoring:supergroup:drwxr-x---'
    cause = f"org.apache.hadoop.security.AccessControlException: {denied}"
    error = RuntimeError(f"An error occurred\n\tat org.apache.X\nCaused by: {cause}\n\tat java.Y")
    failure = Failure.of(error)
    assert failure.line("job").startswith(
        f"job failed: PermissionDeniedError: {denied}: expected an identity"
    )
    assert failure.is_refused


def test_an_expired_token_is_named_wherever_it_stands_in_javas_causes():
    cause = (
        "org.apache.hadoop.ipc.RemoteException(org.apache.hadoop.security.token.SecretManager$InvalidToken)"
    )
    error = RuntimeError(
        f"An error occurred\n\tat org.apache.X\nCaused by: {cause}: Token has expired\n\tat java.Y"
    )
    line = Failure.of(error).line("job")
    assert line.startswith("job failed: TokenExpiredError: InvalidToken: Token has expired: expected a token")
