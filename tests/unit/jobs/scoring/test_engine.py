"""A real, tiny SavedModel: verified before TensorFlow reads it, loaded once, scored by its signature."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.scoring.engine import load
from jobs.sequences.tokenizer_files import UnusableModelError, read_vocabulary
from model_registry.hashing import folder_sha256
from model_registry.signing import signature_beside
from tests.made_up.signed import sign
from tests.made_up.tiny_model import plain_contributions, plain_logit, save_tiny_model, sigmoid

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny-v1")


@pytest.fixture(scope="module")
def public_key(model_folder) -> str:
    """The key that the model is signed by."""
    return sign(model_folder)


def run_worker(code: str, *arguments: str) -> Any:
    """Run `code` in a fresh process, as an executor's worker is, and return the JSON that it prints."""
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(finished.stdout)


@pytest.fixture(scope="module")
def facts_of_a_worker(model_folder, public_key, tmp_path_factory) -> dict[str, Any]:
    """Facts of a worker process that loads the model twice, the second time without its folder."""
    code = """
import json, shutil, sys
from pathlib import Path
from jobs.scoring.engine import load_once
path, copy, sha256, key = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
shutil.copytree(path, copy)
shutil.copy(f"{path}.sig", f"{copy}.sig")
first = load_once(copy, sha256, key, num_threads=1)
shutil.rmtree(copy)
second = load_once(copy, sha256, key, num_threads=1)
try:
    load_once(path, "0" * 64, key, num_threads=1)
    other_hash = "loaded"
except Exception as error:
    other_hash = type(error).__name__
import tensorflow as tf
threads = [tf.config.threading.get_intra_op_parallelism_threads(), tf.config.threading.get_inter_op_parallelism_threads()]
print(json.dumps({"same": first is second, "threads": threads, "other hash": other_hash}))
"""
    copy = tmp_path_factory.mktemp("worker") / model_folder.name
    return run_worker(code, str(model_folder), str(copy), folder_sha256(model_folder), public_key)


def test_scores_equal_the_models_own_whatever_the_padding(model_folder):
    model = load(model_folder)
    risk_scores, logits = model.predict(np.array([[3, 4, 0, 0], [5, 5, 6, 1]], dtype=np.int32))
    expected = [plain_logit([3, 4]), plain_logit([5, 5, 6, 1])]
    assert logits == pytest.approx(expected)
    assert risk_scores == pytest.approx([sigmoid(logit) for logit in expected])
    assert risk_scores.dtype == np.float64


def test_explanations_equal_the_models_own(model_folder):
    explanation = load(model_folder).explain(np.array([[3, 4, 0, 0], [5, 5, 6, 1]], dtype=np.int32))
    expected = [[*plain_contributions([3, 4]), 0, 0], plain_contributions([5, 5, 6, 1])]
    np.testing.assert_allclose(explanation.contributions, expected)
    assert explanation.logits == pytest.approx([plain_logit([3, 4]), plain_logit([5, 5, 6, 1])])
    assert explanation.baseline_logits.tolist() == [-2.0, -2.0]


def test_a_model_that_cannot_explain_still_scores(tmp_path):
    model = load(save_tiny_model(tmp_path / "model", explains=False))
    token_ids = np.array([[3]], dtype=np.int32)
    assert model.predict(token_ids)[1] == pytest.approx([plain_logit([3])])
    with pytest.raises(UnusableModelError, match="signature explain_token_ids, found: score_token_ids"):
        model.explain(token_ids)


def test_a_long_sequence_keeps_the_models_last_installs(model_folder):
    model = load(model_folder)
    encoded = model.encode(pa.array([["maps", "chat", "chat", "bank", "never seen"]]))
    assert encoded.flatten().tolist() == [3, 3, 5, 1]


def test_a_model_is_loaded_once_per_process(facts_of_a_worker):
    assert facts_of_a_worker["same"]


def test_another_models_hash_is_not_answered_from_the_cache(facts_of_a_worker):
    assert facts_of_a_worker["other hash"] == "HashMismatchError"


def test_tensorflow_uses_only_the_threads_of_its_task(facts_of_a_worker):
    assert facts_of_a_worker["threads"] == [1, 1]


def test_other_bytes_are_refused_before_tensorflow_is_imported(model_folder, public_key, tmp_path):
    sha256 = folder_sha256(model_folder)
    copy = tmp_path / model_folder.name
    shutil.copytree(model_folder, copy)
    shutil.copy(signature_beside(model_folder), signature_beside(copy))
    with (copy / "saved_model.pb").open("ab") as graph:
        graph.write(b"\0")
    code = """
import json, sys
from pathlib import Path
from jobs.scoring.engine import load_once
from model_registry.errors import SignatureRefusedError
try:
    load_once(Path(sys.argv[1]), sys.argv[2], sys.argv[3], num_threads=1)
except SignatureRefusedError as error:
    print(json.dumps(["saved_model.pb" in str(error), "tensorflow" in sys.modules]))
"""
    assert run_worker(code, str(copy), sha256, public_key) == [True, False]


@pytest.mark.parametrize("operation", ["ReadFile", "WriteFile", "PyFunc"])
def test_a_graph_that_touches_files_or_runs_python_is_refused_by_the_operation(tmp_path, operation):
    import tensorflow as tf

    class Foreign(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32, name="token_ids")])
        def score(self, token_ids):
            if operation == "ReadFile":
                tf.io.read_file("/etc/hostname")
            elif operation == "WriteFile":
                tf.io.write_file("/tmp/written", "x")
            else:
                tf.numpy_function(lambda: np.float32(0), [], tf.float32)
            logit = tf.reduce_sum(tf.cast(token_ids, tf.float32), axis=1)
            return {"risk_score": tf.sigmoid(logit), "logit": logit}

    folder = save_tiny_model(tmp_path / "model")
    foreign = Foreign()
    tf.saved_model.save(foreign, str(folder), signatures={"score_token_ids": foreign.score})
    with pytest.raises(UnusableModelError, match=rf"found {operation} in __inference_score_"):
        load(folder)


def test_a_signature_that_writes_a_checkpoint_is_refused(tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    folder = save_tiny_model(tmp_path / "model")
    file = folder / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    library = saved_model.meta_graphs[0].graph_def.library
    save = next(one.signature.name for one in library.function if "traced_save" in one.signature.name)
    score = next(one for one in library.function if one.signature.name.startswith("__inference_score"))
    score.node_def.add(name="save", op="StatefulPartitionedCall").attr["f"].func.name = save
    file.write_bytes(saved_model.SerializeToString())
    with pytest.raises(UnusableModelError, match="a call of __inference__traced_save"):
        load(folder)


def test_a_model_without_the_signature_says_what_it_has(tmp_path):
    folder = save_tiny_model(tmp_path / "model", signature="serve", explains=False)
    with pytest.raises(UnusableModelError, match=r"signature score_token_ids, found: serve"):
        load(folder)


def test_a_vocabulary_of_another_size_than_described_is_refused(tmp_path):
    folder = save_tiny_model(tmp_path / "model", vocabulary_size=99)
    with pytest.raises(UnusableModelError, match=r"expected 99 tokens .* found 7"):
        load(folder)


@pytest.mark.parametrize("file", ["vocabulary.txt", "model.json"])
def test_a_folder_without_its_extra_files_is_refused(model_folder, tmp_path, file):
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    (copy / "assets.extra" / file).unlink()
    with pytest.raises(UnusableModelError, match=f"no {file}"):
        load(copy)


def test_a_description_without_sizes_is_refused(model_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    (copy / "assets.extra" / "model.json").write_text("{}")
    with pytest.raises(UnusableModelError, match="vocabulary_size"):
        load(copy)


def test_an_app_id_may_hold_a_character_that_some_readers_treat_as_a_line_end(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes("maps\u2028app\nchat\n".encode())
    assert read_vocabulary(path).apps == ("maps\u2028app", "chat")
