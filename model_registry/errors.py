"""Named errors for everything that can go wrong between a training run and a model on HDFS.

    ModelRegistryError
    ├── ServiceDownError              worth a retry: the service may come back
    │   ├── WebHdfsDownError          nothing answers, or no NameNode is active
    │   ├── DataNodeDownError         the NameNode answers, the DataNode that it chose does not
    │   ├── NoDataNodeError           the NameNode answers, but no DataNode can take or give the bytes
    │   ├── HdfsSafeModeError         the NameNode answers, but refuses writes for now
    │   ├── KdcDownError              no KDC (the server that gives Kerberos's tickets) answers
    │   └── MlflowDownError           nothing answers, or the server fails inside
    ├── RemoteRequestError            a service refused for a reason that has no name here
    ├── PermissionDeniedError         HDFS or MLflow refused this user
    │   └── NoTicketError             HDFS asks for Kerberos, and this process has no log-in for it
    ├── TicketRefusedError            Kerberos refused the principal, its keytab, the server's name or a clock
    ├── UntrustedCertificateError     a server's TLS certificate is not signed by a trusted authority
    ├── NoSpaceError                  a quota or the disks are full
    ├── MissingError
    │   ├── RunMissingError           no such training run
    │   ├── RunWithoutModelError      the run exists, its `saved_model/` does not
    │   ├── VersionMissingError       no such model version
    │   ├── AliasMissingError         no version carries the alias
    │   └── ModelFolderMissingError   the version exists, its folder on HDFS does not
    ├── HashMismatchError             bytes differ from those that were registered
    ├── UnsignedModelError            nobody has promoted the version
    ├── SignatureRefusedError         the signature is by another key, or for other names or bytes
    ├── SigningKeyError               no key where one is needed
    ├── VersionExistsError            versions are immutable
    ├── VersionNotReadyError          MLflow is still making the version, or failed to
    ├── VersionNotPushedError         the version's bytes are not in this store
    ├── PromotionRefusedError         a version is worse than the champion, or was not compared with it
    ├── InvalidModelFolderError       a folder that cannot be hashed or copied faithfully
    └── InvalidModelVersionError      a name, number, hash or JSON that names no version

Standard library only: executors import this module.
"""


class ModelRegistryError(Exception):
    """An error that says what was expected, what was found and what to do: phrases without a final stop."""

    # True if the same command may succeed later without any repair.
    retryable = False

    def __init__(self, expected: str, found: str, way_out: str) -> None:
        super().__init__(expected, found, way_out)  # all three, so that the error can be pickled
        self.expected = expected
        self.found = found
        self.way_out = way_out

    def __str__(self) -> str:
        return f"expected {self.expected}; found {self.found}. To do: {self.way_out}."


class ServiceDownError(ModelRegistryError):
    retryable = True


class WebHdfsDownError(ServiceDownError):
    pass


class DataNodeDownError(ServiceDownError):
    pass


class NoDataNodeError(ServiceDownError):
    pass


class HdfsSafeModeError(ServiceDownError):
    pass


class KdcDownError(ServiceDownError):
    pass


class MlflowDownError(ServiceDownError):
    pass


class RemoteRequestError(ModelRegistryError):
    # Unknown reasons are retried: a retry of a permanent one costs minutes, a lost night costs a day.
    retryable = True


class PermissionDeniedError(ModelRegistryError):
    pass


class NoTicketError(PermissionDeniedError):
    pass


class TicketRefusedError(ModelRegistryError):
    pass


class UntrustedCertificateError(ModelRegistryError):
    pass


class NoSpaceError(ModelRegistryError):
    pass


class MissingError(ModelRegistryError):
    pass


class RunMissingError(MissingError):
    pass


class RunWithoutModelError(MissingError):
    pass


class VersionMissingError(MissingError):
    pass


class AliasMissingError(MissingError):
    pass


class ModelFolderMissingError(MissingError):
    pass


class HashMismatchError(ModelRegistryError):
    pass


class UnsignedModelError(ModelRegistryError):
    pass


class SignatureRefusedError(ModelRegistryError):
    pass


class SigningKeyError(ModelRegistryError):
    pass


class VersionExistsError(ModelRegistryError):
    pass


class VersionNotReadyError(ModelRegistryError):
    pass


class VersionNotPushedError(ModelRegistryError):
    pass


class PromotionRefusedError(ModelRegistryError):
    pass


class InvalidModelFolderError(ModelRegistryError):
    pass


class InvalidModelVersionError(ModelRegistryError):
    pass
