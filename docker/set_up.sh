#!/bin/sh
# Prepare Airflow: tables, pools, password. Harmless to repeat.   set_up.sh SPARK_SLOTS
set -eu
airflow db migrate
airflow pools set gpu 1 "training; one slot per GPU"
airflow pools set spark "$1" "Spark drivers at a time"
umask 077
python - <<'PYTHON'
import json, os, pathlib

path = pathlib.Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
path.write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))
PYTHON
