"""Prometheus' own tool takes the rules and the dashboard's queries, and each alert fires when its cases say and not otherwise."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.monitoring import FOLDER, SERVICES, cases, expressions
from tests.support.programs import program

pytestmark = [pytest.mark.requirement("HAPI-173"), pytest.mark.needs("promtool")]

CASES = [path for service in SERVICES for path in cases(service)]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = program("promtool")
    assert path is not None
    return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("service", SERVICES)
def test_prometheus_takes_the_rules(service: str):
    done = promtool("check", "rules", FOLDER / service / "rules.yaml")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_prometheus_understands_what_the_dashboard_asks(service: str, tmp_path: Path):
    asked = [{"record": f"panel:{n}", "expr": expr} for n, (_, expr, _) in enumerate(expressions(service))]
    as_rules = tmp_path / "panels.yaml"
    as_rules.write_text(json.dumps({"groups": [{"name": "panels", "rules": asked}]}))  # JSON is YAML

    done = promtool("check", "rules", as_rules)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(asked)} rules found" in done.stdout


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_alerts_fire_when_their_cases_say_and_not_otherwise(path: Path):
    done = promtool("test", "rules", path)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_that_does_not_hold_is_noticed(tmp_path: Path):
    rules, case = FOLDER / "holmesgpt-api" / "rules.yaml", FOLDER / "holmesgpt-api" / "cases" / "hours.yaml"
    (tmp_path / "cases").mkdir()
    copy = tmp_path / "cases" / case.name
    copy.write_text(case.read_text("utf-8"))
    (tmp_path / rules.name).write_text(rules.read_text("utf-8").replace("> 100e3", "> 200e3"))

    done = promtool("test", "rules", copy)

    assert done.returncode != 0
    assert "HolmesgptEngineLeaks" in done.stdout + done.stderr
