"""The user that this process is on HDFS, as long as the cluster asks for no password."""

import getpass
import os


def hadoop_user() -> str:
    """Name of the user, by the variable that Hadoop's own clients read, or of the account that runs this process."""
    return os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
