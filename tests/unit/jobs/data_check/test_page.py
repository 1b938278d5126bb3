"""The check's text: tables of rows, reasons with what is expected, gaps, labels."""

from datetime import date

from jobs.data_check.installs import DayCounts, Rejected
from jobs.data_check.page import TO_DO, describe_delivery, describe_rows
from jobs.landing.delivery import Delivery
from jobs.landing.files import LandedFile
from tests.unit.test_docs import code_in, table_after

FIRST, LAST = date(2026, 1, 28), date(2026, 1, 31)
FILE = LandedFile("file:/in/a.csv.gz", "csv", is_gzip=True)


def test_every_reason_of_the_contract_says_what_to_do():
    assert {code_in(row[0])[0] for row in table_after("docs/data_contract.md", "reason")} == TO_DO.keys()


def test_gaps_and_what_is_not_read_are_named():
    lines = describe_delivery(
        Delivery(days={FIRST: [FILE], LAST: []}, skipped=["file:/in/_notes"]), [FIRST, LAST]
    )
    assert lines == [
        "files: 1, gzipped: 1; 2 landing days, 2026-01-28 to 2026-01-31",
        "not read, since the name begins with _ or a dot: file:/in/_notes",
        "days on which nothing landed: 2026-01-29 to 2026-01-30. A backfill needs a range without gaps",
    ]


def test_a_history_says_that_landing_times_are_not_known():
    text = " ".join(describe_delivery(Delivery(history=[FILE]), [LAST]))
    assert "taken as a history, landed on 2026-01-31" in text
    assert "When each row became known is not known" in text


def test_rejected_rows_show_their_reason_an_example_and_what_is_expected():
    rejected = Rejected("too_long", 3, "file:/in/a.csv.gz", "u1,xxx")
    counts = DayCounts(LAST, landed=10, accepted=7, duplicates=0, not_installs=0, rejected=3)
    assert describe_rows([counts], [rejected])[-2:] == [
        "    too_long 3; expected: user_id has at most 128 characters, app_id 255",
        "        for example a.csv.gz: u1,xxx",
    ]
