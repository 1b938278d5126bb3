"""`python -m simulator` and `python -m simulator.truth`, as a shell sees them."""

import subprocess
import sys
from pathlib import Path


def run_module(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_simulation_is_written_once_and_its_best_auc_printed(tmp_path):
    options = [
        "--output",
        tmp_path,
        "--users",
        "100",
        "--days",
        "2",
        "--first-day",
        "2003-05-01",
        "--format",
        "parquet",
    ]
    first = run_module("simulator", *options)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[0].startswith("ds=2003-05-01  install ")
    assert (tmp_path / "installs" / "ds=2003-05-02" / "part-00000.parquet").exists()

    again = run_module("simulator", *options)
    assert again.returncode == 2
    assert "exists" in again.stderr

    truth = run_module("simulator.truth", tmp_path)
    assert truth.returncode == 0, truth.stderr
    assert truth.stdout.startswith("AUC 0.")
