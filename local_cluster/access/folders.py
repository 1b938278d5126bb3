"""Folders on HDFS: who owns each, who reads it, who only passes through.

In   settings, whose user on HDFS is its superuser: the account that the NameNode runs as
Out  every folder with its owner, mode and ACL; harmless to repeat

What is made in a folder later inherits its readers (default ACLs), whatever the umask of its maker. Who is
not named gets nothing.
"""

from dataclasses import dataclass

import hdfs

from model_registry.store.webhdfs import webhdfs_client
from settings import Settings

WAREHOUSE = "/lake"  # of the catalog `lake`
PUBLISHED_TABLE = f"{WAREHOUSE}/risk/risk_scores"


@dataclass(frozen=True)
class Folder:
    """One folder and who may do what there; without an owner it is the superuser's."""

    path: str
    owner: str | None = None
    writers: tuple[str, ...] = ()  # make files of their own in it; nobody removes another one's
    readers: tuple[str, ...] = ()  # read it and all below it
    passers: tuple[str, ...] = ()  # reach a folder below it

    @property
    def permission(self) -> str:
        """The mode; its digit of the group is the mask of the ACL."""
        return "1770" if self.writers else "0750"

    def acl(self) -> str:
        """All entries, as WebHDFS takes them."""
        named = {name: "--x" for name in self.passers}
        named |= {name: "r-x" for name in self.readers}
        named |= {name: "rwx" for name in self.writers}
        inherited = {*self.readers, *self.writers}
        return ",".join(
            [
                "user::rwx,group::---,other::---",
                *(f"user:{name}:{rights}" for name, rights in named.items()),
                "default:user::rwx,default:group::---,default:other::---",
                *(f"default:user:{name}:r-x" for name in sorted(inherited)),
            ]
        )


def hdfs_folders(settings: Settings) -> list[Folder]:
    """Every folder of the pipeline, parents first."""
    return [
        Folder(settings.landing_root, "landing", readers=("scoring",)),
        Folder(settings.labels_root, "landing", readers=("scoring",)),
        Folder(WAREHOUSE, "scoring", passers=("reader",)),
        Folder(f"{WAREHOUSE}/risk", "scoring", passers=("reader",)),
        Folder(PUBLISHED_TABLE, "scoring", readers=("reader",)),
        Folder(settings.receipts_root, "scoring"),
        Folder(settings.training_sets_root, "scoring", readers=("training",)),
        Folder(settings.models_root, readers=("training", "scoring", "promotion")),
        # Versions are training's, signatures are promotion's.
        Folder(
            f"{settings.models_root}/{settings.model_name}",
            writers=("training", "promotion"),
            readers=("scoring",),
        ),
        # Spark makes this one for tables of its own catalog, which nothing uses, unless it is there.
        Folder("/warehouse", "scoring"),
        # Where Spark on YARN keeps a job's files while it runs.
        Folder("/user/scoring", "scoring"),
        Folder("/user/reader", "reader"),
    ]


def make_hdfs_folders(settings: Settings, client: hdfs.Client | None = None) -> None:
    """Make the folders that are missing, and set owner, mode and ACL of each.

    Args:
        client: HDFS's superuser, which alone may do this; by default the user of the settings.
    """
    client = client or webhdfs_client(settings.webhdfs_url, settings.hdfs_user)
    for folder in hdfs_folders(settings):
        client.makedirs(folder.path)
        if folder.owner is not None:
            client.set_owner(folder.path, folder.owner)
        client.set_acl(folder.path, folder.acl())
        client.set_permission(folder.path, folder.permission)
