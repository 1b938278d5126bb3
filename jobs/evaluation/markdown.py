"""Markdown of model cards, comparison pages and benchmarks."""

from collections.abc import Iterable, Sequence

from jobs.evaluation.intervals import Interval


def write_interval(interval: Interval, form: str = ".4f") -> str:
    """Write value and bounds: `0.8731 (0.8650 to 0.8812)`."""
    return f"{interval.value:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def write_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table, one line a row; characters that would end a cell are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
