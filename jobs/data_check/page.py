"""The check's findings as lines of text.

In   counts of days, of rejected rows and of labels
Out  2026-01-31       1,000       905          20            60        15
     rejected rows by reason
         missing_field            12   for example part-0.jsonl: {"user_id": "u1"}
                                       …
"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from jobs.data_check.installs import DayCounts, Rejected
from jobs.data_check.labels import LabelDays, LabelFindings
from jobs.landing.delivery import Delivery

DAYS_SHOWN = 40
NAMES_SHOWN = 5
TO_DO = {
    "unparseable": "one JSON object a line, as many fields as the CSV header has, UTF-8, ids of text or whole numbers",
    "missing_field": "user_id, app_id and event_time are required",
    "too_long": "user_id has at most 128 characters, app_id 255",
    "control_characters": "take control characters, line separators and what is not seen out of ids",
    "space_around_id": "take white space off both ends of ids; some databases fill texts up with it",
    "unknown_event_type": "install, update or uninstall, in lower case; or leave event_type out",
    "invalid_event_time": "2026-01-31T10:00:00Z, with seconds and a zone, or milliseconds since 1970",
    "time_out_of_range": "milliseconds since 1970 and not seconds; at most a day after the landing day",
}


def describe_delivery(delivery: Delivery, days: Sequence[date]) -> list[str]:
    """Lines about the files and their landing days; `days` in order."""
    gzipped = sum(file.is_gzip for file in delivery.files)
    lines = [f"files: {len(delivery.files)}, gzipped: {gzipped}; {count_days(days)}"]
    if delivery.history:
        lines += [
            f"The files have no landing days, so they are taken as a history, landed on {days[0]}, the day of their",
            "last event. When each row became known is not known: a label sees the installs that had happened",
            "before its as_of. Rows that reached you late make such a training look better than nights will be.",
        ]
    if delivery.history_days:
        lines.append(f"histories delivered at once (_HISTORY): {name_some(sorted(delivery.history_days))}")
    if delivery.skipped:
        lines.append(f"not read, since the name begins with _ or a dot: {name_some(delivery.skipped)}")
    if gaps := find_gaps(days):
        lines.append(
            f"days on which nothing landed: {name_some(gaps)}. A backfill needs a range without gaps"
        )
    return lines


def count_days(days: Sequence[date]) -> str:
    """Describe ordered days in a few words.

    >>> count_days([date(2026, 1, 1), date(2026, 1, 5)])
    '2 landing days, 2026-01-01 to 2026-01-05'
    """
    return (
        f"landing day {days[0]}" if len(days) == 1 else f"{len(days)} landing days, {days[0]} to {days[-1]}"
    )


def find_gaps(days: Sequence[date]) -> list[str]:
    """Describe each gap between ordered days.

    >>> find_gaps([date(2026, 1, 1), date(2026, 1, 3), date(2026, 1, 7)])
    ['2026-01-02', '2026-01-04 to 2026-01-06']
    """
    one_day = timedelta(days=1)
    gaps = [(before + one_day, after - one_day) for before, after in pairwise(days)]
    return [str(first) if first == last else f"{first} to {last}" for first, last in gaps if first <= last]


def name_some(names: Sequence[object]) -> str:
    shown = ", ".join(map(str, names[:NAMES_SHOWN]))
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"


def describe_rows(days: Sequence[DayCounts], rejected: Sequence[Rejected]) -> list[str]:
    """A table of the days' rows, and the reasons of rejected ones with what is expected."""
    total = DayCounts(days[0].ds, *(sum(column) for column in list(zip(*days, strict=True))[1:]))
    shown = days[-DAYS_SHOWN:]
    lines = [
        f"{'landing day':12}" + "".join(f"{name.replace('_', ' '):>14}" for name in DayCounts._fields[1:])
    ]
    lines += [f"{day.ds!s:12}" + write_counts(day) for day in shown]
    if len(days) > 1:
        lines.append(f"{'all ' + str(len(days)):12}" + write_counts(total))
    if rejected:
        lines.append("rejected rows by reason")
    for reason in rejected:
        lines += [
            f"    {reason.reason} {reason.rows:,}; expected: {TO_DO.get(reason.reason, 'see docs/data_contract.md')}",
            f"        for example {reason.file.rsplit('/', 1)[-1]}: {reason.raw}",
        ]
    return lines


def printable(text: str) -> str:
    """Write control characters as their escapes: a row could hold commands for the terminal.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def write_counts(day: DayCounts) -> str:
    return "".join(f"{count:14,}" for count in day[1:])


def describe_labels(days: Sequence[LabelDays]) -> list[str]:
    """A line for each label: its number, its `as_of`, and how late it was observed."""
    total = sum(day.labels for day in days)
    return [
        f"{day.labels:,} labels {day.label} ({day.labels / total:.1%}), as of {day.first_as_of} to {day.last_as_of}, "
        f"observed {day.soonest} days later at the earliest, half of them within {day.median} days"
        for day in days
    ]


def describe_findings(findings: LabelFindings, training_date: date) -> list[str]:
    """Lines about the examples and the labels that make none."""
    counts = findings.counts
    share = counts.positives / max(counts.examples, 1)
    lines = [
        f"on training date {training_date} {counts.examples:,} of {counts.labels:,} labels become examples, "
        f"{counts.positives:,} ({share:.1%}) of label 1, of {findings.users:,} users"
    ]
    unused = {
        "observed after the training date": counts.labels_not_yet_observed,
        "replaced by a later observation of the same user and as_of": counts.labels_superseded,
        "of users whom no install names; are the user ids the same in both?": findings.unknown_users,
        "of users whose installs all happened at as_of or later": findings.no_install_before,
        "of users whose earlier installs landed after the day of as_of, or before the look-back; if a landing "
        "day brought a history at once, put an empty file _HISTORY into its folder": findings.not_landed,
    }
    return lines + [f"    {labels:,} not used: {why}" for why, labels in unused.items() if labels]
