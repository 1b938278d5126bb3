"""Reasons of the riskiest users, with a model that computes contributions from token ids."""

import numpy as np

from jobs.scoring.engine import Explanation
from jobs.scoring.reasons import ReasonsOptions, explain_riskiest
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary
from tests.made_up.ragged import sequences_of

SEQUENCES = sequences_of([[-3, -5, 1], [-4], [4, 3]])
SCORES = np.array([0.8, 0.3, 0.9])


class AddsItsTokens:
    """An install adds its token less 3, so that token 3 is no reason and token 1 lowers the score."""

    tokenizer = Tokenizer(Vocabulary(("chat", "maps", "bank")), 128, reads_sessions=True)

    def __init__(self):
        self.asked = []

    def explain(self, token_ids):
        self.asked.append(token_ids.tolist())
        added = np.where(token_ids == 0, 0, np.abs(token_ids) - 3.0).astype(np.float32)
        return Explanation(added, added.sum(axis=1), np.zeros(len(added)))


def reason(app_id, installs_ago, contribution):
    return {"app_id": app_id, "installs_ago": installs_ago, "contribution": contribution}


def test_users_above_the_threshold_get_their_own_reasons_largest_first():
    explained = explain_riskiest(SEQUENCES, SCORES, AddsItsTokens(), 8, ReasonsOptions(above=0.8, top=3))
    assert explained.to_pylist() == [[reason("bank", 1, 2.0)], None, [reason("maps", 1, 1.0)]]


def test_other_users_are_not_explained():
    model = AddsItsTokens()
    explain_riskiest(SEQUENCES, SCORES, model, 8, ReasonsOptions(above=0.85, top=3))
    assert model.asked == [[[4, 3]]]


def test_no_batch_exceeds_the_budget():
    model = AddsItsTokens()
    explain_riskiest(SEQUENCES, SCORES, model, 3, ReasonsOptions(above=0.0, top=1))
    assert model.asked == [[[-3, -5, 1]], [[4, 3]], [[-4]]]


def test_only_the_top_reasons_are_kept_and_a_tie_goes_to_the_later_install():
    tokens = sequences_of([[4, 5, 5, 4]])
    explained = explain_riskiest(tokens, np.ones(1), AddsItsTokens(), 8, ReasonsOptions(above=0.5, top=3))
    assert explained.to_pylist() == [[reason("bank", 1, 2.0), reason("bank", 2, 2.0), reason("maps", 0, 1.0)]]


def test_an_app_outside_the_vocabulary_has_no_name():
    class AddsOne(AddsItsTokens):
        def explain(self, token_ids):
            ones = np.ones(token_ids.shape, np.float32)
            return Explanation(ones, ones.sum(axis=1), np.zeros(len(ones)))

    tokens = sequences_of([[1]])
    explained = explain_riskiest(tokens, np.ones(1), AddsOne(), 8, ReasonsOptions(above=0.5, top=3))
    assert explained.to_pylist() == [[reason(None, 0, 1.0)]]


def test_without_options_no_user_has_reasons():
    assert explain_riskiest(SEQUENCES, SCORES, AddsItsTokens(), 8, None).to_pylist() == [None] * 3
