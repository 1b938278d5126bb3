"""Score one user and explain the score: `python -m jobs.explain_user --model DIR --apps maps,chat`.

In   a SavedModel's folder, or a version of the registry, and the user's apps, first install first: from the
     command line or from Parquet files with user_id, app_ids and event_times, such as an export of
     user_sequences or a training set
Out  user u1: risk score 0.0310, logit -3.4400
     baseline -3.2000, and what each install adds:
       position  app_id            contribution
              2  quick cash             +1.3100
              1  qzx (unknown)          -0.2200

Positions count from 1, the first install. Installs that the model does not read add 0. Apps without times, as
on the command line, are read as one session.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import typer

from jobs.command import run_job
from jobs.encoder.tokens import UNKNOWN_TOKEN_ID, apps_of
from jobs.errors import DataError, WrongArgumentsError
from jobs.scoring.engine import ScoringModel, load
from model_registry.hashing import verify_folder

APPS_ON_COMMAND_LINE = "(apps given)"


class NoSuchUserError(DataError):
    """The sequences hold no such user."""


class UnreadableSequencesError(DataError):
    """The sequences are missing, or lack a column."""


@dataclass(frozen=True)
class ExplainedInstall:
    """One install and what it adds to the logit."""

    position: int  # 1 is the user's first install
    app_id: str
    contribution: float
    unknown: bool  # the app is not in the model's vocabulary


@dataclass(frozen=True)
class ExplainedUser:
    """A user's score and its parts."""

    risk_score: float
    logit: float
    baseline_logit: float
    installs: list[ExplainedInstall]  # largest contribution first, whatever its sign


def explain_user(
    model: ScoringModel, app_ids: list[str], event_times: list[datetime] | None = None
) -> ExplainedUser:
    """Score and explain one user's apps, first install first; without times they are one session."""
    times = None if event_times is None else pa.array([event_times], pa.list_(pa.timestamp("us", "UTC")))
    tokens = model.encode(pa.array([app_ids], pa.list_(pa.string())), times).values
    risk_score, logit = model.predict(tokens[None, :])
    explanation = model.explain(tokens[None, :])
    unread = len(app_ids) - len(tokens)
    contributions = [0.0] * unread + explanation.contributions[0].tolist()
    unknown = [app_id not in model.tokenizer.vocabulary.apps for app_id in app_ids[:unread]]
    unknown += (apps_of(tokens) == UNKNOWN_TOKEN_ID).tolist()
    installs = [
        ExplainedInstall(position, *install)
        for position, install in enumerate(zip(app_ids, contributions, unknown, strict=True), start=1)
    ]
    installs.sort(key=lambda install: -abs(install.contribution))
    return ExplainedUser(risk_score.item(), logit.item(), explanation.baseline_logits.item(), installs)


def read_installs_of(user_id: str, sequences: Path) -> tuple[list[str], list[datetime] | None]:
    """Read a user's apps, and their times if there are any, from Parquet files.

    Of several rows of the user, the longest is read.

    Raises:
        UnreadableSequencesError: there are no Parquet files with the columns user_id and app_ids.
        NoSuchUserError: no row of this user has app ids.
    """
    try:
        rows = ds.dataset(sequences, format="parquet", partitioning="hive")
        columns = ["app_ids", *(name for name in ["event_times"] if name in rows.schema.names)]
        is_this_user = (pc.field("user_id") == user_id) & pc.field("app_ids").is_valid()
        of_user = rows.to_table(columns=columns, filter=is_this_user)
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise UnreadableSequencesError(
            f"expected Parquet with user_id and app_ids in {sequences}: {error}"
        ) from error
    if of_user.num_rows == 0:
        users = pc.count_distinct(rows.to_table(columns=["user_id"])["user_id"]).as_py()
        raise NoSuchUserError(f"no user {user_id!r} with app_ids in {sequences}, which holds {users:,} users")
    longest = max(of_user.to_pylist(), key=lambda row: len(row["app_ids"]))
    return longest["app_ids"], longest.get("event_times")


def render(user: str, explained: ExplainedUser) -> str:
    """Write the score, the baseline and a table of the installs."""
    names = [
        f"{install.app_id} (unknown)" if install.unknown else install.app_id for install in explained.installs
    ]
    width = max(map(len, [*names, "app_id"]))
    lines = [
        f"user {user}: risk score {explained.risk_score:.4f}, logit {explained.logit:+.4f}",
        f"baseline {explained.baseline_logit:+.4f}, and what each install adds:",
        f"  position  {'app_id':{width}}  contribution",
    ]
    lines += [
        f"  {install.position:8}  {name:{width}}  {install.contribution:+12.4f}"
        for install, name in zip(explained.installs, names, strict=True)
    ]
    return "\n".join(lines)


@contextmanager
def download_version(version: int, tracking_uri: str, model_name: str) -> Iterator[Path]:
    """Yield a verified copy of a registered version's SavedModel, which is gone when the block ends.

    Raises:
        VersionMissingError: no such version.
        HashMismatchError: the artifacts of its run are not what was registered.
    """
    from model_registry.tracking.model_tracking import ModelTracking  # MLflow: not needed for a folder

    tracking = ModelTracking(tracking_uri, model_name)
    with TemporaryDirectory(prefix="explain_user_") as scratch:
        folder = tracking.download_saved_model(tracking.run_id(version), Path(scratch))
        verify_folder(folder, tracking.version(version).sha256)
        yield folder


def main(
    model: Annotated[Path | None, typer.Option(help="folder of a SavedModel")] = None,
    model_version: Annotated[int | None, typer.Option(min=1, help="or a version of the registry")] = None,
    tracking_uri: Annotated[str, typer.Option(help="MLflow server that --model-version is registered on")] = (
        "http://127.0.0.1:5000"
    ),
    model_name: Annotated[str, typer.Option(help="registered model of --model-version")] = "risk_encoder",
    apps: Annotated[str | None, typer.Option(help="comma-separated app ids, first install first")] = None,
    user: Annotated[str | None, typer.Option(help="or a user_id of --sequences")] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="Parquet file or folder: user_id, app_ids, event_times")
    ] = None,
) -> None:
    """Print one user's risk score and what each install adds to its logit."""
    if (model is None) == (model_version is None):
        raise WrongArgumentsError("expected either --model or --model-version, got none or both")
    if (apps is None) == (sequences is None) or (sequences is not None and user is None):
        raise WrongArgumentsError("expected either --apps, or --user and --sequences")
    if sequences is not None and user is not None:
        app_ids, event_times = read_installs_of(user, sequences)
    else:
        event_times = None
        app_ids = [app.strip() for app in (apps or "").split(",") if app.strip()]
    if not app_ids:
        raise WrongArgumentsError("expected at least one app, got none")
    if model is not None and not model.is_dir():
        raise WrongArgumentsError(f"expected the folder of a SavedModel, found none at {model}")
    version = nullcontext(model) if model else download_version(model_version or 0, tracking_uri, model_name)
    with version as folder:
        explained = explain_user(load(folder), app_ids, event_times)
    typer.echo(render(user or APPS_ON_COMMAND_LINE, explained))


if __name__ == "__main__":
    run_job(main)
