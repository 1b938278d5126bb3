"""Folders on HDFS and who may do what there."""

from local_cluster.access.folders import Folder, hdfs_folders
from settings import Settings


def test_readers_are_inherited_and_passers_are_not() -> None:
    entries = Folder("/x", "scoring", readers=("training",), passers=("reader",)).acl().split(",")
    assert {"user:training:r-x", "default:user:training:r-x", "user:reader:--x"} <= {*entries}
    assert not [entry for entry in entries if entry.startswith("default:user:reader")]


def test_writers_make_files_of_their_own_which_the_others_only_read() -> None:
    folder = Folder("/x", writers=("training", "promotion"))
    assert folder.permission == "1770"
    assert "user:training:rwx" in folder.acl()
    assert "default:user:training:r-x" in folder.acl()


def test_the_rest_of_the_world_gets_nothing_anywhere() -> None:
    for folder in hdfs_folders(Settings()):
        assert "other::---" in folder.acl()
        assert folder.permission[-1] == "0"


def test_every_root_of_the_settings_is_among_them() -> None:
    settings = Settings()
    paths = {folder.path for folder in hdfs_folders(settings)}
    roots = {value for name, value in settings.model_dump().items() if name.endswith("_root")}
    assert roots <= paths
