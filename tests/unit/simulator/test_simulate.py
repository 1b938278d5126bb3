"""A small simulation, written once, and read back as the pipeline would."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from simulator.simulate import USERS_PER_CHUNK, OutputExistsError, Simulation, Summary, simulate
from simulator.truth import best_reachable_auc
from simulator.writer import FileFormat

SIMULATION = Simulation(users=400, days=3, first_day=date(2026, 1, 1), seed=11, bad_share=0.02)
TWO_CHUNKS = replace(SIMULATION, users=USERS_PER_CHUNK + 50, days=2, bad_share=0.0)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    output = tmp_path_factory.mktemp("simulated")
    return output, simulate(SIMULATION, output)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines_of(folder: Path, ds: str) -> list[str]:
    parts = sorted((folder / "installs" / f"ds={ds}").glob("*.jsonl.gz"))
    return [line for part in parts for line in gzip.decompress(part.read_bytes()).decode().splitlines()]


@pytest.fixture(scope="module")
def good_events(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The same simulation without bad rows.

    Columns: user_id, app_id, event_time (UTC), event_type, landed (UTC midnight).
    """
    output = tmp_path_factory.mktemp("good")
    simulate(replace(SIMULATION, bad_share=0.0), output)
    rows = [
        {"event_type": "install", **json.loads(line), "landed": day}
        for day in SIMULATION.landing_days
        for line in lines_of(output, str(day))
    ]
    events = pd.DataFrame(rows)
    events["landed"] = pd.to_datetime(events["landed"], utc=True)
    events["event_time"] = [instant(time) for time in events["event_time"]]
    return events


def instant(time: str | int) -> datetime:
    return (
        datetime.fromtimestamp(time / 1000, tz=UTC) if isinstance(time, int) else datetime.fromisoformat(time)
    )


@pytest.fixture(scope="module")
def two_chunks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One full chunk of users and one of 50."""
    output = tmp_path_factory.mktemp("two_chunks")
    simulate(TWO_CHUNKS, output, processes=1)
    return output


def test_the_same_seed_writes_the_same_bytes_with_any_number_of_processes(two_chunks, tmp_path):
    simulate(TWO_CHUNKS, tmp_path, processes=2)
    assert contents(tmp_path) == contents(two_chunks)


def test_each_chunk_writes_a_part_of_its_own_users(two_chunks):
    part = two_chunks / "installs/ds=2026-01-01/part-00001.jsonl.gz"
    lines = gzip.decompress(part.read_bytes()).decode().splitlines()
    assert {json.loads(line)["user_id"] for line in lines} == {f"u{user:07d}" for user in range(5_000, 5_050)}
    for name in ("labels.csv", "truth.csv"):
        users = pd.read_csv(two_chunks / name)["user_id"]
        assert users.is_unique
        assert users.max() >= "u0005000"


def test_every_chunk_and_purpose_has_its_own_random_numbers():
    draws = [SIMULATION.random(1, chunk, purpose).random() for chunk in range(3) for purpose in range(4)]
    assert len({*draws}) == len(draws)


def test_another_seed_writes_other_users(simulated, tmp_path):
    simulate(replace(SIMULATION, seed=12), tmp_path)
    assert (tmp_path / "truth.csv").read_bytes() != (simulated[0] / "truth.csv").read_bytes()


@pytest.mark.parametrize("change", [{"bad_share": 0.5}, {"file_format": FileFormat.CSV}])
def test_noise_and_format_leave_users_and_labels_as_they_are(simulated, tmp_path, change):
    simulate(replace(SIMULATION, **change), tmp_path)
    for name in ("labels.csv", "truth.csv"):
        assert (tmp_path / name).read_bytes() == (simulated[0] / name).read_bytes()


def test_every_day_is_marked_complete_and_the_first_brings_the_backlog(simulated):
    output, _ = simulated
    days = sorted(path.name for path in (output / "installs").iterdir())
    assert days == ["ds=2026-01-01", "ds=2026-01-02", "ds=2026-01-03"]
    assert all((output / "installs" / day / "_SUCCESS").exists() for day in days)
    assert len(lines_of(output, "2026-01-01")) > 10 * len(lines_of(output, "2026-01-02"))


def test_the_summary_counts_what_was_written(simulated):
    output, summary = simulated
    for day in SIMULATION.landing_days:
        counts = {kind: count for (ds, kind), count in summary.rows.items() if ds == str(day)}
        late = counts.pop("late", 0)
        assert sum(counts.values()) == len(lines_of(output, str(day)))
        assert (late > 0) == (day > SIMULATION.first_day)  # the backlog is not late
    labels = pd.read_csv(output / "labels.csv")
    assert (summary.labels, summary.positives) == (len(labels), labels["label"].sum())


def test_bad_rows_of_each_reason_come_beside_the_good_ones(simulated):
    _, summary = simulated
    backlog = {kind: count for (ds, kind), count in summary.rows.items() if ds == "2026-01-01"}
    good = sum(backlog[kind] for kind in ("install", "update", "uninstall", "repeat"))
    reasons = {*FileFormat.JSONL.reasons}
    assert reasons == {
        "unparseable",
        "missing_field",
        "invalid_event_time",
        "time_out_of_range",
        "control_characters",
        "too_long",
        "unknown_event_type",
    }
    bad = [backlog[reason] for reason in reasons]
    assert max(bad) - min(bad) <= 1
    assert sum(bad) == pytest.approx(SIMULATION.bad_share * good, abs=1)


def test_bad_share_zero_writes_good_rows_only(tmp_path):
    summary = simulate(replace(SIMULATION, bad_share=0.0), tmp_path)
    kinds = {kind for _, kind in summary.rows}
    assert kinds == {"install", "update", "uninstall", "repeat", "late"}


def test_repeats_are_exact_copies_in_any_way_of_writing_the_time(simulated, good_events):
    event = ["user_id", "app_id", "event_time", "event_type"]
    repeats = sum(count for (_, kind), count in simulated[1].rows.items() if kind == "repeat")
    assert good_events.duplicated(event).sum() == repeats > 0


def test_no_event_lands_before_the_day_on_which_it_happened(good_events):
    assert (good_events["event_time"] < good_events["landed"] + pd.Timedelta(days=1)).all()


def test_as_of_follows_the_backlog_and_the_outcome_follows_as_of(simulated):
    labels = pd.read_csv(simulated[0] / "labels.csv", parse_dates=["as_of", "observed_at"])
    assert labels["as_of"].min() >= pd.Timestamp("2026-01-02", tz="UTC")
    assert labels["as_of"].max() < pd.Timestamp("2026-01-04", tz="UTC")
    delay_days = (labels["observed_at"] - labels["as_of"]).dt.days
    assert delay_days.between(13, 60).all()
    assert labels["user_id"].is_unique


def test_labelled_users_keep_their_installs_under_the_training_rule(simulated, good_events):
    labels = pd.read_csv(simulated[0] / "labels.csv", parse_dates=["as_of"]).set_index("user_id")["as_of"]
    installs = good_events.query("event_type == 'install'").join(labels, on="user_id", how="inner")
    happened = installs[installs["event_time"] < installs["as_of"]]
    usable = happened[happened["landed"] <= happened["as_of"].dt.floor("D")]
    assert len(usable) > 0.99 * len(happened)
    assert usable["user_id"].nunique() == len(labels)


def test_popularity_follows_a_power_law(good_events):
    counts = good_events["app_id"].value_counts()
    assert counts.head(50).sum() > 0.5 * counts.sum()
    assert len(counts) > 500


def test_parquet_and_csv_hold_the_same_events_as_json(tmp_path):
    for file_format in (FileFormat.PARQUET, FileFormat.CSV):
        simulate(replace(SIMULATION, file_format=file_format, bad_share=0.0), tmp_path / file_format)
    parquet = pq.read_table(tmp_path / "parquet/installs/ds=2026-01-02/part-00000.parquet").to_pandas()
    text = pd.read_csv(tmp_path / "csv/installs/ds=2026-01-02/part-00000.csv.gz", dtype=str)
    assert list(parquet.columns) == ["user_id", "app_id", "event_time", "event_type"]
    columns = ["user_id", "app_id", "event_time"]
    assert sorted(map(tuple, parquet[columns].to_numpy())) == sorted(map(tuple, text[columns].to_numpy()))

    simulate(replace(SIMULATION, bad_share=0.0), tmp_path / "jsonl")
    json_rows = [json.loads(line) for line in lines_of(tmp_path / "jsonl", "2026-01-02")]
    written = sorted((row["user_id"], row["app_id"], str(row["event_time"])) for row in json_rows)
    assert written == sorted(map(tuple, parquet[columns].to_numpy()))


def test_a_folder_that_holds_a_simulation_is_refused(simulated):
    with pytest.raises(OutputExistsError, match="exists; remove it"):
        simulate(SIMULATION, simulated[0])


@pytest.mark.parametrize(("setting", "value"), [("users", 0), ("days", 0), ("bad_share", 1.5), ("apps", 3)])
def test_an_impossible_setting_is_named(setting, value):
    with pytest.raises(ValueError, match=setting):
        replace(SIMULATION, **{setting: value})


def test_the_true_risk_ranks_users_well_but_not_perfectly(simulated):
    auc, labels = best_reachable_auc(simulated[0])
    assert 0.8 < auc < 0.95
    assert labels == simulated[1].labels
