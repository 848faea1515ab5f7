#!/bin/sh
# The command `airflow` of this folder's environment: on SQLite, bound to loopback, with the DAGs beside it and no others.
# What is set outside stays as it is: AIRFLOW_HOME, AIRFLOW__API__PORT, SEEDBED_RECIPES, AIRFLOW_VAR_SEEDBED_BUILDS, …
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${AIRFLOW_HOME:=$here/home}" "${AIRFLOW__API__PORT:=8080}" "${AIRFLOW__CORE__DAGS_FOLDER:=$here/dags}"
: "${AIRFLOW__API__BASE_URL:=http://127.0.0.1:$AIRFLOW__API__PORT}" "${AIRFLOW__API__HOST:=127.0.0.1}"
: "${AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST:=127.0.0.1}"
: "${AIRFLOW__CORE__LOAD_EXAMPLES:=False}" "${AIRFLOW__API__WORKERS:=1}" "${AIRFLOW__CORE__PARALLELISM:=4}"
PATH=$here/.venv/bin:$PATH
export PATH AIRFLOW_HOME AIRFLOW__API__HOST AIRFLOW__API__PORT AIRFLOW__API__BASE_URL AIRFLOW__API__WORKERS \
    AIRFLOW__CORE__DAGS_FOLDER AIRFLOW__CORE__LOAD_EXAMPLES AIRFLOW__CORE__PARALLELISM \
    AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST
if [ "${1:-}" = standalone ]; then
    exec "$here/.venv/bin/python" "$here/standalone.py"
fi
exec "$here/.venv/bin/airflow" "$@"
