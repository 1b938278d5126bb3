"""Simulate install logs and labels: `python -m simulator --output DIR --users 20000`.

Out  DIR/installs/ds=…/, DIR/labels.csv, DIR/truth.csv, as docs/simulator.md describes; a line per landing day
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from simulator.simulate import OutputExistsError, Simulation, Summary, simulate
from simulator.writer import FileFormat


def main(
    output: Annotated[Path, typer.Option(help="Folder to write to; must not hold a simulation yet.")],
    users: Annotated[int, typer.Option(help="Number of users.")] = 20_000,
    days: Annotated[int, typer.Option(help="Landing days; the first brings months of history.")] = 4,
    first_day: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="First landing day, UTC.")
    ] = datetime(2026, 1, 1, tzinfo=UTC),
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
    apps: Annotated[int, typer.Option(help="Number of different apps.")] = 5_000,
    bad_share: Annotated[float, typer.Option(help="Bad rows for each good one, 0 to 1.")] = 0.01,
    file_format: Annotated[
        FileFormat, typer.Option("--format", help="Format of the install logs.")
    ] = FileFormat.JSONL,
    processes: Annotated[int, typer.Option(min=1, help="Processes to use; changes no byte.")] = 1,
) -> None:
    """Write install logs, labels and the true risk of each labelled user."""
    try:
        simulation = Simulation(users, days, first_day.date(), seed, apps, bad_share, file_format)
        summary = simulate(simulation, output, processes)
    except (ValueError, OutputExistsError) as error:
        raise typer.BadParameter(str(error)) from error
    _print_summary(simulation, summary)


def _print_summary(simulation: Simulation, summary: Summary) -> None:
    for ds in map(str, simulation.landing_days):
        counts = {kind: count for (day, kind), count in summary.rows.items() if day == ds}
        print(f"ds={ds}  " + "  ".join(f"{kind} {count:,}" for kind, count in counts.items()))
    print(f"{simulation.users:,} users, {summary.labels:,} labels, {summary.positives:,} of them 1")


if __name__ == "__main__":
    typer.run(main)
