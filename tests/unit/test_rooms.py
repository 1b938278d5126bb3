"""Imports between the rooms of jobs/ run one way: a room uses only those named beside it."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from settings import REPOSITORY
from tests.rooms import MAY_USE, SCRIPTS

TOPS = ("bench", "dags", "jobs", "local_cluster", "model_registry", "simulator")
JOBS = REPOSITORY / "jobs"
MOST_FILES = 12  # of a room: with more, a reader no longer guesses the right one


def modules_imported_by(files: list[Path]) -> set[str]:
    """Full names, wherever the import stands in the file."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def rooms_imported_by(room: str) -> set[str]:
    """Second part of each `jobs.<room>…` that the room's files import."""
    files = [JOBS / f"{room}.py"] if (JOBS / f"{room}.py").exists() else list((JOBS / room).rglob("*.py"))
    return {name.split(".")[1] for name in modules_imported_by(files) if name.startswith("jobs.")}


@pytest.mark.parametrize(("room", "allowed"), MAY_USE.items())
def test_a_room_imports_only_the_rooms_named_beside_it(room, allowed):
    assert rooms_imported_by(room) <= allowed | {room}


def test_every_room_is_named_above():
    rooms = {path.parent.name for path in JOBS.glob("*/__init__.py")}
    files = {path.stem for path in JOBS.glob("*.py")}
    assert rooms | files == MAY_USE.keys() | SCRIPTS | {"__init__", "command"}


def test_no_script_imports_another():
    for script in SCRIPTS:
        assert not rooms_imported_by(script) & (SCRIPTS - {script}), script


def test_nothing_reads_pickles():
    imported = modules_imported_by([file for top in TOPS for file in (REPOSITORY / top).rglob("*.py")])
    assert not {name.split(".")[0] for name in imported} & {"pickle", "cloudpickle", "dill", "joblib"}


def test_the_registry_knows_no_job():
    imported = modules_imported_by(list((REPOSITORY / "model_registry").rglob("*.py")))
    assert not {name for name in imported if name.split(".")[0] in {"jobs", "dags"}}


def test_dags_import_one_file_of_the_jobs_which_is_light():
    imported = modules_imported_by(list((REPOSITORY / "dags").rglob("*.py")))
    assert {name.rpartition(".")[0] for name in imported if name.startswith("jobs.")} == {
        "jobs.lake.receipts"
    }
    needed = modules_imported_by([JOBS / "lake" / "receipts.py"])
    assert {name.split(".")[0] for name in needed} <= sys.stdlib_module_names


def test_no_files_import_each_other_in_a_circle():
    files = {
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts): file
        for top in TOPS
        for file in (REPOSITORY / top).rglob("*.py")
        if file.name != "__init__.py"
    }
    uses = {}
    for name, file in files.items():
        imported = modules_imported_by([file])
        uses[name] = (imported | {one.rsplit(".", 1)[0] for one in imported}) & files.keys()
    TopologicalSorter(uses).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("top", TOPS)
def test_a_room_holds_few_enough_files_to_guess_the_right_one(top):
    for folder in {path.parent for path in (REPOSITORY / top).rglob("*.py")}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= MOST_FILES, folder
