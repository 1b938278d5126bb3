"""What the demo lands: a user's checked files, or simulated ones."""

from datetime import date
from pathlib import Path

import pytest

from local_cluster.demo.landing import check_delivery, find_simulated
from local_cluster.demo.steps import last_consecutive
from local_cluster.layout import ClusterError
from settings import Settings
from simulator.simulate import Simulation, simulate

LABELS = "user_id,label,as_of,observed_at\n" + "".join(
    f"u{number},{number % 2},1054512000000,9999-12-31\nu{number},{number % 2},2003-06-02,2003-07-15T00:00:00Z\n"
    for number in range(12)
)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(LABELS)
    return path


@pytest.fixture
def installs(tmp_path: Path) -> Path:
    folder = tmp_path / "installs"
    folder.mkdir()
    rows = "".join(f"u{number},maps,2003-06-01T10:00:00Z\n" for number in range(12))
    (folder / "a.csv").write_text("user_id,app_id,event_time\n" + rows)
    return folder


@pytest.mark.slow
def test_a_users_files_are_read_by_the_jobs_own_code(installs: Path, labels: Path) -> None:
    delivery = check_delivery(installs, labels, Settings())
    assert delivery.files == {date(2003, 6, 1): [installs / "a.csv"]}
    assert delivery.history_days == {date(2003, 6, 1)}
    assert delivery.labels == [labels]
    assert delivery.training_date == date(2003, 7, 15)


@pytest.mark.slow
def test_files_that_would_be_refused_start_nothing(installs: Path, labels: Path, capfd) -> None:
    (installs / "notes.txt").write_text("hello")
    with pytest.raises(ClusterError, match="nothing was started or changed"):
        check_delivery(installs, labels, Settings())
    assert "notes.txt: expected a file *.jsonl" in capfd.readouterr().err


@pytest.mark.slow
def test_a_simulation_is_landed_whole_and_its_labels_are_known_on_the_training_date(tmp_path: Path) -> None:
    simulation = Simulation(users=200, days=3, first_day=date(2026, 1, 1), seed=7, apps=50)
    simulate(simulation, tmp_path, processes=1)
    delivery = find_simulated(simulation, tmp_path)
    written = {
        path for path in (tmp_path / "installs").rglob("*") if path.is_file() and path.name != "_SUCCESS"
    }
    assert {path for paths in delivery.files.values() for path in paths} == written
    observed = [line.rsplit(",", 1)[1][:10] for line in delivery.labels[0].read_text().splitlines()[1:]]
    assert max(observed) <= str(delivery.training_date)


def test_a_backfill_takes_the_last_days_without_a_gap() -> None:
    days = [date(2026, 1, 1), date(2026, 1, 5), date(2026, 1, 6)]
    assert last_consecutive(days, most=3) == days[1:]


def test_a_backfill_takes_no_more_days_than_asked() -> None:
    days = [date(2026, 1, day) for day in range(1, 9)]
    assert last_consecutive(days, most=3) == days[-3:]
