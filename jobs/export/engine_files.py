"""Files that engines score with, written by TensorFlow whichever Keras backend trained the model.

In   model.keras, and its tokenizer
Out  saved_model/ (jobs/export/saved_model.py) and model.onnx (jobs/export/onnx_model.py) in one folder

A process has one Keras backend, fixed when Keras is imported. Where that is not TensorFlow, a second process
reads the Keras file and writes the others:

    KERAS_BACKEND=tensorflow python -m jobs.export.engine_files model.keras TOKENIZER_FOLDER FOLDER
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import keras

# So that load_model knows their layers.
import jobs.encoder.classifier
import jobs.encoder.layers.tfidf_regression
import jobs.encoder.risk_model  # noqa: F401 (nothing here names them)
from jobs.export.onnx_model import export_onnx
from jobs.export.saved_model import export_saved_model
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.tokenizer_files import read_tokenizer, write_tokenizer
from model_registry.model_folder import SAVED_MODEL

ONNX = "model.onnx"


class ExportError(RuntimeError):
    """The process that exports has failed."""


def write_engine_files(keras_file: Path, tokenizer: Tokenizer, folder: Path) -> None:
    """Write `saved_model/` and `model.onnx` into `folder`.

    Raises:
        ExportError: the other process failed; the message ends with its last error output.
    """
    if keras.backend.backend() == "tensorflow":
        model = keras.models.load_model(keras_file)
        export_onnx(model, folder / ONNX)
        export_saved_model(model, tokenizer, folder / SAVED_MODEL)
        return
    with TemporaryDirectory(prefix="tokenizer_") as scratch:
        write_tokenizer(tokenizer, Path(scratch))
        process = subprocess.run(
            [sys.executable, "-m", "jobs.export.engine_files", str(keras_file), scratch, str(folder)],
            # Nothing is trained here, and the GPU's memory belongs to the process that waits.
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
    if process.returncode != 0:
        raise ExportError(
            f"the export by TensorFlow ended with exit {process.returncode}: {process.stderr[-2000:]}"
        )


def main() -> None:
    keras_file, tokenizer_folder, folder = map(Path, sys.argv[1:])
    write_engine_files(keras_file, read_tokenizer(tokenizer_folder), folder)


if __name__ == "__main__":
    main()
