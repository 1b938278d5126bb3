"""The pipeline's jobs, one script each, and the rooms that they are made of."""

import os

# TensorFlow reads this once, on its first import: without it every process logs its start-up notes.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
