"""Names of artifacts that training writes and others read.

saved_model/                              the artifact folder of a training run
    saved_model.pb, variables/ …          TensorFlow's own
    assets.extra/vocabulary.txt           one app id per line, the first is token 3
    assets.extra/model.json               {"max_history": 2048, "vocabulary_size": 4003, …}
encoders/                                 all files that a later training starts from
signatures/                               of both folders, once the version was promoted
"""

SAVED_MODEL = "saved_model"
EXTRA_ASSETS = "assets.extra"  # TensorFlow's own name for files that travel with a SavedModel
VOCABULARY_FILE = f"{EXTRA_ASSETS}/vocabulary.txt"
DESCRIPTION_FILE = f"{EXTRA_ASSETS}/model.json"
ENCODERS = "encoders"
ENCODERS_SHA256_TAG = "encoders.sha256"  # tag of the run: the hash of that folder
SIGNATURES = "signatures"
