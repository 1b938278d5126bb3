"""Sessions and labels of January 2026, as rows of their tables."""

from datetime import UTC, date, datetime


def at(text):
    """A moment of January 2026: "20 10:00"."""
    return datetime.strptime(f"2026-01-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def session(user, landing_day, *installs):
    """A session that landed on a day of January 2026: installs (moment, app), in order."""
    times = [at(moment) for moment, _ in installs]
    return (user, 0, times[0], times[-1], [app for _, app in installs], times, date(2026, 1, landing_day))
