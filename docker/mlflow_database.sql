-- Beside Airflow's: both keep their schema's version in a table of the same name.
CREATE DATABASE mlflow;
