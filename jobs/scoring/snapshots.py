"""Find staged snapshots of an Iceberg table by their write-audit-publish id.

In   risk.risk_scores, nightly-2026-01-31-1
Out  [2819138466029160431], empty when nothing was staged under that id or its snapshot has expired
"""

from pyspark.sql import SparkSession

from jobs.tables import CATALOG


def snapshots_with_wap_id(spark: SparkSession, table: str, wap_id: str) -> list[int]:
    """List the snapshots staged under `wap_id`, oldest first; published ones keep their id and count too."""
    rows = spark.sql(
        f"SELECT snapshot_id FROM {CATALOG}.{table}.snapshots "
        "WHERE summary['wap.id'] = :wap_id ORDER BY committed_at",
        args={"wap_id": wap_id},
    ).collect()
    return [row.snapshot_id for row in rows]
