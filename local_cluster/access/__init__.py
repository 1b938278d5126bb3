"""Who may do what: identities, and their rights on HDFS, in PostgreSQL and in MLflow (docs/deploy.md)."""
