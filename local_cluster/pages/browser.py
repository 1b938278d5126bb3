"""Web pages of a cluster in headless Chromium, for the page tests and the README's pictures.

In   Chromium of the machine (Debian: apt-get install chromium); Playwright drives it and downloads none
Out  tabs of Airflow and MLflow: `show_backfills(browser, airflow).get_by_text("2026-01-02 00:00:00")`
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

from mlflow.entities import Run
from playwright.sync_api import BrowserContext, Page, sync_playwright

from local_cluster.airflow_api import AirflowApi
from local_cluster.layout import ClusterError

COMMANDS = ("chromium", "chromium-browser", "google-chrome")
NO_CHROMIUM = "no Chromium on this machine: apt-get install chromium"
AIRFLOW_SESSION_COOKIE = "_token"
PAGE_TIMEOUT_MS = 60_000


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, COMMANDS)), None)


@contextmanager
def open_browser(identity: Mapping[str, str]) -> Iterator[BrowserContext]:
    """A new Chromium without history, which ends with the block.

    Args:
        identity: variables of the one that MLflow's page sees.

    Raises:
        ClusterError: no Chromium on this machine.
    """
    command = find_chromium()
    if command is None:
        raise ClusterError(NO_CHROMIUM)
    sandbox = os.geteuid() != 0  # Chromium refuses its sandbox to root; it opens pages of this machine only
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=command, chromium_sandbox=sandbox) as chromium,
    ):
        browser = chromium.new_context(
            viewport={"width": 1600, "height": 1000},
            http_credentials={
                "username": identity["MLFLOW_TRACKING_USERNAME"],
                "password": identity["MLFLOW_TRACKING_PASSWORD"],
            },
        )
        browser.set_default_timeout(PAGE_TIMEOUT_MS)
        yield browser


def log_in(browser: BrowserContext, airflow: AirflowApi) -> None:
    """Let tabs of Airflow be those of the API's user."""
    browser.add_cookies([{"name": AIRFLOW_SESSION_COOKIE, "value": airflow.token, "url": airflow.url}])


def show_night(browser: BrowserContext, airflow: AirflowApi, run_id: str) -> Page:
    """The graph of one run of nightly_scoring."""
    address = f"{airflow.url}/dags/nightly_scoring/runs/{quote(run_id, safe='')}"
    return show(browser, address, {"default_dag_view": '"graph"'})


def show_backfills(browser: BrowserContext, airflow: AirflowApi) -> Page:
    """The list of nightly_scoring's backfills beside the grid of its runs."""
    return show(browser, f"{airflow.url}/dags/nightly_scoring/backfills", {"default_dag_view": '"grid"'})


def show_run(browser: BrowserContext, tracking_uri: str, run: Run) -> Page:
    """A training or a comparison in MLflow."""
    return show_mlflow(
        browser, f"{tracking_uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    )


def show_version(browser: BrowserContext, tracking_uri: str, model_name: str, version: int) -> Page:
    """A registered version in MLflow."""
    return show_mlflow(browser, f"{tracking_uri}/#/models/{quote(model_name, safe='')}/versions/{version}")


def show_mlflow(browser: BrowserContext, address: str) -> Page:
    # A chat panel opens by itself on a browser's first visit.
    return show(browser, address, {"mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true"})


def show(browser: BrowserContext, address: str, remembered: dict[str, str]) -> Page:
    """Open a tab whose local storage already holds what an earlier visit would have `remembered`."""
    page = browser.new_page()
    for name, value in remembered.items():
        page.add_init_script(f"localStorage.setItem({json.dumps(name)}, {json.dumps(value)})")
    page.goto(address)
    return page
