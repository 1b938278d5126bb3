"""The one-machine cluster: real HDFS, YARN, MLflow and Airflow as supervised processes on 127.0.0.1."""
