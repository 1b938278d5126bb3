"""The installs that raised a user's score most.

In   token ids, ragged, and the users' risk scores
Out  one list a user, largest contribution first; null for users below the threshold
     [{"app_id": "quick cash", "installs_ago": 0, "contribution": 1.31}, …]

`installs_ago` counts from the user's last install, which has 0. `app_id` is null for an app that the model's
vocabulary lacks; in SQL, `element_at(app_ids, -1 - installs_ago)` of user_sequences names it.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.encoder.tokens import FIRST_APP_TOKEN_ID
from jobs.scoring.engine import ScoringModel
from jobs.sequences.batching import FloatArray, cut_batches
from jobs.sequences.token_sequences import TokenSequences

REASON = pa.struct([("app_id", pa.string()), ("installs_ago", pa.int32()), ("contribution", pa.float64())])
REASONS = pa.list_(REASON)

Reason = dict[str, str | int | float | None]


@dataclass(frozen=True)
class ReasonsOptions:
    """Limits of the reasons to give."""

    above: float  # lowest risk score that gets reasons
    top: int  # most reasons of a user; installs that lower the score are not reasons


def explain_riskiest(
    sequences: TokenSequences,
    risk_scores: FloatArray,
    model: ScoringModel,
    max_tokens_per_batch: int,
    options: ReasonsOptions | None,
) -> pa.Array:
    """Explain the users with high enough scores, REASONS `(users,)`.

    Other users get null; without `options`, all do.
    """
    reasons: list[list[Reason] | None] = [None] * len(sequences)
    if options is not None:
        riskiest = np.flatnonzero(risk_scores >= options.above)
        chosen = sequences.take(riskiest)
        for users in cut_batches(chosen.lengths, max_tokens_per_batch):
            contributions = model.explain(chosen.padded(users)).contributions
            for user, of_user in zip(users, contributions, strict=True):
                tokens = chosen.take(np.array([user])).tokens
                reasons[riskiest[user]] = pick_reasons(
                    tokens, of_user, model.tokenizer.vocabulary.apps, options.top
                )
    return pa.array(reasons, type=REASONS)


def pick_reasons(
    tokens: NDArray[np.int32], contributions: NDArray[np.float32], apps: tuple[str, ...], top: int
) -> list[Reason]:
    """Pick the `top` installs of one user that raise the score most; a tie goes to the later install."""
    newest_first = contributions[: len(tokens)][::-1]
    largest = np.argsort(-newest_first, kind="stable")[:top]
    return [
        {
            "app_id": name_app(int(tokens[-1 - ago]), apps),
            "installs_ago": int(ago),
            "contribution": float(newest_first[ago]),
        }
        for ago in largest
        if newest_first[ago] > 0
    ]


def name_app(token: int, apps: tuple[str, ...]) -> str | None:
    """Find the app of a token; None if the token stands for no app of the vocabulary."""
    return apps[token - FIRST_APP_TOKEN_ID] if token >= FIRST_APP_TOKEN_ID else None
