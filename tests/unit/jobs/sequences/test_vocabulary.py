"""Tokens of apps."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.sequences.app_sequences import AppSequences
from jobs.sequences.vocabulary import Vocabulary, build_vocabulary


def coded(*rows: list[str]) -> AppSequences:
    return AppSequences.of_lists(pa.array(rows, pa.list_(pa.string())))


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
    tokens = Vocabulary(("chat", "maps")).look_up(pa.array(["maps", "chat", "new one"]))
    assert tokens.tolist() == [4, 3, 1]
    assert tokens.dtype == np.int32


def test_an_empty_vocabulary_gives_every_app_the_unknown_token():
    vocabulary = build_vocabulary(coded(["a"], ["b"]), min_count=5, max_size=100)
    assert vocabulary.look_up(pa.array(["a", "b"])).tolist() == [1, 1]
