"""Session starts from the times of installs.

In   event_times   list<timestamp>, one list per user, in order   [[10:00, 10:04, 22:15], [08:00]]
Out  bool (installs,), all users one after another                [True, False, True, True]
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# The model's own gap, independent of the sessions in tables: training and scoring must agree on it.
SESSION_GAP = np.timedelta64(30, "m")  # an install after at least this much idle time begins a session


def begins_session(event_times: pa.ListArray) -> NDArray[np.bool_]:
    """Mark the first install of each session."""
    times = event_times.flatten().cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    begins = np.ones(len(times), bool)
    begins[1:] = np.diff(times) >= SESSION_GAP
    lengths = pc.list_value_length(event_times).to_numpy()
    begins[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
    return begins
