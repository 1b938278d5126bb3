"""App ids become token ids without a Python loop; the tests compare them with a plain loop."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.encoder.tokens import UNKNOWN_TOKEN_ID
from jobs.scoring.engine import EmptySequenceError, encode_app_ids
from jobs.sequences.token_sequences import TokenSequences, concatenate, count_token
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary
from tests.made_up.ragged import rows_of

VOCABULARY = Vocabulary(("chat", "maps"))  # tokens 3 and 4
APP_IDS = st.lists(st.lists(st.sampled_from(["chat", "maps", "never seen", None]), min_size=1), min_size=1)


def lists(app_ids):
    return pa.array(app_ids, type=pa.list_(pa.string()))


def encode(app_ids, apps=VOCABULARY.apps, max_history=128):
    return encode_app_ids(lists(app_ids), None, Tokenizer(Vocabulary(apps), max_history, reads_sessions=True))


def plain_tokens(app_ids):
    return [{"chat": 3, "maps": 4}.get(app, 1) for app in app_ids]


def test_apps_become_tokens_in_order_and_unknown_apps_become_one():
    encoded = encode([["maps", "chat"], ["never seen"]])
    assert rows_of(encoded) == [[4, 3], [1]]


def test_a_slice_of_a_batch_is_encoded_alone():
    whole = lists([["maps"], ["chat", "chat"], ["maps", "maps"]])
    tokenizer = Tokenizer(VOCABULARY, 128, reads_sessions=True)
    assert rows_of(encode_app_ids(whole.slice(1, 1), None, tokenizer)) == [[3, 3]]


def test_an_empty_vocabulary_knows_no_app():
    assert rows_of(encode([["maps"]], apps=())) == [[1]]


@pytest.mark.parametrize("nothing", [[], None])
def test_a_user_without_installs_is_an_error_that_names_the_row(nothing):
    with pytest.raises(EmptySequenceError, match=r"1 of 2 users without any, the first in row 1"):
        encode([["maps"], nothing])


@given(app_ids=APP_IDS, cut=st.integers(1, 5))
def test_encoding_cutting_and_counting_agree_with_a_plain_loop(app_ids, cut):
    expected = [plain_tokens(user)[-cut:] for user in app_ids]
    encoded = encode(app_ids, max_history=cut)
    assert rows_of(encoded) == expected
    assert encoded.lengths.tolist() == [len(user) for user in expected]
    assert count_token(encoded, UNKNOWN_TOKEN_ID).tolist() == [user.count(1) for user in expected]


@given(first=APP_IDS, second=APP_IDS)
def test_joined_parts_hold_the_users_of_both_in_order(first, second):
    parts = [encode(part) for part in (first, second)]
    assert rows_of(concatenate(parts)) == [plain_tokens(user) for user in first + second]


def test_an_unknown_app_that_begins_a_session_counts_as_unknown():
    sequences = TokenSequences.join(np.array([-1, 1, -3], np.int32), np.array([2, 1]))
    assert count_token(sequences, UNKNOWN_TOKEN_ID).tolist() == [2, 0]
