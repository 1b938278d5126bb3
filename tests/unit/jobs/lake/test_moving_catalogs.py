"""The tables of a `hadoop` catalog, registered in PostgreSQL as docs/operations.md says."""

from datetime import date

from jobs.lake.tables import TablePartition, ensure_tables
from tests.conftest import jdbc_catalog
from tests.made_up.lake_sessions import session_on

DAY = TablePartition("risk.rejected_events", date(2026, 5, 1))


def test_a_registered_table_keeps_its_rows_and_takes_new_ones(spark, database, tmp_path):
    def rows(session, reason):
        return session.createDataFrame([("f", "r", reason)], "file STRING, raw STRING, reason STRING")

    warehouse = {
        "spark.sql.catalog.lake.type": "hadoop",
        "spark.sql.catalog.lake.warehouse": tmp_path.as_uri(),
    }
    with session_on(spark, warehouse) as earlier:
        ensure_tables(earlier)
        DAY.overwrite_with(rows(earlier, "earlier"))
    newest = max(
        (tmp_path / "risk/rejected_events/metadata").glob("v*.metadata.json"),
        key=lambda file: int(file.name[1:].split(".")[0]),
    )
    with session_on(spark, jdbc_catalog(spark, database)) as later:
        later.sql("CREATE NAMESPACE IF NOT EXISTS lake.risk")
        later.sql("DROP TABLE IF EXISTS lake.risk.rejected_events")
        later.sql(f"CALL lake.system.register_table('risk.rejected_events', '{newest.as_uri()}')")
        assert [row.reason for row in DAY.read(later).collect()] == ["earlier"]
        DAY.overwrite_with(rows(later, "later"))
        assert [row.reason for row in DAY.read(later).collect()] == ["later"]
        later.sql("DROP TABLE lake.risk.rejected_events")  # other tests make their own
