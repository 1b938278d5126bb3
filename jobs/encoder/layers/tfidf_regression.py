"""Logistic regression on tf-idf of n-grams of installs, as a layer.

In   token ids, padded at the end with zeros   int32 (batch, sequence)   [[5, 9, 7], [4, 0, 0]]
Out  one logit per user                        float32 (batch,)
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from jobs.encoder.ngram_hash import count_features, hash_ngrams
from jobs.encoder.tensor import Shape, Tensor
from jobs.encoder.tokens import PAD_TOKEN_ID, apps_of


@keras.saving.register_keras_serializable(package="risk_encoder")
class TfidfRegression(keras.layers.Layer):
    """Logistic regression on tf-idf features of a user's n-grams, fitted by `jobs/training/linear.py`.

    A feature that occurs `c` times weighs `(1 + log c) idf`. The weights of a user are scaled to length 1, as
    scikit-learn's TfidfVectorizer does with `sublinear_tf`. The logit is their product with the coefficients,
    plus the intercept.

    Each occurrence carries an equal share of its feature's weight. So the sum runs over installs, needs no
    table of distinct features, and `contributions` can return each install's part.

    Args:
        vocabulary_size: number of token ids.
        max_order: longest n-gram, in installs.

    Call arguments:
        token_ids: int32, `(batch, sequence)`; 0 is padding and comes last. Sessions make no difference.

    Returns:
        float32, `(batch,)`. A user without any known feature gets the intercept.

    Example:
        >>> import keras
        >>> layer = TfidfRegression(vocabulary_size=10, max_order=1)
        >>> layer.fill(np.ones(10), np.arange(10.0), intercept=-1.0)
        >>> layer(keras.ops.convert_to_tensor([[4, 0, 0]], dtype="int32")).numpy().tolist()
        [3.0]
    """

    def __init__(self, vocabulary_size: int, max_order: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.vocabulary_size = vocabulary_size
        self.max_order = max_order

    def build(self, token_ids_shape: Shape) -> None:
        """Make the weights; `fill` sets them."""
        del token_ids_shape
        features = count_features(self.vocabulary_size, self.max_order)
        self.idf = self.add_weight(shape=(features,), initializer="zeros", trainable=False, name="idf")
        self.coefficients = self.add_weight(
            shape=(features,), initializer="zeros", trainable=False, name="coefficients"
        )
        self.intercept = self.add_weight(shape=(), initializer="zeros", trainable=False, name="intercept")

    def fill(self, idf: NDArray[Any], coefficients: NDArray[Any], intercept: float) -> None:
        """Set the fitted weights, `(features,)` each; a feature of idf 0 is ignored."""
        if not self.built:
            self.build((None, None))
        self.idf.assign(idf.astype(np.float32))
        self.coefficients.assign(coefficients.astype(np.float32))
        self.intercept.assign(intercept)

    def call(self, token_ids: Tensor) -> Tensor:
        return ops.sum(self.contributions(token_ids), axis=1) + self.intercept

    def contributions(self, token_ids: Tensor) -> Tensor:
        """Part of each install in the logit, `(batch, sequence)`; installs of an n-gram share its part."""
        token_ids = apps_of(token_ids)
        weights, squared_length = 0.0, 0.0
        for order in range(1, self.max_order + 1):
            features, occurs = self._find_ngrams(token_ids, order)
            tf_share, count = self._term_frequency(features, occurs)
            idf = ops.take(self.idf, features) * tf_share * occurs
            added = idf * ops.take(self.coefficients, features)
            squared_length += ops.sum(idf * idf * count, axis=1, keepdims=True)
            weights += self._share_among_installs(added, order)
        # The shortest real vector holds one idf, which is at least 1.
        return weights * ops.rsqrt(ops.maximum(squared_length, 1e-6))

    def _find_ngrams(self, token_ids: Tensor, order: int) -> tuple[Tensor, Tensor]:
        """Feature of the n-gram that starts at each install, and 1 if it exists: `(batch, sequence)` each."""
        longest = ops.shape(token_ids)[1]
        padded = ops.pad(token_ids, [[0, 0], [0, order - 1]])
        installs = [padded[:, i : i + longest] for i in range(order)]
        occurs = ops.cast(installs[-1] != PAD_TOKEN_ID, "float32")
        return hash_ngrams(installs, self.vocabulary_size), occurs

    def _term_frequency(self, features: Tensor, occurs: Tensor) -> tuple[Tensor, Tensor]:
        """`(1 + log c) / c` and `c`, where `c` counts an n-gram's occurrences: `(batch, sequence)` each."""
        same = ops.cast(features[:, :, None] == features[:, None, :], "float32")
        count = ops.maximum(ops.sum(same * occurs[:, None, :], axis=2), 1.0)
        return (1.0 + ops.log(count)) / count, count

    def _share_among_installs(self, added: Tensor, order: int) -> Tensor:
        """Spread each n-gram's part, given at its first install, evenly over all its installs."""
        longest = ops.shape(added)[1]
        padded = ops.pad(added, [[0, 0], [order - 1, 0]])
        shifted = [padded[:, order - 1 - i : order - 1 - i + longest] for i in range(order)]
        return sum(shifted[1:], shifted[0]) / order

    def compute_output_shape(self, token_ids_shape: Shape) -> Shape:
        return token_ids_shape[:1]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "max_order": self.max_order,
        }
