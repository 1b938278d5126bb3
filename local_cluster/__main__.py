"""Start, look at and stop the one-machine cluster: `python -m local_cluster up|down|status|sql`."""

import os
import sys
from typing import Annotated

import typer

from local_cluster.environment import (
    airflow_environment,
    client_environment,
    identity_environment,
    pipeline_settings,
)
from local_cluster.layout import ClusterError, Layout
from local_cluster.start import memory_gb, start, web_pages
from local_cluster.supervision import (
    states,
    stop_everything,
    supervisor_process,
)
from settings import Settings

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def up() -> None:
    """Start the cluster and wait until every service answers; harmless if it already runs."""
    start(Layout(Settings()))


@app.command()
def down() -> None:
    """Stop what `up` started, also after a crash, and nothing else."""
    stopped = stop_everything(Layout(Settings()))
    print(f"stopped {stopped} processes" if stopped else "nothing of this cluster runs")


@app.command()
def status() -> None:
    """Print each service's state, the memory of all, and the web pages; exit code 1 if something is down."""
    layout = Layout(Settings())
    if supervisor_process(layout) is None:
        print("the cluster is down: `make up` starts it")
        raise typer.Exit(1)
    current = states(layout)
    for name, state in current.items():
        print(f"{name:24}{state}")
    print(f"memory of all processes: {memory_gb(layout):.1f} GB")
    print("\n".join(web_pages(layout)))
    if set(current.values()) != {"RUNNING"}:
        raise typer.Exit(1)


@app.command()
def sql(
    identity: Annotated[
        str, typer.Option("--as", help="scoring, or reader, who sees the scores alone")
    ] = "scoring",
) -> None:
    """Open a spark-sql shell on the tables: `SELECT * FROM lake.risk.risk_scores LIMIT 10;`."""
    layout = Layout(Settings())
    environment = {**os.environ, **identity_environment(layout, identity)}
    command = [str(layout.python_bin / "spark-sql"), "--master", "local[2]"]
    command += ["--conf", f"spark.sql.catalog.lake.jdbc.user={identity}"]
    os.chdir(layout.tmp)  # the shell writes Hive's derby.log and metastore_db into its working folder
    os.execvpe(command[0], command, environment)


@app.command("as", context_settings={"allow_interspersed_args": False})
def run_as(
    identity: Annotated[str, typer.Argument(help="landing, scoring, training, promotion or reader")],
    command: Annotated[list[str], typer.Argument(help="a command and its arguments")],
) -> None:
    """Run a command as an identity: `as training python -m jobs.compare_models --help`."""
    variables = Settings().identity(identity)
    if not variables:
        raise ClusterError(
            "there are no identities here: RISK_IDENTITIES_DIR names their folder, `make up` makes it"
        )
    os.execvpe(command[0], command, os.environ | variables)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def airflow(context: typer.Context) -> None:
    """Run Airflow's own command line on this cluster: `airflow backfill create --help`."""
    layout = Layout(Settings())
    environment = {
        **os.environ,
        **client_environment(layout),
        **pipeline_settings(layout),
        **airflow_environment(layout),
    }
    command = str(layout.python_bin / "airflow")
    os.execvpe(command, [command, *context.args], environment)


def main() -> None:
    """Turn a ClusterError into its message and exit code 1."""
    try:
        app()
    except ClusterError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
