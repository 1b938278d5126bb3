"""Databases and roles of PostgreSQL: Airflow's, MLflow's, and Iceberg's catalog.

In   a connection as the superuser, passwords of the roles
Out  airflow, mlflow, mlflow_auth   each open to the role that owns it
     lake                           Iceberg's catalog: `scoring` changes it, `reader` sees one row of it
     Harmless to repeat; a changed password is set.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from psycopg2 import sql

from local_cluster.access.credentials import IN_POSTGRES, OWNER, SERVICES

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

# MLflow and Airflow keep their schema's version in tables of the same name, so each has a database.
OWNERS = {"airflow": "airflow", "mlflow": "mlflow", "mlflow_auth": "mlflow", "lake": OWNER}
GUESTS = {"lake": IN_POSTGRES}

# As Iceberg's JDBC catalog makes them (schema V1), but before its first client: the owner of a table sees all
# of its rows, so neither of the two roles may own it.
CATALOG_TABLES = """
CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name));
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL,
    property_key VARCHAR(255), property_value VARCHAR(1000),
    PRIMARY KEY (catalog_name, namespace, property_key));
"""

CATALOG_RIGHTS = """
ALTER TABLE iceberg_tables ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS every_table ON iceberg_tables;
CREATE POLICY every_table ON iceberg_tables TO scoring USING (true);
DROP POLICY IF EXISTS published_table ON iceberg_tables;
CREATE POLICY published_table ON iceberg_tables FOR SELECT TO reader
    USING (table_namespace = 'risk' AND table_name = 'risk_scores');
GRANT SELECT, INSERT, UPDATE, DELETE ON iceberg_tables, iceberg_namespace_properties TO scoring;
GRANT SELECT ON iceberg_tables, iceberg_namespace_properties TO reader;
"""

Connect = Callable[[str], "Connection"]


def prepare_databases(connect: Connect, passwords: Mapping[str, str]) -> None:
    """Make roles and databases, and let each role into its own alone."""
    with closing(connect("postgres")) as connection:
        connection.autocommit = True  # CREATE DATABASE cannot run in a transaction
        with connection.cursor() as cursor:
            for role in (*SERVICES, *IN_POSTGRES):
                _make_role(cursor, role, passwords[role])
            for database, owner in OWNERS.items():
                _make_database(cursor, database, owner)
            # Everyone may connect to these two by default, and make temporary tables.
            cursor.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
    with closing(connect("lake")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(CATALOG_TABLES + CATALOG_RIGHTS)


def _make_role(cursor: "Cursor", role: str, password: str) -> None:
    cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,))
    verb = "ALTER" if cursor.rowcount else "CREATE"
    statement = sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
    cursor.execute(statement.format(sql.SQL(verb), sql.Identifier(role), sql.Literal(password)))


def _make_database(cursor: "Cursor", database: str, owner: str) -> None:
    names = {"database": sql.Identifier(database), "owner": sql.Identifier(owner)}
    cursor.execute("SELECT FROM pg_database WHERE datname = %s", (database,))
    if not cursor.rowcount:
        cursor.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner}").format(**names))
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {database} FROM PUBLIC").format(**names))
    for guest in GUESTS.get(database, ()):
        statement = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        cursor.execute(statement.format(names["database"], sql.Identifier(guest)))
