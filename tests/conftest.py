"""Rules that hold for every test, and the server fixtures that several folders share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A busy machine makes examples slow; that says nothing about the code. Each test sets how many examples it takes.
settings.register_profile("broker", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("broker")

pytest_plugins = ["tests.fixtures.servers", "tests.fixtures.directory", "tests.fixtures.walltime"]


def _skips_count() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a skipped test is a failed one: a part that silently does not run proves nothing."""
    report = yield
    allowed = hasattr(report, "wasxfail") or item.get_closest_marker("may_skip")
    if report.skipped and _skips_count() and not allowed:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI does not accept: {reason}"
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            for title, tail in getattr(value, "log_tails", tuple)():
                report.sections.append((title, tail))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """The same for a whole module that skips itself while it is imported."""
    report = yield
    if report.outcome == "skipped" and _skips_count():
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped itself, which CI does not accept: {report.longrepr}"
    return report
