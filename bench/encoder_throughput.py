"""Training speed of our encoder beside PyTorch's of the same sizes: `make bench-training`.

In   made-up batches, all of one length; on a GPU where there is one, else on the CPU
Out  users per second of both, in turns, and their ratio

Each runs in its own process: TensorFlow and PyTorch bring different LLVMs, and a process that loads both
    aborts.

Ours runs on the backend that KERAS_BACKEND names. PyTorch's is an nn.TransformerEncoder, with embeddings
before it and a mean before its head. Ours also has a convolution, encodings of places and pooling by place,
which cost time. Both train by Adam on the log loss, in float16 on a GPU. PyTorch is no dependency of this
project: `pip install torch` into its environment first.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import keras
import numpy as np
import typer
from numpy.typing import NDArray

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.encoder.tokens import FIRST_APP_TOKEN_ID
from jobs.training.fit.options import TrainingOptions

TokenIds = NDArray[np.int32]
Labels = NDArray[np.float32]
Batches = list[tuple[TokenIds, Labels]]
Train = Callable[[], None]  # on all batches once


def make_batches(config: EncoderConfig, batch_size: int, steps: int) -> Batches:
    """Batches without padding, of the longest rows that the encoder reads."""
    random = np.random.default_rng(1)
    shape = (batch_size, config.max_sequence_length)
    return [
        (
            random.integers(FIRST_APP_TOKEN_ID, config.vocabulary_size, shape, dtype=np.int32),
            random.integers(0, 2, batch_size).astype(np.float32),
        )
        for _ in range(steps)
    ]


def ours(config: EncoderConfig, options: TrainingOptions, batches: Batches) -> Train:
    """Our classifier, compiled and fed as in a training."""
    from jobs.training.fit.batches import LABELLED_BATCH, stream
    from jobs.training.fit.devices import training_precision
    from jobs.training.fit.optimizer import compile_classifier
    from jobs.training.fit.schedule import make_schedule

    with training_precision():
        model = build_classifier(config)
        installs = np.bincount(
            np.concatenate([token_ids.ravel() for token_ids, _ in batches]), minlength=config.vocabulary_size
        )
        compile_classifier(model, options, make_schedule(options, len(batches), 100 * len(batches)), installs)
    dataset = stream(lambda: iter(batches), LABELLED_BATCH)

    def train() -> None:
        model.fit(dataset.repeat(), steps_per_epoch=len(batches), verbose=0, shuffle=False)

    return train


def pytorchs(config: EncoderConfig, options: TrainingOptions, batches: Batches) -> Train:
    """PyTorch's own encoder of the same sizes, with post-layer-norm and SiLU as in ours."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"

    layer = torch.nn.TransformerEncoderLayer(
        config.hidden_dim,
        config.num_heads,
        config.intermediate_dim,
        dropout=config.dropout,
        activation=torch.nn.functional.silu,
        batch_first=True,
    )
    embedding = torch.nn.Embedding(config.vocabulary_size, config.hidden_dim)
    encoder = torch.nn.TransformerEncoder(layer, config.num_layers)
    head = torch.nn.Linear(config.hidden_dim, 1)
    model = torch.nn.ModuleList([embedding, encoder, head]).to(device)

    def predict(token_ids: Any) -> Any:
        encoded = encoder(embedding(token_ids), src_key_padding_mask=token_ids == 0)
        return head(encoded.mean(dim=1)).squeeze(-1)

    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    log_loss = torch.nn.BCEWithLogitsLoss()
    scaler = torch.amp.GradScaler(device, enabled=device == "cuda")

    def train() -> None:
        model.train()
        for token_ids, labels in batches:
            optimizer.zero_grad()
            with torch.autocast(device, torch.float16, enabled=device == "cuda"):
                logits = predict(torch.from_numpy(token_ids).to(device))
                loss = log_loss(logits, torch.from_numpy(labels).to(device))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        loss.item()  # waits until the device is done

    return train


KINDS = {"ours": ours, "nn.TransformerEncoder": pytorchs}


def serve(kind: str, batch_size: int, steps: int, max_sequence_length: int) -> None:
    """Train one round for each line on stdin, and print its users per second."""
    config = EncoderConfig(max_sequence_length=max_sequence_length)
    train = KINDS[kind](
        config, TrainingOptions(batch_size=batch_size), make_batches(config, batch_size, steps)
    )
    for _ in sys.stdin:
        started = time.perf_counter()
        train()
        print(batch_size * steps / (time.perf_counter() - started), flush=True)


def start(kind: str, sizes: list[int]) -> "subprocess.Popen[str]":
    """Start a process that runs `serve` for one kind."""
    call = f"from bench.encoder_throughput import serve; serve({kind!r}, *{sizes})"
    # Neither may take all of the GPU's memory, and PyTorch's must not load TensorFlow.
    environment = {
        **os.environ,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if kind != "ours":
        environment["KERAS_BACKEND"] = "torch"
    return subprocess.Popen(
        [sys.executable, "-c", call],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(process: "subprocess.Popen[str]") -> float:
    """Ask for one round, and return its users per second."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit("a training failed; its error is printed above")
    return float(answer)


def main(
    batch_size: Annotated[int, typer.Option(min=1, help="users in one step")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="steps in one round")] = 30,
    rounds: Annotated[int, typer.Option(min=1, help="rounds of each")] = 5,
    max_sequence_length: Annotated[int, typer.Option(min=1, help="installs of each user")] = 128,
) -> None:
    """Time rounds of both in turns."""
    if importlib.util.find_spec("torch") is None:
        raise SystemExit("bench-training compares with PyTorch, which is missing: pip install torch")
    processes = {kind: start(kind, [batch_size, steps, max_sequence_length]) for kind in KINDS}
    users_per_second: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(rounds + 1):
        for kind, process in processes.items():
            found = ask(process)
            if number:  # the first round compiles
                users_per_second[kind].append(found)
    for process in processes.values():
        process.communicate()  # the process ends when its input ends
    print(f"{batch_size} users of {max_sequence_length} installs a step, ours on {keras.backend.backend()}")
    for kind, rates in users_per_second.items():
        print(f"{kind}: {statistics.median(rates):,.0f} users/s ({min(rates):,.0f} to {max(rates):,.0f})")
    our_median, their_median = (statistics.median(rates) for rates in users_per_second.values())
    print(f"ours is {our_median / their_median:.2f} times as fast")


if __name__ == "__main__":
    typer.run(main)
