-- A database of its own: MLflow and Airflow keep their schema's version in a table of the same name.
CREATE DATABASE mlflow;
