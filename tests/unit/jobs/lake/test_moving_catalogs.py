"""Tables as docs/operations.md says: those of a `hadoop` catalog are registered, a damaged one is mended."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from jobs.lake.branches import TableDamagedError
from jobs.lake.tables import TableColumnsError, TablePartition, ensure_tables
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


def test_a_table_whose_metadata_file_is_gone_is_named_and_can_be_set_back(in_postgres):
    spark = in_postgres
    ensure_tables(spark)
    for reason in ("first", "second"):
        DAY.overwrite_with(
            spark.createDataFrame([("f", "r", reason)], "file STRING, raw STRING, reason STRING")
        )
    log = spark.sql(f"SELECT file FROM {DAY.name}.metadata_log_entries ORDER BY timestamp").collect()
    *_, earlier, newest = (row.file for row in log)
    gone = Path(newest.removeprefix("file:"))
    gone.unlink()
    gone.with_name(f".{gone.name}.crc").unlink()  # local files have one beside them
    with pytest.raises(
        TableDamagedError, match=f"the files of {DAY.name} that the catalog names, .*{newest}"
    ):
        ensure_tables(spark)

    shutil.copy(earlier.removeprefix("file:"), gone)
    ensure_tables(spark)
    assert [row.reason for row in DAY.read(spark).collect()] == ["first"]
    spark.sql(f"DROP TABLE {DAY.name}")  # other tests make their own


def test_a_table_of_other_columns_is_renamed_and_the_next_job_makes_a_new_one(in_postgres):
    spark = in_postgres
    ensure_tables(spark)
    spark.sql(f"ALTER TABLE {DAY.name} DROP COLUMN reason")
    with pytest.raises(TableColumnsError):
        ensure_tables(spark)
    spark.sql(f"ALTER TABLE {DAY.name} RENAME TO risk.old_events")
    ensure_tables(spark)
    assert spark.table(DAY.name).columns == ["file", "raw", "reason", "ds"]
    for table in (DAY.name, "lake.risk.old_events"):
        spark.sql(f"DROP TABLE {table}")
