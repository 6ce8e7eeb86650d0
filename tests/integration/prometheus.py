"""A real Prometheus at a loopback address, for tests of metrics, alert rules and dashboard."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chart.rendering import tool
from tests.loopback import free_port


@dataclass
class Prometheus:
    """One server that scrapes one address every second and evaluates alert rules as often."""

    folder: Path
    target: int
    """The port of the metrics at 127.0.0.1."""
    rules: dict[str, Any]
    labels: dict[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.folder.mkdir()
        scrape = {"targets": [f"127.0.0.1:{self.target}"], "labels": self.labels}
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "tf-distributed", "static_configs": [scrape]}],
        }
        (self.folder / "prometheus.yaml").write_text(json.dumps(config))
        (self.folder / "rules.yaml").write_text(json.dumps(self.rules))
        command = [tool("prometheus"), "--config.file=prometheus.yaml", "--storage.tsdb.path=data"]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{self.port}"], cwd=self.folder, stdout=log, stderr=log
            )

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Return the `data` of an answer; an empty one before the server listens.

        Raises:
            AssertionError: The server has ended, or refuses the query.

        """
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
                return data
        except urllib.error.HTTPError as error:
            if error.code == 503:  # The server reads its storage.
                return {}
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        except OSError:
            return {}

    def query(self, text: str) -> list[dict[str, Any]]:
        """Return the samples of a query."""
        found: list[dict[str, Any]] = self.get("query", query=text).get("result", [])
        return found

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self.get("alerts").get("alerts", [])
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def close(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.terminate()
            self.process.wait(timeout=60)
