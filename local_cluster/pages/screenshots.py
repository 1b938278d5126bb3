"""Take the README's pictures from a running demo: `make screenshots`.

In   the one-machine cluster after `make demo`; Chromium (Debian: apt-get install chromium)
Out  docs/images/airflow_graph.png, airflow_backfill.png, mlflow_run.png
"""

import os
import sys
from functools import partial

import requests
from mlflow import MlflowClient
from playwright.sync_api import BrowserContext, Page
from playwright.sync_api import Error as BrowserError

from local_cluster.airflow_api import AirflowApi
from local_cluster.layout import ClusterError, Layout
from local_cluster.pages.browser import (
    PAGE_TIMEOUT_MS,
    log_in,
    open_browser,
    show_backfills,
    show_night,
    show_run,
)
from local_cluster.supervision import wait_until
from settings import REPOSITORY, Settings

IMAGES = REPOSITORY / "docs" / "images"


def photograph_airflow(browser: BrowserContext, airflow: AirflowApi) -> None:
    """The graph of the newest backfilled run that succeeded, and the list of backfills beside the grid."""
    runs = airflow.runs("nightly_scoring")
    run = next((run for run in runs if run["run_type"] == "backfill" and run["state"] == "success"), None)
    if run is None:
        raise ClusterError("no backfill of nightly_scoring has succeeded yet: run `make demo`")
    log_in(browser, airflow)
    night = show_night(browser, airflow, run["dag_run_id"])
    photograph(night, "airflow_graph.png", "audit_scores", "Task Instances")
    backfills = show_backfills(browser, airflow)
    photograph(backfills, "airflow_backfill.png", "audit_scores", "Reprocess Behavior")


def photograph_mlflow(browser: BrowserContext, settings: Settings) -> None:
    """The training run of the champion."""
    os.environ.update(settings.identity("scoring"))
    client = MlflowClient(settings.mlflow_tracking_uri)
    version = client.get_model_version_by_alias(settings.model_name, "champion")
    run = client.get_run(str(version.run_id))
    training = show_run(browser, settings.mlflow_tracking_uri, run)
    photograph(training, "mlflow_run.png", "model: AUC", "test_auc")


def photograph(page: Page, name: str, *texts: str) -> None:
    """Store a picture of the page once it shows `texts` and has stopped changing."""
    for text in texts:
        page.get_by_text(text).first.wait_for()
    take = partial(page.screenshot, animations="disabled")
    pictures = [take()]

    def stands_still() -> bool:
        pictures.append(take())
        return pictures[-1] == pictures[-2]

    wait_until(stands_still, f"{page.url} keeps changing", PAGE_TIMEOUT_MS / 1000)
    (IMAGES / name).write_bytes(pictures[-1])
    print(IMAGES / name)


def main() -> None:
    """Turn what goes wrong into one line and exit code 1."""
    layout = Layout(Settings())
    IMAGES.mkdir(exist_ok=True)
    try:
        with open_browser(layout.settings.identity("scoring")) as browser:
            photograph_airflow(browser, AirflowApi.login(layout))
            photograph_mlflow(browser, layout.settings)
    except (ClusterError, requests.ConnectionError, BrowserError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
