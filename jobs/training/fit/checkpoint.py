"""Where a training stands, so that a killed one goes on as if nothing had happened.

In   model, optimizer and callbacks after an evaluation
Out  checkpoint.npz, which the same training, started again, goes on from with the same weights to the last bit

Keras' BackupAndRestore keeps weights, optimizer and epoch. It lacks the states of the dropout's random
generators, the best weights and the patience of early stopping, and it overwrites its file in place.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from jobs.errors import DataError
from jobs.training.fit.schedule import HalveOnPlateau

CHECKPOINT_FILE = "checkpoint.npz"

Arrays = dict[str, NDArray[Any]]


class CheckpointError(DataError):
    """The folder's checkpoint is of another training, or cannot be read."""


class Checkpoint(keras.callbacks.Callback):
    """Writes the state after each evaluation, and restores it when training starts.

    It comes last among the callbacks, after those whose state it keeps.

    Args:
        folder: holds the checkpoint of one training; made when missing.
        identity: what makes the training what it is; a checkpoint of another one is refused.
        history: the evaluations so far, dataclasses; whoever trains appends to it.
        early_stopping, plateau: callbacks to keep the state of, when there are any.

    Raises:
        CheckpointError: naming what differs.
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
        """Whether the checkpoint found is of a training that had come to its end."""
        return bool(self.state["finished"])

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The history that the checkpoint found holds; empty without one."""
        found: list[dict[str, Any]] = self.state["history"]
        return found

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
        """All that changes in training: weights, the dropout's random states, the optimizer's variables."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        return {f"variable_{i:05}": variable for i, variable in enumerate(variables)}


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
        raise CheckpointError(f"{path} cannot be read ({error}); without it, training starts anew") from error


def _write(path: Path, arrays: Arrays, state: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name("unfinished.npz")
    np.savez(unfinished, allow_pickle=False, state=np.array(json.dumps(state)), **arrays)
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())  # or a power cut could leave a file of its name without its bytes
    os.replace(unfinished, path)  # a kill while writing leaves the one before


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
