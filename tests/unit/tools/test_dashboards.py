from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tools import dashboards
from tools.dashboards import Board, dashboard, documents

pytestmark = pytest.mark.requirement("HAPI-173")

QUERY = {"expr": "sum(up{@here})", "legend": "up"}


def panel(**others: Any) -> dict[str, Any]:
    return {"title": "Up", "unit": "short", "queries": [QUERY], **others}


def board(*panels: dict[str, Any]) -> Board:
    rows = [{"title": "One", "panels": panels}, {"title": "Two", "panels": [panel()]}]
    return Board.model_validate({"title": "Example", "uid": "example", "service": "example", "rows": rows})


def made(*panels: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard(board(*panels))["panels"]
    return found


def test_panels_stand_side_by_side_until_the_next_one_does_not_fit():
    panels = made(panel(), panel(width=12, height=5), panel())

    places = [(one["type"], *(one["gridPos"][key] for key in "xywh")) for one in panels]
    assert places == [
        ("row", 0, 0, 24, 1),
        ("timeseries", 0, 1, 8, 8),
        ("timeseries", 8, 1, 12, 5),
        ("timeseries", 0, 9, 8, 8),
        ("row", 0, 17, 24, 1),
        ("timeseries", 0, 18, 8, 8),
    ]


def test_rows_and_panels_are_numbered_together():
    assert [one["id"] for one in made(panel(), panel())] == [1, 2, 3, 4, 5]


def test_a_selector_is_kept_to_what_was_chosen():
    both = made(panel(queries=[QUERY, {"expr": 'x{@job, a="b"}', "legend": "x"}]))[1]["targets"]

    assert [one["expr"] for one in both] == [
        'sum(up{job=~"$job", instance=~"$instance"})',
        'x{job=~"$job", a="b"}',
    ]
    assert [one["refId"] for one in both] == ["A", "B"]


def test_jobs_and_instances_of_the_service_are_offered():
    variables = {
        one["name"]: one.get("definition") for one in dashboard(board(panel()))["templating"]["list"]
    }

    assert variables == {
        "datasource": None,
        "job": 'label_values(kubernaut_service_info{service="example"}, job)',
        "instance": 'label_values(kubernaut_service_info{service="example", job=~"$job"}, instance)',
    }


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        ([], [("green", None)]),
        ([5], [("green", None), ("red", 5)]),
        ([1, 5], [("green", None), ("orange", 1), ("red", 5)]),
    ],
)
def test_limits_are_marked_and_the_last_one_is_red(
    limits: list[float], steps: list[tuple[str, float | None]]
):
    defaults = made(panel(limits=limits))[1]["fieldConfig"]["defaults"]

    assert [(one["color"], one["value"]) for one in defaults["thresholds"]["steps"]] == steps


def test_a_single_value_is_asked_for_once_and_says_what_nothing_means():
    one = made(panel(kind="stat", none="none"))[1]

    assert one["type"] == "stat"
    assert [(target["instant"], target["range"]) for target in one["targets"]] == [(True, False)]
    assert one["fieldConfig"]["defaults"]["noValue"] == "none"


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (panel(unit=""), ["unit"]),
        ({"title": "Up", "queries": [QUERY]}, ["unit"]),
        (panel(title=""), ["title"]),
        (panel(queries=[]), ["queries"]),
        (panel(queries=[{"expr": "up"}]), ["queries", 0, "legend"]),
        (panel(stack=True), ["stack"]),
        (panel(width=25), ["width"]),
        (panel(limits=[1, 2, 3]), ["limits"]),
    ],
)
def test_a_panel_that_lacks_something_or_has_a_misspelt_key_is_refused_by_its_place(
    wrong: dict[str, Any], place: list[str | int]
):
    with pytest.raises(ValidationError) as refused:
        board(wrong)

    assert refused.value.errors()[0]["loc"] == ("rows", 0, "panels", 0, *place)


def test_each_services_dashboard_stands_beside_its_panels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dashboards, "FOLDER", tmp_path)
    (tmp_path / "example").mkdir()
    (tmp_path / "example" / "panels.yaml").write_text(board(panel()).model_dump_json())  # JSON is YAML

    assert list(documents()) == [tmp_path / "example" / "dashboard.json"]
