"""monitoring/: whoever is woken is told what to do, each alert is documented and tried out, and what is shown can be read."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from services.holmesgpt_api.routes import analysis, approvals, course, investigate
from tests.support.monitoring import (
    SERVICES,
    alerts,
    asked,
    cases,
    dashboard,
    expressions,
    groups,
    panels,
    recorded,
)
from tests.support.source import ROOT
from tools import dashboards
from tools.generated import stale
from tools.services import example_app

pytestmark = pytest.mark.requirement("HAPI-173")

ALERTS = [(service, name) for service in SERVICES for name in alerts(service)]
PANELS = [(service, panel["title"]) for service in SERVICES for panel in panels(service)]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def section(link: str) -> str:
    """The text of a document's section that a link like `docs/x.md#the-heading` names."""
    path, _, anchor = link.partition("#")
    found = re.split(r"^(#+ .+)$", (ROOT / path).read_text("utf-8"), flags=re.MULTILINE)
    for heading, text in zip(found[1::2], found[2::2], strict=True):
        words = re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower())
        if words.replace(" ", "-") == anchor:
            return text
    return ""


def fired_by_case(service: str) -> dict[str, str]:
    """The name of every case, and all that it says of what fires."""
    found: dict[str, str] = {}
    for path in cases(service):
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]:
            samples = [one["exp_samples"] for one in case["promql_expr_test"]]
            found[case["name"]] = " ".join(str(one) for one in samples)
    return found


@pytest.mark.parametrize(("service", "name"), ALERTS)
def test_an_alert_says_how_bad_it_is_for_how_long_and_what_to_do_first(service: str, name: str):
    alert = alerts(service)[name]
    said = alert["annotations"]

    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["for"]
    assert said["summary"]
    assert "First: " in said["description"]
    assert said["description"].endswith(said["runbook"])


@pytest.mark.parametrize(("service", "name"), ALERTS)
def test_the_section_that_an_alert_points_at_has_it(service: str, name: str):
    assert f"| `{name}` |" in section(alerts(service)[name]["annotations"]["runbook"])


@pytest.mark.parametrize("service", SERVICES)
def test_no_section_has_an_alert_that_there_is_not(service: str):
    links = {alert["annotations"]["runbook"] for alert in alerts(service).values()}
    named = {
        name for link in links for name in re.findall(r"^\| `([A-Z]\w+)` \|", section(link), re.MULTILINE)
    }

    assert named == set(alerts(service))


@pytest.mark.parametrize(("service", "name"), ALERTS)
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent(service: str, name: str):
    found = fired_by_case(service)

    assert [case for case, fired in found.items() if case.startswith(f"{name} fires") and name in fired]
    assert [
        case for case, fired in found.items() if case.startswith(f"{name} is silent") and name not in fired
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_recorded_is_used(service: str):
    used = {one.name for _, expr, _ in expressions(service) for one in asked(expr).selectors}

    assert recorded(service).keys() - used == set()


@pytest.mark.parametrize("service", SERVICES)
def test_an_alert_reads_what_its_own_group_has_recorded_above_it(service: str):
    """Groups run side by side: of another one's it would see the last round, or at the first nothing."""
    ours, astray = recorded(service).keys(), []
    for group in groups(service):
        above: set[str] = set()
        for rule in group:
            reads = {one.name for one in asked(rule["expr"]).selectors} & ours
            astray += [(rule.get("alert") or rule["record"], name) for name in reads - above]
            above |= {rule["record"]} if "record" in rule else set()

    assert astray == []


def test_the_requests_that_count_are_those_that_come_for_a_result():
    counted = [
        match.value
        for one in asked(alerts("holmesgpt-api")["HolmesgptRequestsFail"]["expr"]).selectors
        for match in one.matches
        if match.label == "endpoint"
    ]
    routers = (investigate.router, course.router, approvals.router, analysis.router)
    for_a_result = {route.path for router in routers for route in router.routes}  # type: ignore[attr-defined]
    offered = {*example_app("holmesgpt_api").openapi()["paths"], *for_a_result}

    assert counted
    for pattern in counted:
        assert {path for path in offered if re.fullmatch(pattern, path)} == for_a_result


@pytest.mark.parametrize("service", SERVICES)
def test_the_dashboard_is_fresh(service: str):
    assert stale(dashboards.documents()) == [], "run: make dashboards"


@pytest.mark.parametrize(("service", "title"), PANELS)
def test_every_panel_has_a_title_a_unit_and_queries_with_legends(service: str, title: str):
    (panel,) = (one for one in panels(service) if one["title"] == title)

    assert title
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert all(one["expr"] and one["legendFormat"] for one in panel["targets"])
    assert len({one["refId"] for one in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("service", SERVICES)
def test_the_datasource_is_chosen_on_the_dashboard_and_nowhere_fixed(service: str):
    board = dashboard(service)
    variables = {one["name"]: one for one in board["templating"]["list"]}

    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert len(datasources(board)) > len(panels(service))
    assert all(one == DATASOURCE for one in datasources(board))


def datasources(node: Any) -> list[Any]:
    """Every value of a key `datasource`, wherever it stands."""
    if isinstance(node, list):
        return [found for one in node for found in datasources(one)]
    if isinstance(node, dict):
        own = [node["datasource"]] if "datasource" in node else []
        return own + [found for one in node.values() for found in datasources(one)]
    return []


@pytest.mark.parametrize("service", SERVICES)
def test_no_two_panels_have_one_id_or_one_place(service: str):
    board = dashboard(service)
    taken = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < dashboards.COLUMNS
