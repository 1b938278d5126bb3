"""Options that no job takes: numbers that are none, endless ones, and batches that no memory holds."""

import importlib
import inspect
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jobs.command import parse_multiple, parse_share
from jobs.errors import WrongArgumentsError
from jobs.lake.tables import TablePartition

JOBS = (
    "audit_scores",
    "build_sequences",
    "build_training_set",
    "check_data",
    "explain_user",
    "extract_sessions",
    "score_users",
)


def options_of(kind: type) -> list[tuple[str, str]]:
    """Jobs and their options of a type, as (job, option)."""
    return [
        (job, name)
        for job in JOBS
        for name, parameter in inspect.signature(
            importlib.import_module(f"jobs.{job}").main
        ).parameters.items()
        if kind.__name__ in str(parameter.annotation).split(",")[0]
    ]


def refusal(job: str, name: str, text: str) -> str | None:
    """What a job's command line says against a value; None if it takes it, and misses other options."""
    app = typer.Typer(rich_markup_mode=None)
    app.command()(importlib.import_module(f"jobs.{job}").main)
    result = CliRunner().invoke(app, [f"--{name.replace('_', '-')}={text}"])
    assert result.exit_code == 2
    return None if "Missing option" in result.output else result.output


@pytest.mark.parametrize(("job", "name"), options_of(float))
def test_no_option_is_nan_or_negative(job: str, name: str) -> None:
    for text in ("nan", "NaN", "-0.1", "-inf"):
        assert text in (refusal(job, name, text) or "taken")


def test_the_options_that_are_numbers_are_found() -> None:
    assert ("extract_sessions", "lowest_volume") in options_of(float)
    assert len(options_of(float)) == 7


@pytest.mark.parametrize(("text", "share"), [("0", 0.0), ("0.05", 0.05), ("1", 1.0)])
def test_a_share_is_from_0_to_1(text: str, share: float) -> None:
    assert parse_share(text) == share
    for wrong in ("1.1", "inf", "5"):
        with pytest.raises(typer.BadParameter, match=f"from 0 to 1, got {wrong}"):
            parse_share(wrong)


def test_a_multiple_is_from_1_on_and_may_be_no_limit() -> None:
    assert [parse_multiple(text) for text in ("1", "2.5", "inf")] == [1.0, 2.5, float("inf")]
    for wrong in ("0.5", "0", "nan"):
        with pytest.raises(typer.BadParameter, match=f"from 1 on, or inf for no limit, got {wrong}"):
            parse_multiple(wrong)


@pytest.mark.parametrize("text", ["0", "1048577", "1e6"])
def test_a_batch_that_cannot_be_scored_is_refused(text: str) -> None:
    assert "Invalid value" in (refusal("score_users", "max_tokens_per_batch", text) or "taken")
    assert refusal("score_users", "max_tokens_per_batch", "1048576") is None


@pytest.mark.parametrize(
    ("job", "name"), [("build_training_set", "training_date"), ("extract_sessions", "day")]
)
@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01", "yesterday", "nan", ""])
def test_a_date_that_the_calendar_does_not_have_is_refused(job: str, name: str, text: str) -> None:
    assert "Invalid value" in (refusal(job, name, text) or "taken")
    assert refusal(job, name, "2026-02-28") is None


DAY = "risk.user_sequences/ds=2026-01-31"


@pytest.mark.parametrize(
    ("job", "options"),
    [
        (
            "score_users",
            {"sequences": DAY, "scores": DAY, "model": "", "public_key": "", "wap_id": "", "run_id": ""},
        ),
        ("audit_scores", {"sequences": DAY, "scores": DAY, "model": "", "wap_id": ""}),
        (
            "build_sequences",
            {
                "sessions": "risk.user_sequences",
                "sequences": TablePartition.parse(DAY),
                "landing_root": "",
                "receipts_root": "",
            },
        ),
        (
            "extract_sessions",
            {
                "landing_root": "",
                "receipts_root": "",
                "sessions": "risk.install_sessions",
                "rejected": "risk.install_sessions",
                "counts": "risk.extraction_counts",
                "day": [],
            },
        ),
    ],
)
def test_a_table_that_is_named_for_two_things_is_refused_before_anything_is_read(
    job: str, options: dict[str, Any]
) -> None:
    with pytest.raises(WrongArgumentsError, match="different tables, got risk"):
        importlib.import_module(f"jobs.{job}").main(**options)
