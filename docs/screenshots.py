"""Take the README's pictures from a running demo, in headless Chromium: `make screenshots`.

In   the one-machine cluster after `make demo`; Chromium (Debian: apt-get install chromium)
Out  docs/images/airflow_graph.png, airflow_backfill.png, mlflow_run.png
"""

import base64
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from mlflow import MlflowClient
from websockets.sync.client import ClientConnection, connect

from local_cluster.airflow_api import AirflowApi
from local_cluster.layout import ClusterError, Layout
from local_cluster.supervision import wait_until
from settings import Settings

IMAGES = Path(__file__).parent / "images"
WIDTH, HEIGHT = 1600, 1000
CHROMIUM_OPTIONS = (
    "--headless",
    "--no-sandbox",  # Chromium refuses its sandbox to root; it opens pages of this machine only
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",  # any free one; Chromium writes it to DevToolsActivePort
    f"--window-size={WIDTH},{HEIGHT}",
)
AIRFLOW_SESSION_COOKIE = "_token"
PAGE_TIMEOUT_SECONDS = 60


@dataclass
class Browser:
    """One tab, driven by the Chrome DevTools protocol."""

    socket: ClientConnection
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result; events in between are of no interest."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(timeout=PAGE_TIMEOUT_SECONDS))
            if answer.get("id") == number:
                if "error" in answer:
                    raise ClusterError(f"Chromium refused {method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def open(self, url: str, *texts: str) -> None:
        """Open a page and wait until all `texts` stand in it and it has stopped changing."""
        self.call("Page.navigate", url="about:blank")  # a change behind the # alone would load nothing
        self.call("Page.navigate", url=url)
        shown: list[str] = []

        def has_settled() -> bool:
            shown.append(self.evaluate("document.body ? document.body.innerText : ''") or "")
            # Six looks, three seconds: charts are drawn and animations have ended.
            return all(text in shown[-1] for text in texts) and shown[-6:] == [shown[-1]] * 6

        complaint = f"{url} does not show {', '.join(texts)}"
        wait_until(has_settled, complaint, PAGE_TIMEOUT_SECONDS, lambda: shown[-1][:500])

    def preset(self, name: str, value: str) -> None:
        """Let pages opened from now on find `name` in their local storage."""
        script = f"localStorage.setItem({json.dumps(name)}, {json.dumps(value)})"
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def photograph(self, path: Path) -> None:
        picture = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(picture))
        print(path)


@contextmanager
def browser() -> Iterator[Browser]:
    """A tab of a new Chromium without history, which ends with the block."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise ClusterError("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [chromium, *CHROMIUM_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port_file = Path(profile, "DevToolsActivePort")
            wait_until(lambda: port_file.exists() and bool(port_file.read_text()), "Chromium is silent", 30)
            port = port_file.read_text().splitlines()[0]
            tabs = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=10).json()
            tab = next(tab for tab in tabs if tab["type"] == "page")
            # A picture of a page is larger than the 1 MiB that a message may have by default.
            with connect(tab["webSocketDebuggerUrl"], max_size=None) as socket:
                tab_browser = Browser(socket)
                tab_browser.call("Page.enable")
                size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
                tab_browser.call("Emulation.setDeviceMetricsOverride", **size)
                yield tab_browser
        finally:
            process.terminate()
            process.wait(timeout=30)


def photograph_airflow(tab: Browser, airflow: AirflowApi) -> None:
    """The graph of the newest backfilled run that succeeded, and the list of backfills beside the grid."""
    runs = airflow.runs("nightly_scoring")
    run = next((run for run in runs if run["run_type"] == "backfill" and run["state"] == "success"), None)
    if run is None:
        raise ClusterError("no backfill of nightly_scoring has succeeded yet: run `make demo`")
    tab.call("Network.setCookie", name=AIRFLOW_SESSION_COOKIE, value=airflow.token, url=airflow.url)
    dag = f"{airflow.url}/dags/nightly_scoring"
    tab.preset("default_dag_view", '"graph"')
    tab.open(f"{dag}/runs/{quote(run['dag_run_id'], safe='')}", "wait_for_landing", "audit_scores")
    tab.photograph(IMAGES / "airflow_graph.png")
    tab.preset("default_dag_view", '"grid"')
    tab.open(f"{dag}/backfills", "wait_for_landing", "Backfills")
    tab.photograph(IMAGES / "airflow_backfill.png")


def photograph_mlflow(tab: Browser, settings: Settings) -> None:
    """The training run of the champion."""
    client = MlflowClient(settings.mlflow_tracking_uri)
    version = client.get_model_version_by_alias(settings.model_name, "champion")
    run = client.get_run(str(version.run_id))
    page = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    # A chat panel opens by itself on a browser's first visit.
    tab.preset("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true")
    tab.open(f"{settings.mlflow_tracking_uri}/#/{page}", "test_auc")
    tab.photograph(IMAGES / "mlflow_run.png")


def main() -> None:
    """Turn a ClusterError into its message and exit code 1."""
    layout = Layout(Settings())
    IMAGES.mkdir(exist_ok=True)
    try:
        with browser() as tab:
            photograph_airflow(tab, AirflowApi.login(layout))
            photograph_mlflow(tab, layout.settings)
    except (ClusterError, requests.ConnectionError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
