"""Bytes that are not as they were written: in a model, and in the files below a table."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from py4j.protocol import Py4JJavaError
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from jobs.command import Failure
from jobs.errors import DataError
from jobs.lake.branches import MAIN
from jobs.scoring import engine
from jobs.scoring.engine import ScoringModel
from jobs.scoring.worker_errors import WorkerRefusedError
from model_registry.connect import connect_store
from model_registry.errors import SignatureRefusedError
from model_registry.hashing import folder_sha256, relative_files
from model_registry.versions import ModelVersion, PinnedModel
from tests.faults.conftest import FULL, Promise
from tests.faults.harness.scored_days import rescore, scores_of
from tests.night import partition, score
from tests.real_cluster import Cluster

MODEL_FILES = (
    "saved_model.pb",
    "fingerprint.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    "assets.extra/model.json",
    "assets.extra/vocabulary.txt",
)


def flip_in_the_middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def flip_file(path: Path) -> None:
    path.write_bytes(flip_in_the_middle(path.read_bytes()))


@pytest.fixture
def another_model(
    cluster: Cluster, model: PinnedModel, tmp_path: Path
) -> Iterator[Callable[[], PinnedModel]]:
    """Push the model with one more file: executors load each hash once, and would not look at it again."""
    pushed = []

    def push() -> PinnedModel:
        store = connect_store(cluster.settings)
        folder = store.pull(model, tmp_path / uuid4().hex)
        assert {*relative_files(folder)} == {*MODEL_FILES}
        (folder / "assets.extra" / "unique.txt").write_text(uuid4().hex)
        copy = ModelVersion(f"flipped_{uuid4().hex}", 1, folder_sha256(folder))
        store.push(folder, copy)
        pushed.append(store.pinned(copy))
        cluster.sign(pushed[-1], tmp_path)
        return pushed[-1]

    yield push
    # A damaged copy stays: HDFS puts a sound one in its place on a third DataNode only, and there are two.
    for copy in pushed:
        cluster.hdfs.delete(f"{cluster.settings.models_root}/{copy.name}", recursive=True)


@pytest.mark.fault(8)
def test_a_byte_flipped_in_blocks_on_one_disk_changes_no_score(
    cluster: Cluster,
    spark: SparkSession,
    day: date,
    promise: Promise,
    attempts: Iterator[str],
    another_model: Callable[[], PinnedModel],
) -> None:
    copy, attempt = another_model(), next(attempts)
    for name in MODEL_FILES:
        flip_file(find_block(cluster, f"{urlsplit(copy.uri).path}/{name}"))
    with promise(day, None):
        score(copy, day, attempt)
    columns = ("user_id", "risk_score", "logit")
    staged = spark.sql(f"SELECT * FROM {scores_of(day).name} VERSION AS OF '{attempt}' WHERE ds = '{day}'")
    published = scores_of(day).read(spark)
    assert sorted(staged.select(*columns).collect()) == sorted(published.select(*columns).collect())


def find_block(cluster: Cluster, path: str) -> Path:
    """Find the one block of a small file on the disk of the first DataNode."""
    block = cluster.fsck(path, files="1", blocks="1").split(":blk_")[1].split("_")[0]
    (found,) = (cluster.layout.data / "datanode-1").rglob(f"blk_{block}")
    return found


@pytest.fixture
def check_refused(
    spark: SparkSession, day: date, promise: Promise, attempts: Iterator[str]
) -> Callable[[PinnedModel, str], None]:
    """Check that a night with the model is refused for this file, by its name, and stages nothing."""

    def check(model: PinnedModel, name: str) -> None:
        attempt, refusals = next(attempts), (SignatureRefusedError, WorkerRefusedError)
        with promise(day, None), pytest.raises(refusals, match=f"found other bytes: {name}"):
            score(model, day, attempt)
        assert scores_of(day).open(spark).head(attempt) is None

    return check


@pytest.mark.fault(8)
@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_byte_flipped_in_a_models_file_on_hdfs_is_refused_and_nothing_is_staged(
    cluster: Cluster,
    another_model: Callable[[], PinnedModel],
    check_refused: Callable[[PinnedModel, str], None],
    name: str,
) -> None:
    copy = another_model()
    path = f"{urlsplit(copy.uri).path}/{name}"
    with cluster.hdfs.read(path) as file:
        content = file.read()
    cluster.hdfs.write(path, flip_in_the_middle(content), overwrite=True)
    check_refused(copy, name)


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # executors do not have this module


def load_flipped(name: str, path: Path, sha256: str, public_key: str, num_threads: int) -> ScoringModel:
    """Flip a byte of the executor's copy, once, since Spark tries a task four times; then do as always."""
    flipped = path.with_name(f"{path.name}.flipped")
    if not flipped.exists():
        flip_file(path / name)
        flipped.touch()
    return engine.load_once(path, sha256, public_key, num_threads)


@pytest.mark.fault(8)
@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_byte_flipped_in_an_executors_copy_is_refused_and_nothing_is_staged(
    another_model: Callable[[], PinnedModel],
    check_refused: Callable[[PinnedModel, str], None],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    copy = another_model()
    monkeypatch.setattr("jobs.score_users.load_once", partial(load_flipped, name))
    check_refused(copy, name)


# --- Files below a table ------------------------------------------------------------------------------------

FLIPS = 60 if FULL else 6


def flip_at_random(seed: int, content: bytes) -> bytes:
    place = random.Random(seed).randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << seed % 8)]) + content[place + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[: len(content) // 2],
    "without a byte": lambda _: b"",
    **{f"flipped {seed}": partial(flip_at_random, seed) for seed in range(FLIPS)},
}


@contextmanager
def damaged_file(
    cluster: Cluster, spark: SparkSession, ds: date, damage: Callable[[bytes], bytes]
) -> Iterator[str]:
    """Damage a file of the day's sequences, and repair it in the end."""
    table = partition("user_sequences", ds).open(spark)
    path = urlsplit(min(table.files(ds, table.head(MAIN)))).path
    with cluster.hdfs.read(path) as file:
        content = file.read()
    cluster.hdfs.write(path, damage(content), overwrite=True)
    try:
        yield path
    finally:
        cluster.hdfs.write(path, content, overwrite=True)


@pytest.mark.fault(9)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_below_a_table_is_named_or_changes_nothing(
    cluster: Cluster,
    spark: SparkSession,
    day: date,
    model: PinnedModel,
    promise: Promise,
    attempts: Iterator[str],
    damage: str,
) -> None:
    """A flipped byte that no reader looks at, such as the name of the writer, changes nothing."""
    attempt = next(attempts)
    before = scores_of(day).read(spark).first()
    assert before is not None
    with promise(day, {before.run_id, attempt}), damaged_file(cluster, spark, day, DAMAGES[damage]) as path:
        try:
            rescore(model, day, attempt)
        except (DataError, PySparkException, Py4JJavaError) as error:
            line = Failure.of(error).line("score_users")
            assert "TableDamagedError" in line, line
            assert path in line or "named in the executor's log" in line
