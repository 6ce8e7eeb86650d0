"""Runs of the real trainer in real processes."""

from collections.abc import Callable

import pytest

from tests.integration.local_run import local_run  # noqa: F401

Recovered = Callable[[str, str, float], None]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the short half of the faults with `-m processes` (make test), the other with `-m "processes and slow"`."""
    expression = config.getoption("markexpr")
    if expression and "slow" not in expression:
        slow = [item for item in items if item.get_closest_marker("slow") and item.get_closest_marker("processes")]
        if slow:
            config.hook.pytest_deselected(items=slow)
            items[:] = [item for item in items if item not in slow]


@pytest.fixture
def recovered(request: pytest.FixtureRequest) -> Recovered:
    """Record how long a run took to recover from a fault. All times are shown at the end."""

    def note(role: str, fault: str, seconds: float) -> None:
        request.node.user_properties.append(("recovery", f"RECOVERY {role} {fault} {seconds:.1f}"))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the times that `recovered` collected, those of xdist's workers too."""
    lines = [
        text
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, text in report.user_properties
        if name == "recovery"
    ]
    if lines:
        terminalreporter.section("seconds to recover: role, fault, seconds")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)
