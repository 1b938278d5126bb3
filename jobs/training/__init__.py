"""From a training set to an evaluated, exported encoder."""

import logging
import os

# TensorFlow reads this once, on its first import: without it a training log drowns in start-up notes.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# A training makes several models, each traced once. TensorFlow takes that for one model traced again and again.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
