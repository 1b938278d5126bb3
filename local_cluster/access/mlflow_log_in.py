"""MLflow's log-in, and three rules that its permissions cannot tell apart: to them all are one `update`.

In   a request to the MLflow server; its configuration names `authenticate` as `authorization_function`
Out  MLflow's own answer, or 403

| training alone | promotion alone | admin alone |
|---|---|---|
| makes versions, moves the alias `challenger` | moves every other alias | renames models |
"""

from flask import Response, request
from mlflow.server.auth import authenticate_request_basic_auth, make_forbidden_response
from werkzeug.datastructures import Authorization

from local_cluster.access.credentials import MLFLOW_ADMIN
from model_registry.tracking.model_tracking import CHALLENGER

# Below /api/2.0 and /ajax-api/2.0.
MAKE_VERSION = "/mlflow/model-versions/create"
ALIAS = "/mlflow/registered-models/alias"
RENAME = "/mlflow/registered-models/rename"  # a night finds the champion by the model's name


def authenticate() -> Authorization | Response:
    """Log in by name and password; refuse what another identity does alone."""
    answer = authenticate_request_basic_auth()
    if isinstance(answer, Response) or answer.username == MLFLOW_ADMIN:
        return answer
    alone = _who_may()
    return answer if alone in (None, answer.username) else make_forbidden_response()


def _who_may() -> str | None:
    """The only one that may send this request; None if MLflow's permissions decide."""
    path = request.path.rstrip("/")
    if path.endswith(MAKE_VERSION):
        return "training"
    if path.endswith(RENAME):
        return MLFLOW_ADMIN
    if path.endswith(ALIAS) and request.method != "GET":
        return "training" if _alias() == CHALLENGER else "promotion"
    return None


def _alias() -> object:
    """The alias that the request names; None for a body that is no JSON object, as MLflow's clients send."""
    body = request.get_json(force=True, silent=True)
    return body.get("alias") if isinstance(body, dict) else None
