"""Export of a trained model as a self-contained TensorFlow SavedModel.

In   the risk model (token ids -> logit), and its tokenizer
Out  SavedModel folder with the signatures
       score_token_ids     token_ids int32 (batch, sequence), 0 is padding, negative where a session begins
       score_app_ids       app_ids string (batch, sequence), "" is padding; begins_session bool, same shape;
                           also `serving_default`
     both to {"risk_score": float32 (batch,), "logit": float32 (batch,)},
       explain_token_ids, explain_app_ids
     from the same inputs to each install's contribution to the logit (jobs/export/explanations.py);
     and, for engines that map app ids themselves,
       assets.extra/vocabulary.txt   one app id per line, the first is token 3
       assets.extra/model.json       {"max_history": 2048, "reads_sessions": true, "vocabulary_size": 4003, …}
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from jobs.encoder.tokens import FIRST_APP_TOKEN_ID, PAD_TOKEN_ID, UNKNOWN_TOKEN_ID
from jobs.export.explanations import ExplanationTensors, explain
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.tokenizer_files import (
    EXPLAIN_APP_IDS,
    EXPLAIN_TOKEN_IDS,
    SCORE_APP_IDS,
    SCORE_TOKEN_IDS,
    write_tokenizer,
)
from jobs.sequences.vocabulary import Vocabulary

PAD_APP_ID = ""

Scores = dict[str, tf.Tensor]
Score = Callable[[tf.Tensor], Scores]
Explain = Callable[[tf.Tensor], ExplanationTensors]


def export_saved_model(model: keras.Model, tokenizer: Tokenizer, path: Path) -> None:
    token_table = build_token_table(tokenizer.vocabulary)

    app_ids_spec = [
        tf.TensorSpec((None, None), tf.string, "app_ids"),
        tf.TensorSpec((None, None), tf.bool, "begins_session"),
    ]
    token_ids_spec = [tf.TensorSpec((None, None), tf.int32, "token_ids")]

    def look_up(app_ids: tf.Tensor, begins_session: tf.Tensor) -> tf.Tensor:
        token_ids = token_table.lookup(app_ids)
        return tf.where(begins_session, -token_ids, token_ids) if tokenizer.reads_sessions else token_ids

    def find_scores(token_ids: tf.Tensor) -> Scores:
        logit = model(token_ids, training=False)
        return {"risk_score": tf.sigmoid(logit), "logit": tf.identity(logit)}

    # Traced once for both kinds of input, which halves the file and the time to write it.
    score: Score = tf.function(find_scores, token_ids_spec).get_concrete_function()
    explain_model: Explain = tf.function(partial(explain, model), token_ids_spec).get_concrete_function()

    def score_token_ids(token_ids: tf.Tensor) -> Scores:
        return score(token_ids)

    def score_app_ids(app_ids: tf.Tensor, begins_session: tf.Tensor) -> Scores:
        return score(look_up(app_ids, begins_session))

    def explain_token_ids(token_ids: tf.Tensor) -> ExplanationTensors:
        return explain_model(token_ids)

    def explain_app_ids(app_ids: tf.Tensor, begins_session: tf.Tensor) -> ExplanationTensors:
        return explain_model(look_up(app_ids, begins_session))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(token_table)
    # The first endpoint is also `serving_default`.
    archive.add_endpoint(SCORE_APP_IDS, score_app_ids, app_ids_spec)
    archive.add_endpoint(SCORE_TOKEN_IDS, score_token_ids, token_ids_spec)
    archive.add_endpoint(EXPLAIN_APP_IDS, explain_app_ids, app_ids_spec)
    archive.add_endpoint(EXPLAIN_TOKEN_IDS, explain_token_ids, token_ids_spec)
    archive.write_out(str(path), verbose=False)
    write_tokenizer(tokenizer, path)


def build_token_table(vocabulary: Vocabulary) -> tf.lookup.StaticHashTable:
    """Build the graph's table from app id to token id; an app that it lacks gets UNKNOWN_TOKEN_ID."""
    app_ids = [PAD_APP_ID, *vocabulary.apps]
    token_ids = [PAD_TOKEN_ID, *range(FIRST_APP_TOKEN_ID, vocabulary.size)]
    entries = tf.lookup.KeyValueTensorInitializer(
        tf.constant(app_ids, tf.string), tf.constant(token_ids, tf.int32)
    )
    return tf.lookup.StaticHashTable(entries, default_value=UNKNOWN_TOKEN_ID)
