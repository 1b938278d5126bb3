"""Score a stream of Arrow record batches: the work of one Spark task.

In   record batches of user_id, app_ids, event_times            u1, ["maps", "chat"], [10:00, 10:04]
Out  record batches of SCORE_FIELDS, users in the same order    u1, 0.031, -3.44, 2, 0, null

Several record batches are scored together, since more users can be sorted into batches of more equal length.
Memory stays bounded: app ids become 4-byte tokens as soon as they arrive.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from jobs.encoder.tokens import UNKNOWN_TOKEN_ID
from jobs.scoring.engine import ScoringModel
from jobs.scoring.reasons import REASONS, ReasonsOptions, explain_riskiest
from jobs.sequences.batching import predict_in_batches
from jobs.sequences.token_sequences import TokenSequences, concatenate, count_token

# About 30,000 users of 35 installs: 4 MiB of tokens, and the users' ids.
BUFFER_TOKENS = 2**20
SCORE_FIELDS = pa.schema(
    [
        ("user_id", pa.string()),
        ("risk_score", pa.float64()),
        ("logit", pa.float64()),
        ("sequence_length", pa.int32()),  # installs that the model read, at most its longest history
        ("unknown_apps", pa.int32()),  # of those, apps outside its vocabulary
        ("reasons", REASONS),  # null unless reasons are asked for and the score is high enough
    ]
)
Buffer = tuple[pa.Array, TokenSequences]


def score_stream(
    batches: Iterable[pa.RecordBatch],
    model: ScoringModel,
    max_tokens_per_batch: int,
    reasons: ReasonsOptions | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield one batch of scores per buffer, each user exactly once, in the order of arrival."""
    for user_ids, sequences in fill_buffers(batches, model, BUFFER_TOKENS):
        risk_scores, logits = predict_in_batches(sequences, model.predict, max_tokens_per_batch)
        columns = [
            user_ids,
            risk_scores,
            logits,
            sequences.lengths,
            count_token(sequences, UNKNOWN_TOKEN_ID),
            explain_riskiest(sequences, risk_scores, model, max_tokens_per_batch, reasons),
        ]
        yield pa.RecordBatch.from_arrays(
            [pa.array(column, type=field.type) for column, field in zip(columns, SCORE_FIELDS, strict=True)],
            schema=SCORE_FIELDS,
        )


def fill_buffers(
    batches: Iterable[pa.RecordBatch], model: ScoringModel, buffer_tokens: int
) -> Iterator[Buffer]:
    """Join record batches until they hold `buffer_tokens` tokens; the last buffer may hold fewer."""
    user_ids: list[pa.Array] = []
    sequences: list[TokenSequences] = []
    for batch in batches:
        if batch.num_rows == 0:
            continue
        user_ids.append(batch.column("user_id"))
        sequences.append(model.encode(batch.column("app_ids"), batch.column("event_times")))
        if sum(len(part.values) for part in sequences) >= buffer_tokens:
            yield pa.concat_arrays(user_ids), concatenate(sequences)
            user_ids, sequences = [], []
    if sequences:
        yield pa.concat_arrays(user_ids), concatenate(sequences)
