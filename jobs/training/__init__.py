"""From a training set to an evaluated, registered model."""

import logging

# A training makes several models, each traced once. TensorFlow would warn of one model traced repeatedly.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
