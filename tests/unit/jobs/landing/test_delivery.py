"""Landing days from a folder: nothing in it is passed over in silence."""

from datetime import date

import pytest

from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import DayRange
from jobs.landing.delivery import DeliveryError, find_delivery
from jobs.landing.history import find_history_days
from tests.made_up.landing_day import land, land_complete, uri

HEADER = "user_id,app_id,event_time\n"
EARLY, LATE = date(2026, 1, 30), date(2026, 1, 31)


@pytest.fixture
def find(spark, tmp_path):
    return lambda place="": find_delivery(HadoopFiles(spark), uri(tmp_path / place))


def names(files):
    return [file.uri.rsplit("/", 1)[-1] for file in files]


def test_folders_of_days_are_landing_days(tmp_path, find):
    land_complete(tmp_path / "ds=2026-01-31", b__csv=HEADER, a__jsonl="", _HISTORY="", _notes="x")
    land_complete(tmp_path / "ds=2026-01-30")
    delivery = find()
    assert {day: names(files) for day, files in delivery.days.items()} == {
        EARLY: [],
        LATE: ["a.jsonl", "b.csv"],
    }
    assert (delivery.history, delivery.history_days) == ([], [LATE])
    assert [path.rsplit("/", 1)[-1] for path in delivery.skipped] == ["_notes"]


@pytest.mark.parametrize("place", ["", "a.csv"])
def test_a_flat_folder_and_a_single_file_are_a_history(tmp_path, find, place):
    land(tmp_path, a__csv=HEADER)
    delivery = find(place)
    assert (names(delivery.history), delivery.days) == (["a.csv"], {})


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        pytest.param(
            ["ds=2026-01-31/_SUCCESS", "late.csv"], "holds late.csv: move it", id="file beside days"
        ),
        pytest.param(["ds=2026-01-31/_SUCCESS", "new/a.csv"], "holds new: move it", id="folder beside days"),
        pytest.param(["2026-01-31/a.csv"], "folder 2026-01-31: expected folders named ds=", id="other name"),
        pytest.param(
            ["ds=2026-02-30/_SUCCESS"], "ds=2026-02-30: expected a folder named after a day", id="no day"
        ),
        pytest.param(
            ["ds=2026-1-5/_SUCCESS"], "ds=2026-1-5: expected a folder named after a day", id="short day"
        ),
        pytest.param(["ds=2026-01-31/a.csv"], "ds=2026-01-31 has no _SUCCESS", id="not closed"),
        pytest.param(
            ["ds=2026-01-31/_SUCCESS", "ds=2026-01-31/hour=00/a.csv"], "hour=00: expected a file", id="hours"
        ),
        pytest.param(["a.csv", "notes.txt"], r"notes\.txt: expected a file \*\.jsonl", id="other ending"),
        pytest.param(["_SUCCESS", ".hidden.csv"], "holds no data", id="nothing to read"),
    ],
)
def test_what_is_neither_a_day_nor_a_flat_file_is_named(tmp_path, find, layout, says):
    for place in layout:
        folder, name = (tmp_path / place).parent, (tmp_path / place).name
        land(folder, **{name.replace(".", "__"): HEADER if name.endswith(".csv") else ""})
    with pytest.raises(DeliveryError, match=says):
        find()


def test_the_first_faults_are_named_and_the_others_counted(tmp_path, find):
    for day in range(10, 15):
        land(tmp_path / f"ds=2026-01-{day}", a__csv=HEADER)
    with pytest.raises(DeliveryError, match=r"ds=2026-01-12 has no _SUCCESS.*; and 2 more$"):
        find()


def test_a_missing_folder_is_named(find):
    with pytest.raises(DeliveryError, match="/installs does not exist: expected a folder of installs"):
        find("installs")


def test_history_days_of_a_window_are_found_by_their_mark(spark, tmp_path):
    for day in ("2026-01-30", "2026-01-31", "2026-02-01"):
        land(tmp_path / f"ds={day}", _HISTORY="")
    land(tmp_path / "ds=2026-01-29")
    land(tmp_path / "ds=2026-01-28.bad", _HISTORY="")
    found = find_history_days(HadoopFiles(spark), uri(tmp_path), DayRange(date(2026, 1, 1), LATE))
    assert found == [EARLY, LATE]


def test_without_a_landing_zone_there_are_no_history_days(spark, tmp_path):
    assert find_history_days(HadoopFiles(spark), uri(tmp_path / "landing"), DayRange(EARLY, LATE)) == []
