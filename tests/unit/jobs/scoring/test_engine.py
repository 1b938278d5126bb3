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
from tests.made_up.tiny_model import plain_contributions, plain_logit, save_tiny_model, sigmoid

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny-v1")


def run_worker(code: str, *arguments: str) -> Any:
    """Run `code` in a fresh process, as an executor's worker is, and return the JSON that it prints."""
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(finished.stdout)


@pytest.fixture(scope="module")
def facts_of_a_worker(model_folder) -> dict[str, Any]:
    """Facts of a worker process that loads the model twice, the second time without its folder."""
    code = """
import json, shutil, sys
from pathlib import Path
from jobs.scoring.engine import load_once
path, copy, sha256 = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
shutil.copytree(path, copy)
first = load_once(copy, sha256, num_threads=1)
shutil.rmtree(copy)
second = load_once(copy, sha256, num_threads=1)
try:
    load_once(path, "0" * 64, num_threads=1)
    other_hash = "loaded"
except Exception as error:
    other_hash = type(error).__name__
import tensorflow as tf
threads = [tf.config.threading.get_intra_op_parallelism_threads(), tf.config.threading.get_inter_op_parallelism_threads()]
print(json.dumps({"same": first is second, "threads": threads, "other hash": other_hash}))
"""
    return run_worker(code, str(model_folder), f"{model_folder}-copy", folder_sha256(model_folder))


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


def test_other_bytes_are_refused_before_tensorflow_is_imported(model_folder, tmp_path):
    sha256 = folder_sha256(model_folder)
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    with (copy / "saved_model.pb").open("ab") as graph:
        graph.write(b"\0")
    code = """
import json, sys
from pathlib import Path
from jobs.scoring.engine import load_once
from model_registry.errors import HashMismatchError
try:
    load_once(Path(sys.argv[1]), sys.argv[2], num_threads=1)
except HashMismatchError:
    print(json.dumps(["refused", "tensorflow imported" if "tensorflow" in sys.modules else "no tensorflow"]))
"""
    assert run_worker(code, str(copy), sha256) == ["refused", "no tensorflow"]


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
