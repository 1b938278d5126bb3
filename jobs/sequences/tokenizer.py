"""Tokenizer of a user's installs, the same for training, comparison and scoring.

In   app ids and times of installs     [["maps", "chat", "maps"]], [[10:00, 10:04, 22:15]]
Out  token ids, ragged                 [[-4, 3, -4]]
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.encoder.tokens import mark_session_starts
from jobs.sequences.app_sequences import AppSequences
from jobs.sequences.sessions import begins_session
from jobs.sequences.token_sequences import TokenSequences
from jobs.sequences.vocabulary import Vocabulary


@dataclass(frozen=True)
class Tokenizer:
    """Maps apps to tokens; the first app of a session gets a negative token (`jobs/encoder/tokens.py`)."""

    vocabulary: Vocabulary
    max_history: int  # number of a user's last installs that are read
    reads_sessions: bool  # False: each user is one session, whatever the times

    def encode(self, app_ids: pa.ListArray, event_times: pa.ListArray | None = None) -> TokenSequences:
        """Encode the last `max_history` apps of each list.

        Args:
            event_times: parallel to `app_ids`; None where times are not known: each list is one session.

        Raises:
            ValueError: an app has no time, or a time no app.
        """
        tokens = self.vocabulary.look_up(app_ids.flatten())
        lengths = pc.list_value_length(app_ids)
        if event_times is not None and not pc.list_value_length(event_times).equals(lengths):
            raise ValueError(
                f"expected a time for each app, got {len(tokens)} apps and {len(event_times.flatten())} times"
            )
        if self.reads_sessions and event_times is not None:
            tokens = mark_session_starts(tokens, begins_session(event_times))
        sequences = TokenSequences.join(tokens, lengths.to_numpy().astype(np.int64))
        # Scoring buffers many of these: what is cut off must not stay in memory.
        return sequences.last(self.max_history).compact()

    def translate(self, installs: AppSequences) -> TokenSequences:
        """Encode sequences of one file into another file."""
        no_code_0 = np.zeros(1, np.int32)
        table = np.concatenate([no_code_0, self.vocabulary.look_up(installs.apps)])
        tokens = installs.codes.last(self.max_history).translate(table)
        return tokens if self.reads_sessions else tokens.as_one_session()
