"""From a day's sequences to audited scores."""

import os

# TensorFlow reads this once, on its first import: without it every Python worker logs its start-up notes.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
