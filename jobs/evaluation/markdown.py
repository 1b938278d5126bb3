"""Markdown of model cards, comparison pages and benchmarks."""

from collections.abc import Iterable, Sequence

from jobs.evaluation.intervals import Interval


def write_interval(found: Interval, form: str = ".4f") -> str:
    """Value and bounds: `0.8731 (0.8650 to 0.8812)`."""
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"


def write_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table, one line a row; what would end a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
