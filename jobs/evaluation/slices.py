"""Metrics by slice: sequence length, share of unknown apps, month of the label.

In   labels, probabilities, sequence lengths, shares of unknown apps, label times (UTC)   (examples,)
Out  slicing          slice   users  bad_rate  mean_score  auc   auc_low  auc_high
     sequence length  1-10     1203      0.11        0.12  0.81     0.78      0.84
     sequence length  101+       12      0.25        0.19   NaN      NaN       NaN
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jobs.evaluation.intervals import Bootstrap
from jobs.evaluation.ranking import Floats, Integers

# Fixed, so that slices are comparable between runs.
LENGTH_BOUNDS = [0, 10, 30, 100, np.inf]  # installs, each upper bound included
LENGTH_NAMES = ["1-10", "11-30", "31-100", "101+"]
UNKNOWN_BOUNDS = [-np.inf, 0.0, 0.1, 0.5, 1.0]  # share of a user's installs, each upper bound included
UNKNOWN_NAMES = ["none", "up to 10%", "up to 50%", "above 50%"]
FEWEST_USERS = 30  # with fewer, an AUC depends more on these users than on the model
NO_AUC = {"auc": np.nan, "auc_low": np.nan, "auc_high": np.nan}


def slice_metrics(
    bootstrap: Bootstrap,
    probabilities: Floats,
    lengths: Integers,
    unknown_shares: Floats,
    as_of: NDArray[np.datetime64],
) -> pd.DataFrame:
    """Measure users by sequence length, by share of unknown apps (0 to 1) and by calendar month of the label.

    Lengths and shares have the same rows for any data, even for slices without users; months are those that
    occur. AUC and its bounds are NaN, pandas' None, in slices of one label or of fewer than 30 users.

    Raises:
        ValueError: a length is below 1, or a share outside 0 to 1.
    """
    return pd.DataFrame(
        [
            {"slicing": slicing, "slice": name, **_measure_slice(bootstrap, probabilities, members)}
            for slicing, name, members in cut_slices(lengths, unknown_shares, as_of)
        ]
    )


def cut_slices(
    lengths: Integers, unknown_shares: Floats, as_of: NDArray[np.datetime64]
) -> Iterator[tuple[str, str, NDArray[np.intp]]]:
    """Yield slicing, slice and the rows in it.

    Raises:
        ValueError: a length is below 1, or a share outside 0 to 1.
    """
    if len(lengths) and lengths.min() < 1:
        raise ValueError(f"expected sequences of 1 install or more, found a length of {lengths.min()}")
    if not ((unknown_shares >= 0) & (unknown_shares <= 1)).all():
        raise ValueError(f"expected shares of unknown apps from 0 to 1, found {unknown_shares}")
    slicings = {
        "sequence length": pd.cut(pd.Series(lengths), LENGTH_BOUNDS, labels=LENGTH_NAMES),
        "unknown apps": pd.cut(pd.Series(unknown_shares), UNKNOWN_BOUNDS, labels=UNKNOWN_NAMES),
        "label month": pd.Series(as_of.astype("datetime64[M]").astype(str), dtype="category"),
    }
    for slicing, slice_of_row in slicings.items():
        for name in slice_of_row.cat.categories:
            yield slicing, name, np.flatnonzero(slice_of_row == name)


def _measure_slice(bootstrap: Bootstrap, probabilities: Floats, members: NDArray[np.intp]) -> dict[str, Any]:
    users = bootstrap.count_users(members)
    labels, scores = bootstrap.labels[members], probabilities[members]
    counted = {
        "users": users,
        "bad_rate": float(labels.mean()) if users else np.nan,
        "mean_score": float(scores.mean()) if users else np.nan,
    }
    if users < FEWEST_USERS or len(np.unique(labels)) < 2:
        return {**counted, **NO_AUC}
    auc = bootstrap.of(members).metrics(scores)["auc"]
    return {**counted, "auc": auc.value, "auc_low": auc.low, "auc_high": auc.high}
