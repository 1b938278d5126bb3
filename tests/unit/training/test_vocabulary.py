"""Which app gets which token."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.training.app_sequences import AppSequences
from jobs.training.vocabulary import Vocabulary, build_vocabulary
from tests.unit.ragged import rows_of


def sequences(*rows: list[str]) -> pa.ListArray:
    return pa.array(rows, pa.list_(pa.string()))


def coded(*rows: list[str]) -> AppSequences:
    return AppSequences.of_lists(sequences(*rows))


def test_apps_come_most_frequent_first_and_ties_by_app_id():
    installs = coded(["maps", "chat", "zoo"], ["chat", "bank"], ["chat", "zoo"])
    assert build_vocabulary(installs, min_count=1, max_size=100).apps == ("chat", "zoo", "bank", "maps")


def test_an_app_below_the_minimum_count_has_no_token():
    installs = coded(["maps", "chat"], ["chat"])
    assert build_vocabulary(installs, min_count=2, max_size=100).apps == ("chat",)


@pytest.mark.parametrize(("max_size", "apps"), [(5, ("chat", "bank")), (4, ("chat",)), (3, ())])
def test_the_largest_size_counts_the_three_special_tokens(max_size, apps):
    vocabulary = build_vocabulary(coded(["bank", "chat", "chat", "maps"]), min_count=1, max_size=max_size)
    assert vocabulary.apps == apps
    assert vocabulary.size == max_size


def test_the_first_app_is_token_3_and_an_unknown_app_token_1():
    tokens = Vocabulary(("chat", "maps")).encode(sequences(["maps", "chat"], [], ["new one"]), 128)
    assert rows_of(tokens) == [[4, 3], [], [1]]
    assert tokens.values.dtype == np.int32


def test_of_a_long_sequence_the_last_installs_are_kept():
    tokens = Vocabulary(("a", "b", "c")).encode(sequences(["a", "b", "c"], ["b"], ["c", "c", "a", "b"]), 2)
    assert rows_of(tokens) == [[4, 5], [4], [3, 4]]
    assert tokens.values.tolist() == [4, 5, 4, 3, 4]  # and nothing else stays in memory


def test_a_slice_of_a_longer_column_is_encoded_alone():
    column = sequences(["a"], ["b", "a"], ["b"])
    assert rows_of(Vocabulary(("a", "b")).encode(column[1:2], 128)) == [[4, 3]]


def test_an_empty_vocabulary_knows_no_app():
    vocabulary = build_vocabulary(coded(["a"], ["b"]), min_count=5, max_size=100)
    assert rows_of(vocabulary.encode(sequences(["a", "b"]), 128)) == [[1, 1]]


def test_coded_sequences_are_encoded_as_lists_are():
    rows = [["maps", "chat"], ["new one"], ["chat", "new one", "maps"]]
    vocabulary = Vocabulary(("chat", "maps"))
    assert rows_of(vocabulary.translate(coded(*rows), 2)) == rows_of(vocabulary.encode(sequences(*rows), 2))
