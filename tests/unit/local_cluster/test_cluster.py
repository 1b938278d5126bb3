"""The one-machine cluster refuses taken ports and touches only its own processes."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local_cluster.environment import service_environment
from local_cluster.layout import ClusterError, Layout
from local_cluster.start import refuse_taken_ports, start
from local_cluster.supervision import end_of_log, owned_processes, stop_everything
from settings import Ports, Settings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(Settings(cluster_home=tmp_path / "home", port_offset=33_000))


@pytest.fixture
def sleeper(layout: Layout) -> Iterator[subprocess.Popen[bytes]]:
    """A leftover of a crash: it has the cluster's mark, and has renamed itself as Airflow's processes do."""
    layout.make_folders()
    program = (
        "import time, setproctitle; setproctitle.setproctitle('worker'); print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=service_environment(layout), stdout=subprocess.PIPE
    )
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_a_taken_port_is_named_with_its_service(layout: Layout) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", layout.settings.ports.mlflow))
        other.listen()
        with pytest.raises(ClusterError, match=rf"{layout.settings.ports.mlflow} \(mlflow\)"):
            refuse_taken_ports(layout)


def test_data_from_before_the_identities_are_refused_and_left_alone(layout: Layout) -> None:
    layout.make_folders()
    (layout.data / "pgpass").touch()
    with pytest.raises(ClusterError, match="is of a version without identities"):
        start(layout)
    assert [path.name for path in layout.data.iterdir() if path.is_file()] == ["pgpass"]


def test_an_offset_moves_every_port() -> None:
    shifted = Ports().shifted(1000).model_dump()
    assert {name: port - 1000 for name, port in shifted.items()} == Ports().model_dump()


def test_leftovers_of_a_crash_are_stopped(layout: Layout, sleeper: subprocess.Popen[bytes]) -> None:
    assert stop_everything(layout) == 1
    assert not psutil.pid_exists(sleeper.pid)


def test_another_clusters_process_is_left_alone(
    layout: Layout, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    other = Layout(Settings(cluster_home=tmp_path / "other"))
    assert stop_everything(other) == 0
    assert sleeper.poll() is None
    assert [process.pid for process in owned_processes(layout)] == [sleeper.pid]


def test_a_stale_pid_file_does_not_stop_another_process_with_its_pid(layout: Layout) -> None:
    layout.make_folders()
    (layout.run / "supervisord.pid").write_text(str(os.getpid()))
    stop_everything(layout)
    assert psutil.pid_exists(os.getpid())


def test_the_end_of_a_log_begins_with_its_path(tmp_path: Path) -> None:
    log = tmp_path / "namenode.log"
    log.write_text("\n".join(str(number) for number in range(100)))
    assert end_of_log(log, lines=2).splitlines() == [f"--- end of {log}", "98", "99"]
