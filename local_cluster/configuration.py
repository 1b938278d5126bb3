"""Configuration of Hadoop and Spark for one machine, written below `.cluster/conf`."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from local_cluster import postgres
from local_cluster.access.credentials import pgpass
from local_cluster.access.folders import WAREHOUSE
from local_cluster.environment import OWNER
from local_cluster.install.class_archive import class_path, jvm_options
from local_cluster.layout import Layout

LOG4J2 = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{{HH:mm:ss}} %p %c{{1}}: %m%n%ex
rootLogger.level = {level}
rootLogger.appenderRef.console.ref = console
# These two only say that this machine has no native Hadoop library and no other address.
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
logger.utils.name = org.apache.spark.util.Utils
logger.utils.level = error
# One line of each submit: "Submitted application application_…". Airflow's operator reads it in cluster mode.
logger.submitted.name = org.apache.hadoop.yarn.client.api.impl.YarnClientImpl
logger.submitted.level = info
"""

# With YARN's default, 10% for application masters, only one application could run at a time.
CAPACITY_SCHEDULER = {
    "yarn.scheduler.capacity.root.queues": "default",
    "yarn.scheduler.capacity.root.default.capacity": "100",
    "yarn.scheduler.capacity.maximum-am-resource-percent": "1.0",
}


# Driver and executors know each other by a secret of the application, which YARN passes on. What they send
# is encrypted, and so is what they write to local disks: shuffles, spilled rows, broadcasts.
SECURITY = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.authEngineVersion": "2",
    "spark.io.encryption.enabled": "true",
    "spark.acls.enable": "true",
    "spark.redaction.regex": "(?i)secret|password|passwd|pgpass|token|credential|keytab|access[.]?key",
}


def core_site(layout: Layout) -> dict[str, str]:
    return {
        "fs.defaultFS": f"hdfs://127.0.0.1:{layout.settings.ports.namenode}",
        "hadoop.tmp.dir": str(layout.tmp / "hadoop"),
        # The NameNode's web page browses files as this user.
        "hadoop.http.staticuser.user": layout.settings.hdfs_user,
        # Where no ACL of a folder says more, files are their owner's and their group's.
        "fs.permissions.umask-mode": "027",
    }


def hdfs_site(layout: Layout) -> dict[str, str]:
    ports = layout.settings.ports
    return {
        "dfs.namenode.rpc-address": f"127.0.0.1:{ports.namenode}",
        "dfs.namenode.http-address": f"127.0.0.1:{ports.namenode_web}",
        "dfs.namenode.name.dir": (layout.data / "namenode").as_uri(),
        "dfs.replication": "2",
        # Both DataNodes call from 127.0.0.1, which has no name to check.
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.namenode.safemode.extension": "0",
        # A web page of any site could else change files through the browser of whoever opens it.
        "dfs.webhdfs.rest-csrf.enabled": "true",
        "dfs.datanode.hostname": "127.0.0.1",
        # With two DataNodes there is no third to replace a slow one in the middle of a write.
        "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
        # A DataNode that is silent for 10 s (three heartbeats) gets no new files and is read last; after a
        # minute it counts as dead. By default WebHDFS would send it every second request for ten minutes.
        "dfs.namenode.avoid.read.stale.datanode": "true",
        "dfs.namenode.avoid.write.stale.datanode": "true",
        "dfs.namenode.stale.datanode.interval": "10000",
        "dfs.namenode.heartbeat.recheck-interval": "15000",
        # A second copy that was promised to a DataNode which died is made again after this; by default after
        # five minutes, in which the only copy may be lost too.
        "dfs.namenode.reconstruction.pending.timeout-sec": "30",
    }


def yarn_site(layout: Layout) -> dict[str, str]:
    ports = layout.settings.ports
    return {
        "yarn.resourcemanager.hostname": "127.0.0.1",
        "yarn.resourcemanager.address": f"127.0.0.1:{ports.resourcemanager}",
        "yarn.resourcemanager.scheduler.address": f"127.0.0.1:{ports.resourcemanager_scheduler}",
        "yarn.resourcemanager.resource-tracker.address": f"127.0.0.1:{ports.resourcemanager_tracker}",
        "yarn.resourcemanager.admin.address": f"127.0.0.1:{ports.resourcemanager_admin}",
        "yarn.resourcemanager.webapp.address": f"127.0.0.1:{ports.resourcemanager_web}",
        "yarn.nodemanager.hostname": "127.0.0.1",
        "yarn.nodemanager.address": f"127.0.0.1:{ports.nodemanager}",
        "yarn.nodemanager.localizer.address": f"127.0.0.1:{ports.nodemanager_localizer}",
        "yarn.nodemanager.webapp.address": f"127.0.0.1:{ports.nodemanager_web}",
        "yarn.nodemanager.local-dirs": str(layout.tmp / "yarn"),
        "yarn.nodemanager.log-dirs": str(layout.logs / "yarn"),
        "yarn.nodemanager.env-whitelist": f"JAVA_HOME,HADOOP_CONF_DIR,PATH,LANG,TZ,{OWNER}",
        # Three applications at a time even in cluster mode, each with a driver (1,152 MB) and one executor
        # (2,048 MB). With less, several drivers could start and leave no room for an executor: a deadlock.
        "yarn.nodemanager.resource.memory-mb": "9728",
        "yarn.nodemanager.resource.cpu-vcores": "8",
        "yarn.scheduler.minimum-allocation-mb": "256",
        # With this check on, a nearly full disk would take away the only node.
        "yarn.nodemanager.disk-health-checker.enable": "false",
        # TensorFlow maps far more memory than it uses.
        "yarn.nodemanager.vmem-check-enabled": "false",
        # A killed driver's application ends in seconds, not after ten minutes.
        "yarn.am.liveness-monitor.expiry-interval-ms": "30000",
    }


def spark_defaults(layout: Layout) -> dict[str, str]:
    """Spark defaults of every job; jobs themselves set none of these."""
    python = str(layout.python_bin / "python")
    hdfs = layout.settings.hdfs_url
    return {
        **catalog(layout),
        **SECURITY,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "768m",
        # Leave these two out if jobs run for minutes.
        "spark.driver.extraJavaOptions": jvm_options(layout),
        "spark.executor.extraJavaOptions": jvm_options(layout),
        "spark.driver.extraClassPath": class_path(layout),
        "spark.executor.extraClassPath": class_path(layout),
        # In client mode the application master lives in the driver: one JVM less, 4 s of processor time.
        "spark.yarn.unmanagedAM.enabled": "true",
        # The driver plans while its executor starts.
        "spark.scheduler.minRegisteredResourcesRatio": "0",
        # A job's page ends with the job, mostly before anyone has opened it.
        "spark.ui.enabled": "false",
        "spark.executor.instances": "1",
        "spark.executor.cores": "2",
        "spark.executor.memory": "768m",
        # For TensorFlow's two Python workers, outside the JVM's heap.
        "spark.executor.memoryOverhead": "1280m",
        "spark.executorEnv.SPARK_LOCAL_IP": "127.0.0.1",
        "spark.yarn.appMasterEnv.SPARK_LOCAL_IP": "127.0.0.1",
        "spark.executorEnv.TF_CPP_MIN_LOG_LEVEL": "2",
        # Every node is this machine: nothing to upload or to unpack (33 s of a cold start otherwise).
        "spark.yarn.jars": f"local:{layout.spark_home}/jars/*",
        "spark.pyspark.python": python,
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        # A flipped byte below a table fails its reader: by default nobody looks at the checksums of pages.
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        # Two cores; adaptive execution merges these further.
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.warehouse.dir": f"{hdfs}/warehouse",
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        # The driver alone asks the catalog; in cluster mode it runs in YARN's container.
        "spark.yarn.appMasterEnv.PGPASSFILE": str(pgpass(layout.identities, "scoring")),
    }


def catalog(layout: Layout, role: str = "scoring") -> dict[str, str]:
    """Iceberg's catalog `lake`: tables' current metadata in PostgreSQL, or in files on HDFS."""
    kinds = {
        "jdbc": {
            "type": "jdbc",
            "uri": postgres.jdbc_url(layout, "lake"),
            "jdbc.user": role,
            "jdbc.schema-version": "V1",
        },
        "hadoop": {"type": "hadoop"},
    }
    options = {
        **kinds[layout.settings.catalog],
        "warehouse": f"{layout.settings.hdfs_url}{WAREHOUSE}",
        # A cached table hides for 30 s what another job has just written.
        "cache-enabled": "false",
    }
    return {"spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog"} | {
        f"spark.sql.catalog.lake.{name}": value for name, value in options.items()
    }


def write_configuration(layout: Layout, changes: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Write all configuration files; services read them only when they start.

    Args:
        changes: name of a file → properties that it gets in place of or beside this cluster's own.
    """
    files: dict[str, Mapping[str, str]] = {
        "core-site.xml": core_site(layout),
        "hdfs-site.xml": hdfs_site(layout),
        "yarn-site.xml": yarn_site(layout),
        "capacity-scheduler.xml": CAPACITY_SCHEDULER,
        "spark-defaults.conf": spark_defaults(layout),
    }
    for name, properties in (changes or {}).items():
        files[name] = {**files.get(name, {}), **properties}
    for name, properties in files.items():
        write = _write_hadoop_xml if name.endswith(".xml") else _write_spark_defaults
        write(layout.conf / name, properties)
    (layout.conf / "log4j2.properties").write_text(LOG4J2.format(level="warn"))


def _write_spark_defaults(path: Path, properties: Mapping[str, str]) -> None:
    path.write_text("".join(f"{name} {value}\n" for name, value in properties.items()))


def _write_hadoop_xml(path: Path, properties: Mapping[str, str]) -> None:
    configuration = ElementTree.Element("configuration")
    for name, value in properties.items():
        entry = ElementTree.SubElement(configuration, "property")
        ElementTree.SubElement(entry, "name").text = name
        ElementTree.SubElement(entry, "value").text = value
    ElementTree.indent(configuration)
    ElementTree.ElementTree(configuration).write(path, encoding="unicode", xml_declaration=True)
