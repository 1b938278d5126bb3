"""Pages of Airflow and MLflow after a training and a backfill: the texts that a user looks for are there.

Pictures of the pages, as each test left them, are in `.cluster/test/logs/pages/`.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from playwright.sync_api import BrowserContext, Page, expect

from local_cluster.airflow_api import AirflowApi
from local_cluster.pages.browser import (
    NO_CHROMIUM,
    PAGE_TIMEOUT_MS,
    find_chromium,
    log_in,
    open_browser,
    show_backfills,
    show_night,
    show_run,
    show_version,
)
from model_registry.versions import PinnedModel
from tests.real_cluster import Cluster

pytestmark = [
    pytest.mark.skipif(find_chromium() is None, reason=NO_CHROMIUM),
    # The first test waits for a training and a backfill of two dates.
    pytest.mark.timeout(2400),
]
expect.set_options(timeout=PAGE_TIMEOUT_MS)

TASKS = (
    "wait_for_landing",
    "extract_sessions",
    "pin_model",
    "wait_for_extraction",
    "build_sequences",
    "score_users",
    "audit_scores",
)


@pytest.fixture(scope="module")
def chromium(cluster: Cluster) -> Iterator[BrowserContext]:
    with open_browser(cluster.settings.identity("scoring")) as browser:
        yield browser


@pytest.fixture
def browser(
    chromium: BrowserContext, cluster: Cluster, request: pytest.FixtureRequest
) -> Iterator[BrowserContext]:
    """Closes the test's tabs, after a picture of each."""
    yield chromium
    for page in chromium.pages:
        page.screenshot(path=cluster.layout.logs / "pages" / f"{request.node.name}.png")
        page.close()


@pytest.fixture(scope="module")
def airflow(chromium: BrowserContext, cluster: Cluster) -> AirflowApi:
    """The browser is logged in, too."""
    airflow = cluster.airflow
    log_in(chromium, airflow)
    return airflow


@pytest.fixture(scope="module")
def mlflow_client(cluster: Cluster) -> MlflowClient:
    return MlflowClient(cluster.mlflow_uri)


@pytest.fixture(scope="module")
def training(mlflow_client: MlflowClient, champion: PinnedModel) -> Run:
    """The run that trained the champion."""
    version = mlflow_client.get_model_version(champion.name, str(champion.version))
    return mlflow_client.get_run(str(version.run_id))


@pytest.fixture(scope="module")
def comparison(airflow: AirflowApi, champion: PinnedModel) -> dict[str, Any]:  # noqa: ARG001 (made on the way)
    """What the task compare_models handed on: the run's id, its verdict sentence."""
    run = next(run for run in airflow.runs("train_encoder") if run["state"] == "success")
    run_id = quote(run["dag_run_id"], safe="")
    path = f"dags/train_encoder/dagRuns/{run_id}/taskInstances/compare_models/xcomEntries/return_value"
    found: dict[str, Any] = airflow.call("GET", f"{path}?deserialize=true")["value"]
    return found


def backfilled_run(airflow: AirflowApi, ds: date) -> str:
    """Id of the run of that date in the backfill."""
    runs = airflow.runs("nightly_scoring")
    (run,) = (run for run in runs if run["run_type"] == "backfill" and run["partition_key"] == ds.isoformat())
    return str(run["dag_run_id"])


def expect_texts(page: Page, *texts: str) -> None:
    for text in texts:
        expect(page.get_by_text(text).first).to_be_visible()


@pytest.mark.usefixtures("published")  # so that Airflow knows the DAG
def test_a_user_logs_in_with_the_clusters_password(browser: BrowserContext, cluster: Cluster) -> None:
    assert browser.browser is not None
    password = AirflowApi.passwords(cluster.layout)["admin"]
    with browser.browser.new_context() as stranger:  # without the cookie
        page = stranger.new_page()
        page.goto(f"{cluster.settings.airflow_url}/dags/nightly_scoring")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="nightly_scoring")).to_be_visible()


def test_the_graph_of_a_night_shows_every_task_as_successful(
    browser: BrowserContext, airflow: AirflowApi, backfilled: list[date]
) -> None:
    page = show_night(browser, airflow, backfilled_run(airflow, backfilled[0]))
    nodes = page.locator(".react-flow__node")
    for task in TASKS:
        expect(nodes.filter(has_text=task)).to_contain_text("success")
    expect(nodes).to_have_count(len(TASKS))


def test_the_page_of_backfills_names_the_first_and_the_last_date(
    browser: BrowserContext, airflow: AirflowApi, backfilled: list[date]
) -> None:
    page = show_backfills(browser, airflow)
    row = page.get_by_role("row").filter(has_text=f"{backfilled[0]} 00:00:00")
    expect(row).to_contain_text(f"{backfilled[-1]} 00:00:00")


def test_a_training_shows_the_auc_of_the_model_beside_the_baselines(
    browser: BrowserContext, cluster: Cluster, training: Run
) -> None:
    page = show_run(browser, cluster.mlflow_uri, training)
    page.get_by_text("Show more").click()
    metrics = training.data.metrics
    expect_texts(
        page,
        f"model: AUC {metrics['test_auc']:.4f} (",
        f"bag of apps baseline: AUC {metrics['baseline_test_auc']:.4f} (",
        f"3-grams baseline: AUC {metrics['ngram_baseline_test_auc']:.4f} (",
        "ahead of the best baseline, ",
        "of that by the encoder: ",
    )


def test_a_training_links_its_model_card(browser: BrowserContext, cluster: Cluster, training: Run) -> None:
    page = show_run(browser, cluster.mlflow_uri, training)
    page.get_by_text("Show more").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Model card").click()
    assert f"MLflow run `{training.info.run_id}`" in download.value.path().read_text()


def test_a_comparison_shows_its_verdict_and_its_pictures(
    browser: BrowserContext, cluster: Cluster, mlflow_client: MlflowClient, comparison: dict[str, Any]
) -> None:
    page = show_run(browser, cluster.mlflow_uri, mlflow_client.get_run(comparison["run_id"]))
    expect_texts(page, comparison["sentence"])
    page.get_by_text("Show more").click()
    for name in ("differences", "slices", "roc", "calibration"):
        picture = page.locator(f"img[src*='pictures%2F{name}.png']")
        picture.evaluate("image => image.decode()")  # fails on a file that is missing or no picture


def test_a_version_shows_its_hash_its_place_on_hdfs_its_alias_and_its_auc(
    browser: BrowserContext, cluster: Cluster, champion: PinnedModel, training: Run
) -> None:
    page = show_version(browser, cluster.mlflow_uri, champion.name, champion.version)
    auc = training.data.metrics["test_auc"]
    expect_texts(page, champion.sha256, champion.uri, "@ champion", f"model: AUC {auc:.4f} (")
