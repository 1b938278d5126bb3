"""The registry's command line: python -m model_registry register|push|promote|list|verify|pull|pin|new-key

In   a training run's id or a version number; addresses from settings
Out  what was done; `register`, `push` and `pin` print one line of JSON last, for the scheduler to pass on

    exit  0   done
    exit  2   wrong options
    exit 65   refused: running the same command again gives the same answer
    exit  1   a service is down: a retry may help
"""

import getpass
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from model_registry.connect import connect_store, connect_tracking
from model_registry.errors import ModelRegistryError
from model_registry.gate import Limits
from model_registry.publishing import Approval, promote_version, push_version
from model_registry.resolve import pin as pin_version
from model_registry.signing import make_key_pair
from model_registry.table import render
from settings import Settings

EXIT_RETRY = 1
EXIT_REFUSED = 65  # EX_DATAERR of sysexits.h; the DAGs do not retry it

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Model versions: registered in MLflow, stored on HDFS.",
)

Version = Annotated[int, typer.Option("--version", min=1, help="Number of the model version.")]


def settings_as(identity: str) -> Settings:
    """Let this process act as an identity, if its environment keeps them apart, and read its settings."""
    os.environ.update(Settings().identity(identity))
    return Settings()


@app.command()
def register(run_id: Annotated[str, typer.Option(help="MLflow run that holds saved_model/.")]) -> None:
    """Make a training run's SavedModel a model version (once) and print it."""
    model = connect_tracking(settings_as("training")).register(run_id)
    typer.echo(json.dumps({**asdict(model), "run_id": run_id}))


@app.command()
def push(version: Version) -> None:
    """Copy a version to HDFS, verify it there, tag it, and make it challenger."""
    settings = settings_as("training")
    pinned = push_version(connect_tracking(settings), connect_store(settings), version)
    typer.echo(pinned.to_json())


@app.command()
def promote(
    version: Version,
    force: Annotated[
        bool,
        typer.Option("--force", help="Promote it whatever the comparison says; the objections are recorded."),
    ] = False,
    by: Annotated[
        str, typer.Option(help="Person who decides it, recorded on the version; empty: this account.")
    ] = "",
) -> None:
    """Sign a pushed version and make it champion: the next nightly run scores with it.

    Refused if its latest comparison with the champion finds it worse, or if there is none.
    """
    settings = settings_as("promotion")
    limits = Limits(settings.promotion_auc_margin, settings.promotion_max_ece)
    approval = Approval(by or getpass.getuser(), settings.signing_key, is_forced=force)
    pinned = promote_version(connect_tracking(settings), connect_store(settings), version, approval, limits)
    typer.echo(f"{pinned.name} version {pinned.version} is champion: {pinned.uri}")


@app.command("list")
def list_versions() -> None:
    """Show all versions, newest first."""
    typer.echo(render(connect_tracking(settings_as("scoring")).rows()))


@app.command()
def verify(version: Version) -> None:
    """Read a version's bytes back from HDFS and compare their SHA-256."""
    settings = settings_as("scoring")
    model = connect_tracking(settings).version(version)
    store = connect_store(settings)
    store.verify(model)
    typer.echo(f"{store.pinned(model).uri} has SHA-256 {model.sha256}, as registered")


@app.command()
def pull(
    version: Version, folder: Annotated[Path, typer.Argument(help="Local folder to copy into.")]
) -> None:
    """Copy a version from HDFS to FOLDER/<name>-v<version>-<hash>, verified."""
    settings = settings_as("scoring")
    model = connect_tracking(settings).version(version)
    typer.echo(connect_store(settings).pull(model, folder))


@app.command()
def pin(
    version: Annotated[int | None, typer.Option(min=1, help="Version; without it, the champion.")] = None,
) -> None:
    """Resolve the champion, or the given version, and print what jobs take as --model."""
    settings = settings_as("scoring")
    typer.echo(pin_version(connect_tracking(settings), connect_store(settings), version).to_json())


@app.command("new-key")
def new_key() -> None:
    """Make the pair of keys that models are signed with: RISK_MODEL_SIGNING_KEY, RISK_MODEL_PUBLIC_KEY."""
    settings = Settings()
    make_key_pair(settings.signing_key, settings.public_key)
    typer.echo(f"{settings.signing_key}: keep it where versions are promoted, and nowhere else")
    typer.echo(f"{settings.public_key}: copy it to where Airflow and trainings run")


def main() -> None:
    try:
        app(prog_name="python -m model_registry")
    except ModelRegistryError as error:
        message = " ".join(str(error).split())
        print(f"model_registry failed: {type(error).__name__}: {message}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_RETRY if error.retryable else EXIT_REFUSED) from error


if __name__ == "__main__":
    main()
