#!/bin/sh
# Prepare Airflow: secrets, tables, pools, password. Harmless to repeat.   set_up.sh SPARK_SLOTS
set -eu
case $LISTEN_ADDRESS in
127.* | ::1 | localhost) ;;
*)
    echo "LISTEN_ADDRESS=$LISTEN_ADDRESS: expected an address of this host alone, such as 127.0.0.1, since the" \
        "pages have no TLS here and MLflow has no log-in. Put a proxy that has both before them." >&2
    exit 78 # EX_CONFIG of sysexits.h
    ;;
esac
umask 077
mkdir -p "$AIRFLOW_HOME/secrets"
printf %s "$AIRFLOW_DATABASE" >"$AIRFLOW_HOME/secrets/database"
printf %s "$AIRFLOW_FERNET_KEY" >"$AIRFLOW_HOME/secrets/fernet_key"
printf %s "$AIRFLOW_API_SECRET_KEY" >"$AIRFLOW_HOME/secrets/api_secret_key"
printf %s "$AIRFLOW_JWT_SECRET" >"$AIRFLOW_HOME/secrets/jwt_secret"
airflow db migrate
airflow pools set gpu 1 "training; one slot per GPU"
airflow pools set spark "$1" "Spark drivers at a time"
python - <<'PYTHON'
import json, os, pathlib

path = pathlib.Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
path.write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))
PYTHON
