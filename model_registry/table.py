"""Versions as a table of plain text.

In   VersionRow values
Out  version  aliases   sha256        auc     baseline_auc  created (UTC)        run_id  hdfs_uri
     3        champion  0123456789ab  0.8731  0.8610        2026-01-31 02:10:05  5e1f…   hdfs://…
"""

from collections.abc import Sequence

from model_registry.tracking.model_tracking import VersionRow

HEADINGS = ("version", "aliases", "sha256", "auc", "baseline_auc", "created (UTC)", "run_id", "hdfs_uri")


def render(rows: Sequence[VersionRow]) -> str:
    """Align columns by their widest cell; "-" stands for a value that a version does not have (yet)."""
    if not rows:
        return "no versions yet: train, then python -m model_registry register --run-id RUN"
    table = [HEADINGS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(_line(cells, widths) for cells in table)


def _cells(row: VersionRow) -> tuple[str, ...]:
    return (
        str(row.version),
        ",".join(row.aliases) or "-",
        (row.sha256 or "-")[:12],
        _figure(row.auc),
        _figure(row.baseline_auc),
        f"{row.created_at:%Y-%m-%d %H:%M:%S}",
        row.run_id or "-",
        row.hdfs_uri or "-",
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
