"""Prometheus accepts the alert rules, and each alert fires for its time series and not for the counterparts."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import KUBERNETES, SCHEMAS, tool
from tests.conventions.repository import ROOT, anchors
from tests.monitoring.metrics import PAGE, metric_names, used_names
from tfd.jobfile import helm_yaml
from trainer.engine.input_wait import MUCH

RULES = ROOT / "monitoring" / "rules.yaml"
CASES = Path(__file__).with_name("rules_test.yaml")


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alert rules by name."""
    return {rule["alert"]: rule for group in loaded(RULES)["groups"] for rule in group["rules"]}


def loaded(path: Path) -> dict[str, Any]:
    [document] = helm_yaml.load_all(path.read_text(encoding="utf-8"))
    return document


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("promtool"), *words], capture_output=True, text=True, check=False)


def test_prometheus_accepts_the_rules() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_operator_of_prometheus_accepts_the_same_rules() -> None:
    path = RULES.with_name("prometheusrule.yaml")
    command = [tool("kubeconform"), "-strict", "-kubernetes-version", KUBERNETES, "-schema-location", SCHEMAS]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert loaded(path)["spec"] == loaded(RULES)


def test_alerts_fire_for_their_time_series_only(tmp_path: Path) -> None:
    for path in (RULES, CASES):
        shutil.copy(path, tmp_path)
    done = promtool("test", "rules", str(tmp_path / CASES.name))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    checks = [each for case in loaded(CASES)["tests"] for each in case["alert_rule_test"] if each["alertname"] == alert]
    assert {bool(each["exp_alerts"]) for each in checks} == {True, False}


@pytest.mark.parametrize(("alert", "rule"), alerts().items(), ids=alerts())
def test_each_alert_uses_metrics_of_the_trainer_and_has_a_section_in_the_documentation(
    alert: str, rule: dict[str, Any]
) -> None:
    assert used_names(rule["expr"])
    assert used_names(rule["expr"]) <= metric_names()
    assert alert.lower() in anchors(PAGE)
    assert rule["labels"]["severity"] in ("warning", "info")


def test_input_bound_alert_and_the_log_of_the_leader_warn_from_the_same_share_on() -> None:
    assert f"tf_distributed_input_wait_ratio > {MUCH}\n" in alerts()["TfDistributedInputBound"]["expr"]
