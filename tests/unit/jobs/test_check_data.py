"""What a newcomer reads about files before anything is landed."""

from datetime import date

import pytest

from jobs.check_data import RefusedFilesError, check, check_plan
from jobs.data_check.labels import FEWEST_USERS
from jobs.errors import WrongArgumentsError
from jobs.training_set.folds import make_folds
from jobs.training_set.splits import SplitError, split_by_user
from tests.made_up.examples import labelled_users
from tests.made_up.landing_day import jsonl, land, land_complete

TODAY = date(2026, 11, 26)
LABELS_HEADER = "user_id,label,as_of,observed_at\n"


def event(user, time, app="maps", **more):
    return {"user_id": user, "app_id": app, "event_time": time, **more}


def installs(users=12, day="2026-01-20"):
    """An install of one app by each user u0, u1, …"""
    return jsonl(*[event(f"u{number}", f"{day}T10:00:00Z") for number in range(users)])


def labels(*rows, users=12, as_of="2026-01-31", observed_at="2026-03-02"):
    """Labels 0 and 1 in turns, and further rows."""
    known = [f"u{number},{number % 2},{as_of},{observed_at}" for number in range(users)]
    return LABELS_HEADER + "\n".join([*known, *rows]) + "\n"


@pytest.fixture
def run(spark, tmp_path):
    """Check what lies in `installs` and `labels`."""

    def run(today=TODAY):
        return check(spark, str(tmp_path / "installs"), str(tmp_path / "labels"), 0.05, 365, today)

    return run


def test_landing_days_are_planned_with_the_date_on_which_all_labels_are_known(tmp_path, run, capsys):
    for day in ("2026-01-30", "2026-01-31"):
        land_complete(tmp_path / "installs" / f"ds={day}", a__jsonl=installs())
    land(
        tmp_path / "labels",
        a__csv=labels(),
        b__csv=labels(users=2, as_of="2026-01-30", observed_at="2026-03-09"),
    )
    plan = run()
    day = tmp_path / "installs" / "ds=2026-01-31"
    assert plan.days.keys() == {"2026-01-30", "2026-01-31"}
    assert plan.days["2026-01-31"] == [str(day / "a.jsonl")]
    assert plan.labels == [str(tmp_path / "labels" / name) for name in ("a.csv", "b.csv")]
    assert (plan.training_date, plan.history_days) == ("2026-03-09", [])
    assert "14 of 14 labels become examples, 7 (50.0%) of label 1, of 12 users" in capsys.readouterr().out


def test_every_row_of_a_day_is_counted_as_the_extraction_does(tmp_path, run, capsys):
    rows = [
        event("u0", "2026-01-20T11:00:00+01:00"),  # a duplicate of u0's install
        event("u0", "2026-01-20T10:00:00Z", event_type="update"),
        event("u0", "2026-02-02T00:00:00.000001Z"),  # more than 24 hours after the day
        event("u0", "2026-02-02T00:00:00Z"),  # exactly 24 hours after it
        "{not json",
    ]
    good = jsonl(*[event(f"v{number}", "2026-01-20T10:00:00Z") for number in range(50)])
    land_complete(tmp_path / "installs" / "ds=2026-01-31", a__jsonl=installs() + good + jsonl(*rows))
    # A later day, by whose rules the third row would be good.
    land_complete(tmp_path / "installs" / "ds=2026-02-05", a__jsonl=installs(users=1))
    land(tmp_path / "labels", a__csv=labels())
    run()
    out = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "landing day landed accepted duplicates not installs rejected" in out
    assert "2026-01-31 67 63 1 1 2" in out
    assert "all 2 68 64 1 1 2" in out
    assert (
        "days on which nothing landed: 2026-02-01 to 2026-02-04. A backfill needs a range without gaps" in out
    )
    assert "for example a.jsonl: {not json" in out
    assert any("2026-02-02T00:00:00.000" in line for line in out)


def test_a_flat_folder_is_a_history_that_trains_by_event_times(tmp_path, run, capsys):
    land(
        tmp_path / "installs",
        a__jsonl=installs()
        + jsonl(event("u0", "2026-04-10T10:00:00Z", "later"), event("u0", "2030-01-01T00:00:00Z"))
        + jsonl(*[event(f"v{number}", "2026-02-10T10:00:00Z") for number in range(50)]),
    )
    land(tmp_path / "labels", a__csv=labels(observed_at="2026-04-01"))
    plan = run()
    assert plan.days.keys() == {"2026-04-10"}  # the last event that is not in the future
    assert (plan.history_days, plan.training_date) == (["2026-04-10"], "2026-04-10")
    out = capsys.readouterr().out
    assert "12 of 12 labels become examples" in out
    assert "When each row became known is not known" in out


def test_labels_that_are_not_used_are_counted_by_reason(tmp_path, run, capsys):
    land_complete(
        tmp_path / "installs" / "ds=2026-01-25",
        a__jsonl=installs() + jsonl(event("w", "2026-01-20T10:00:00Z")),
    )
    land(
        tmp_path / "labels",
        a__csv=labels(
            "nobody,1,2026-01-31,2026-03-02",
            "u1,0,2026-01-20T10:00:00Z,2026-03-02",  # the install is at as_of
            "w,1,2026-01-22,2026-03-02",  # landed on the 25th
            "u1,0,2026-01-30,9999-12-31",
            "u2,1,2026-01-31,2026-03-01",  # replaced by the observation of the day after
        ),
    )
    plan = run()
    assert plan.training_date == "2026-03-02"
    out = capsys.readouterr().out
    assert "12 of 17 labels become examples" in out
    for why in (
        "observed after the training date",
        "replaced by a later observation",
        "of users whom no install names",
        "of users whose installs all happened at as_of or later",
        "of users whose earlier installs landed after the day of as_of",
    ):
        assert f"    1 not used: {why}" in out


def test_the_fewest_users_of_each_label_are_those_that_a_training_needs():
    def examples(positives):
        users = [(f"u{number}", int(number < positives)) for number in range(FEWEST_USERS + positives)]
        return labelled_users(*users)

    make_folds(split_by_user(examples(FEWEST_USERS)).train)
    with pytest.raises(SplitError):
        make_folds(split_by_user(examples(FEWEST_USERS - 1)).train)


@pytest.mark.parametrize(
    ("landed", "labelled", "says"),
    [
        pytest.param(installs() + "x\n", labels(), "1 of 13", id="too many bad rows"),
        pytest.param(installs(), labels("u1,0.73,2026-01-31,2026-03-02"), "neither 0 nor 1", id="soft label"),
        pytest.param(installs(), LABELS_HEADER, "none of 0 labels", id="no labels"),
        pytest.param(
            installs(), labels(observed_at="2027-01-01"), "none of 12 labels was observed", id="future"
        ),
        pytest.param(installs(), labels(users=8), "at least 5 users with label 1", id="too few users"),
        pytest.param(installs(), labels().replace(",1,", ",0,"), "12 examples, 0 of label 1", id="one class"),
        pytest.param(
            installs(),
            labels().replace("u", "w").replace("wser", "user"),
            "found 0 examples",
            id="unknown users",
        ),
        pytest.param(
            jsonl(*[event(f"u{n}", "2026-01-20T10:00:00Z", f"install {n}") for n in range(12)]),
            labels(),
            "no app was installed by two users",
            id="every app unique",
        ),
        pytest.param(
            installs(), labels("u1,0,2026-01-31,2026-03-02"), "user u1 has label 0 and label 1", id="conflict"
        ),
        pytest.param(installs(), "user,target\nu1,1\n", "has no column user_id", id="other columns"),
        pytest.param("", labels(), "the files have no rows", id="no rows"),
        pytest.param("x\n" * 3, labels(), "for example unparseable: x", id="no good row"),
    ],
)
def test_what_would_be_refused_is_named(tmp_path, run, landed, labelled, says):
    land(tmp_path / "installs", a__jsonl=landed)
    land(tmp_path / "labels", a__csv=labelled)
    with pytest.raises(RefusedFilesError, match=says):
        run()


@pytest.mark.parametrize("place", ["installs", "labels"])
def test_a_name_that_hdfs_refuses_is_named_before_anything_is_landed(tmp_path, run, place):
    land(tmp_path / "installs", a__jsonl=installs())
    land(tmp_path / "labels", a__csv=labels())
    (path,) = (tmp_path / place).iterdir()
    path.rename(path.with_stem("10:00"))
    with pytest.raises(RefusedFilesError, match=r"10:00.* has a colon in its name"):
        run()


def test_faults_of_installs_and_of_labels_are_named_together(tmp_path, run):
    land(tmp_path / "installs" / "ds=2026-01-31" / "hour=00", a__jsonl=installs())
    land(tmp_path / "labels", a__csv=labels("u1,maybe,2026-01-31,2026-03-02"))
    with pytest.raises(RefusedFilesError, match=r"ds=2026-01-31 has no _SUCCESS.*; 1 malformed labels"):
        run()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param(
            "a.csv",
            b"user_id,app_id,event_time\n" + "u\u00e9,maps,2026-01-20T10:00:00Z\n".encode("latin-1"),
            id="latin-1",
        ),
        pytest.param(
            "a.jsonl",
            b'{"user_id": "u\x01", "app_id": "maps", "event_time": "2026-01-20T10:00:00Z"}\n',
            id="control character",
        ),
    ],
)
def test_one_bad_row_of_a_history_is_rejected_and_the_rest_goes_on(tmp_path, run, name, content):
    many = jsonl(*[event(f"v{number}", "2026-01-20T10:00:00Z") for number in range(50)])
    land(tmp_path / "installs", **{name.replace(".", "__"): content, "b__jsonl": installs() + many})
    land(tmp_path / "labels", a__csv=labels())
    assert run().days.keys() == {"2026-01-20"}


@pytest.mark.parametrize("plan", ["labels.csv", "installs", "installs/plan.json", "installs/../labels.csv"])
def test_a_plan_is_not_written_over_an_input_or_into_it(tmp_path, plan):
    installs, labels = str(tmp_path / "installs"), str(tmp_path / "labels.csv")
    with pytest.raises(WrongArgumentsError, match=r"equals or lies in .*, which is only read"):
        check_plan(tmp_path / plan, [installs, labels])
    check_plan(tmp_path / "plan.json", [installs, labels])
