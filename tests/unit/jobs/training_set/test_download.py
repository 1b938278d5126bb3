"""Training sets on HDFS and on this machine."""

from unittest.mock import create_autospec

import hdfs
import pytest

from jobs.training_set.download import download, local_folder
from jobs.training_set.reader import TrainingSetError


def test_a_local_folder_is_used_where_it_lies(tmp_path):
    with local_folder(str(tmp_path), webhdfs_url="http://127.0.0.1:1") as folder:
        assert folder == tmp_path
    assert tmp_path.is_dir()


def test_a_missing_local_folder_is_named(tmp_path):
    location = str(tmp_path / "nowhere")
    with (
        pytest.raises(TrainingSetError, match="nowhere is not a folder"),
        local_folder(location, webhdfs_url="http://127.0.0.1:1"),
    ):
        pass


def test_a_missing_hdfs_folder_is_named(tmp_path):
    client = create_autospec(hdfs.InsecureClient, instance=True, url="http://127.0.0.1:9870")
    client.status.side_effect = hdfs.HdfsError("no such file", exception="FileNotFoundException")
    with pytest.raises(TrainingSetError, match="/training_sets/run is not a folder on the HDFS"):
        download(client, "/training_sets/run", tmp_path)
    client.status.assert_called_once_with("/training_sets/run")
