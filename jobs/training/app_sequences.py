"""App ids of many users, streamed from Arrow into a file of integers.

In   batches of lists of app ids        [["maps", "chat"], ["chat"]]
Out  different apps, and codes of them  ["maps", "chat"], [[0, 1], [1]]

What is held in memory is each different app once and two numbers for each user, whatever the number of installs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.training.token_sequences import TokenSequences, write_values


@dataclass(frozen=True)
class AppSequences:
    """Lists of app ids, first install first."""

    apps: pa.StringArray  # all different
    codes: TokenSequences  # places in `apps`

    @classmethod
    def of_lists(cls, app_ids: pa.ListArray) -> "AppSequences":
        """Code lists of strings that are in memory."""
        return code_apps([app_ids])

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Installs of each user."""
        return self.codes.lengths

    def take(self, indices: NDArray[np.int64]) -> "AppSequences":
        """The sequences at `indices`."""
        return AppSequences(self.apps, self.codes.take(indices))

    def to_lists(self) -> pa.ListArray:
        """All lists of strings in memory."""
        offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(offsets, self.apps.take(pa.array(self.codes.flatten())))

    def count_apps(self) -> NDArray[np.int64]:
        """Installs of each app in `apps`."""
        return self.codes.count(len(self.apps))


def code_apps(batches: Iterable[pa.ListArray]) -> AppSequences:
    """Give each app a number when it first comes, and write the numbers to a file."""
    code_of: dict[str, int] = {}
    lengths: list[NDArray[np.int64]] = []

    def codes() -> Iterator[NDArray[np.int32]]:
        for batch in batches:
            lengths.append(pc.list_value_length(batch).to_numpy().astype(np.int64))
            found = pc.dictionary_encode(batch.flatten())
            table = [code_of.setdefault(app, len(code_of)) for app in found.dictionary.to_pylist()]
            yield np.array(table, np.int32)[found.indices.to_numpy()]

    values = write_values(codes())
    all_lengths = np.concatenate(lengths) if lengths else np.array([], np.int64)
    return AppSequences(pa.array(code_of, pa.string()), TokenSequences.join(values, all_lengths))
