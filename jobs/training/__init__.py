"""From a training set to an evaluated, registered model."""

import logging

# A training makes several models, each traced once. TensorFlow takes that for one model traced again and again.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
