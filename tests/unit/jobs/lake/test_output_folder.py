"""An output folder appears whole, and nothing that another wrote is deleted."""

from pathlib import Path

import pytest

from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.output_folder import OutputFolder, OutputFolderError
from tests.made_up.landing_day import land, uri


@pytest.fixture
def output(spark, tmp_path):
    return OutputFolder(HadoopFiles(spark), uri(tmp_path / "run-1"), "_facts.json")


def write(output, **files):
    with output.replaced() as staged:
        land(Path(staged.removeprefix("file:")), _facts__json="{}", **files)


def names(folder):
    return {path.name for path in folder.iterdir() if not path.name.endswith(".crc")}


def test_a_rerun_replaces_its_own_output(tmp_path, output):
    write(output, _SUCCESS="", **{"part-0__parquet": "old"})
    write(output, **{"part-1__parquet": "new"})
    assert names(tmp_path / "run-1") == {"_facts.json", "part-1.parquet"}
    assert names(tmp_path) == {"run-1"}


def test_a_block_that_fails_leaves_the_earlier_output_and_nothing_beside_it(tmp_path, output):
    write(output, **{"part-0__parquet": "old"})

    def fail():
        with output.replaced() as staged:
            land(tmp_path / staged.rsplit("/", 1)[-1], half="")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == {"run-1"}
    assert names(tmp_path / "run-1") == {"_facts.json", "part-0.parquet"}


@pytest.mark.parametrize("foreign", ["notes.txt", "run-2", "part-0.csv"])
def test_a_file_that_the_job_did_not_write_keeps_the_folder(tmp_path, output, foreign):
    write(output)
    (tmp_path / "run-1" / foreign).write_text("mine")
    with pytest.raises(OutputFolderError, match=f"found: {foreign}. Choose another folder"):
        output.check([])
    with pytest.raises(OutputFolderError, match=f"found: {foreign}"):
        write(output)
    assert names(tmp_path) == {"run-1"}
    assert (tmp_path / "run-1" / foreign).read_text() == "mine"


@pytest.mark.parametrize("name", ["run-1", "run-1/", "run-1/.", "x/../run-1"])
def test_a_folder_without_the_proof_is_refused_however_it_is_written(spark, tmp_path, name):
    land(tmp_path / "run-1", **{"part-0__parquet": ""})
    with pytest.raises(OutputFolderError, match=r"/run-1 exists .* found: no _facts\.json"):
        OutputFolder(HadoopFiles(spark), f"{uri(tmp_path)}/{name}", "_facts.json").check([])


@pytest.mark.parametrize("read", ["run-1", "run-1/deeper", "."])
def test_an_output_that_overlaps_an_input_is_refused(tmp_path, output, read):
    with pytest.raises(OutputFolderError, match="equals, holds or lies in"):
        output.check([uri(tmp_path / read)])


def test_a_neighbour_with_a_longer_name_is_no_overlap(tmp_path, output):
    output.check([uri(tmp_path / "run-10"), uri(tmp_path / "run")])
