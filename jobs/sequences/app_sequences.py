"""App ids of many users, streamed from Arrow into a file of integers.

In   batches of lists of app ids        [["maps", "chat"], ["chat"]], and which installs begin a session
Out  distinct apps, and their codes     ["maps", "chat"], [[-1, 2], [-2]]

Memory holds each distinct app once and two numbers per user, whatever the number of installs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.encoder.tokens import mark_session_starts
from jobs.sequences.token_sequences import TokenSequences, write_values


@dataclass(frozen=True)
class AppSequences:
    """Lists of app ids, first install first."""

    apps: pa.StringArray  # all distinct
    codes: TokenSequences  # places in `apps`, counted from 1; negative where a session begins

    @classmethod
    def of_lists(cls, app_ids: pa.ListArray, starts: NDArray[np.bool_] | None = None) -> "AppSequences":
        """Code lists of strings that are in memory; `starts` as in `code_apps`."""
        return code_apps([(app_ids, starts)])

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Installs of each user."""
        return self.codes.lengths

    def installs_per_session(self) -> float:
        """Mean over all sessions; NaN where sessions are unknown."""
        sessions = sum(int(np.count_nonzero(part.begins_session)) for part in self.codes.chunks())
        return int(self.lengths.sum()) / sessions if sessions else float("nan")

    def take(self, indices: NDArray[np.int64]) -> "AppSequences":
        return AppSequences(self.apps, self.codes.take(indices))

    def to_lists(self) -> pa.ListArray:
        """All lists of strings in memory."""
        return self._cut(self.apps.take(pa.array(self.codes.tokens - 1)))

    def session_starts(self) -> pa.ListArray:
        """Whether each app of `to_lists` begins a session, bool in lists."""
        return self._cut(pa.array(self.codes.begins_session))

    def _cut(self, flat: pa.Array) -> pa.ListArray:
        offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(offsets, flat)

    def count_apps(self) -> NDArray[np.int64]:
        """Installs of each app in `apps`."""
        return self.codes.count(1 + len(self.apps))[1:]


def code_apps(batches: Iterable[tuple[pa.ListArray, NDArray[np.bool_] | None]]) -> AppSequences:
    """Number each app at its first occurrence, and write the numbers to a file.

    Args:
        batches: app ids, and which installs begin a session, bool `(installs,)` or None where unknown.
    """
    code_of: dict[str, int] = {}
    lengths: list[NDArray[np.int64]] = []

    def codes() -> Iterator[NDArray[np.int32]]:
        for app_ids, starts in batches:
            lengths.append(pc.list_value_length(app_ids).to_numpy().astype(np.int64))
            found = pc.dictionary_encode(app_ids.flatten())
            table = [code_of.setdefault(app, 1 + len(code_of)) for app in found.dictionary.to_pylist()]
            coded = np.array(table, np.int32)[found.indices.to_numpy()]
            yield coded if starts is None else mark_session_starts(coded, starts)

    values = write_values(codes())
    all_lengths = np.concatenate(lengths) if lengths else np.array([], np.int64)
    return AppSequences(pa.array(code_of, pa.string()), TokenSequences.join(values, all_lengths))
