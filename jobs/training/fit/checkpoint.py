"""Save and restore training state, so that a killed training resumes with the same final weights.

In   model, optimizer and callbacks after an evaluation
Out  checkpoint.npz; the same training, started again, resumes from it and ends with bit-identical weights

Keras' BackupAndRestore keeps weights, optimizer and epoch. It lacks the states of dropout's random
generators, and the best weights and patience of early stopping. It also overwrites its file in place.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from jobs.errors import DataError
from jobs.training.fit.schedule import HalveOnPlateau

CHECKPOINT_FILE, UNFINISHED_FILE = "checkpoint.npz", "unfinished.npz"

Arrays = dict[str, NDArray[Any]]


class CheckpointError(DataError):
    """The folder's checkpoint is of another training, or cannot be read."""


class Checkpoint(keras.callbacks.Callback):
    """Writes the state after each evaluation, and restores it when training starts.

    It must be the last callback, after those whose state it keeps.

    Args:
        folder: holds the checkpoint of one training; made when missing.
        identity: everything that determines the training; a checkpoint with another identity is refused.
        history: the evaluations so far, dataclasses; the training appends to it.
        early_stopping, plateau: callbacks whose state is kept, if there are any.

    Raises:
        CheckpointError: the checkpoint is of another training; names the differences.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        history: Sequence[Any],
        early_stopping: keras.callbacks.EarlyStopping | None,
        plateau: HalveOnPlateau | None,
    ) -> None:
        super().__init__()
        self.path = folder / CHECKPOINT_FILE
        self.identity = dict(identity)
        self.history = history
        self.early_stopping = early_stopping
        self.plateau = plateau
        self.arrays: Arrays = {}
        self.state: dict[str, Any] = {"finished": False, "history": []}
        if self.path.exists():
            self.arrays, self.state = _read(self.path)
            _check_identity(self.path, self.state["identity"], self.identity)

    @property
    def finished(self) -> bool:
        """Whether the checkpoint was written at the end of its training."""
        return bool(self.state["finished"])

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """History in the checkpoint; empty without one."""
        history: list[dict[str, Any]] = self.state["history"]
        return history

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        del logs
        if not self.arrays:
            return
        for name, variable in self._variables().items():
            variable.assign(self.arrays[name])
        if self.early_stopping is not None:
            for name, value in self.state["early_stopping"].items():
                setattr(self.early_stopping, name, value)
            best = (name for name in self.arrays if name.startswith("best_"))
            self.early_stopping.best_weights = [self.arrays[name] for name in sorted(best)]
        if self.plateau is not None:
            self.plateau.best = self.state["plateau"]["best"]
            self.plateau.wait = self.state["plateau"]["wait"]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        arrays = {name: variable.numpy() for name, variable in self._variables().items()}
        state = {
            "identity": self.identity,
            "finished": self.model.stop_training,
            "history": [asdict(evaluation) for evaluation in self.history],
        }
        stopping = self.early_stopping
        if stopping is not None:
            state["early_stopping"] = {
                name: getattr(stopping, name) for name in ("best", "best_epoch", "wait")
            }
            arrays |= {f"best_{i:05}": weight for i, weight in enumerate(stopping.best_weights)}
        if self.plateau is not None:
            state["plateau"] = {"best": self.plateau.best, "wait": self.plateau.wait}
        _write(self.path, arrays, state)

    def _variables(self) -> dict[str, keras.Variable]:
        """Everything that training changes: weights, random states of dropout, variables of the optimizer."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        return {f"variable_{i:05}": variable for i, variable in enumerate(variables)}


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints in the folders below `folder`, and the folders that are empty then."""
    for checkpoint in folder.glob(f"*/{CHECKPOINT_FILE}"):
        checkpoint.unlink()
        checkpoint.with_name(UNFINISHED_FILE).unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            checkpoint.parent.rmdir()
    with suppress(OSError):
        folder.rmdir()


def digest(*arrays: NDArray[Any]) -> str:
    """SHA-256 of the arrays' contents, types and shapes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype} {array.shape} ".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        return arrays, json.loads(arrays.pop("state").item())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); remove it to train from the beginning"
        ) from error


def _write(path: Path, arrays: Arrays, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(UNFINISHED_FILE)
    np.savez(unfinished, allow_pickle=False, state=np.array(json.dumps(state)), **arrays)
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())  # or a power cut could leave the renamed file empty
    os.replace(unfinished, path)  # a kill while writing leaves the previous one


def _check_identity(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    now = json.loads(json.dumps(now))
    differing = [
        f"{name} was {then.get(name)}, is {now.get(name)}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    if differing:
        raise CheckpointError(
            f"{path} is of another training: {'; '.join(differing)}. Name another folder, or remove it"
        )
