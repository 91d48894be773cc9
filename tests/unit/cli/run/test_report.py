from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from cli.run.incident import Story
from cli.run.report import write
from tests.support.story import CONFIG, POD, a_cause, read_episode, read_investigation, read_notification

pytestmark = pytest.mark.requirement("HAPI-004", "INT-BR-AP-020", "INT-BR-NOT-001")

BEFORE = datetime(2026, 11, 21, 6, tzinfo=UTC)
AFTER = datetime(2026, 11, 21, 8, tzinfo=UTC)


def shown(*, episode=None, investigation=None, notification=None, since=BEFORE) -> list[str]:
    output = StringIO()
    story = Story(
        episode or read_episode(), investigation or read_investigation(), notification or read_notification()
    )
    write(Console(file=output, width=200, color_system=None), story, since=since)
    return [" ".join(line.split()) for line in output.getvalue().splitlines()]


def test_environment_and_priority_stand_with_their_reasons():
    lines = shown()

    assert "environment production because unknown-means-production: nothing names one" in lines
    assert "priority P0 because score" in lines


def test_what_was_not_decided_is_said_to_be_undecided():
    lines = shown(episode=read_episode(environment=None, priority=None, target=None, decisions=[]))

    assert "environment undecided" in lines
    assert "priority undecided" in lines
    assert "target not named by the labels" in lines


def test_the_first_cause_stands_with_its_object_evidence_and_remedy():
    lines = shown()

    assert "1. ConfigMap/data/orders-db-config ConfigChangedBeforeOnset confidence 0.87" in lines
    assert "evidence ev-cited-000 edited at 06:59" in lines
    assert "do: Undo the edit." in lines
    assert "$ kubectl rollout undo" in lines
    assert not [line for line in lines if "of no matter" in line]


def test_the_other_causes_follow_in_one_line_each():
    assert [line for line in shown() if line.startswith("2. ")] == [
        "2. Pod/shop/checkout-1 ConfigChangedBeforeOnset, confidence 0.87: It crashes."
    ]


def test_a_long_text_of_another_cause_is_cut_and_says_so():
    results = read_investigation().model_dump()["results"] | {"contributing": [a_cause(POD, text="x" * 500)]}

    lines = shown(investigation=read_investigation(results=results))

    assert "".join(lines).count("x" * 150) == 1
    assert [line for line in lines if line.endswith("…")]


def test_the_engine_is_named_with_the_reason_why_no_model_answered():
    assert [line for line in shown() if "engine: triage, no-model-configured" in line]


def test_what_was_not_looked_at_is_said():
    assert "not looked at: metrics: none recorded" in shown()


def test_without_a_cause_the_reason_stands_where_the_cause_would():
    results = {"cause": None, "target": POD, "no_cause_reason": "already-recovered"}

    assert "none named: already-recovered" in shown(investigation=read_investigation(results=results))


def test_a_message_of_this_run_is_not_repeated():
    lines = shown(since=BEFORE)

    assert "console → operator: sent at 2026-11-21 07:00:00 UTC" in lines
    assert "printed above as it was delivered" in lines
    assert "The database does not start." not in lines


def test_a_message_of_an_earlier_run_is_shown_again():
    assert "The database does not start." in shown(since=AFTER)


def test_a_possible_duplicate_is_marked():
    delivery = read_notification().model_dump()["deliveries"][0] | {"possible_duplicate": True}

    lines = shown(notification=read_notification(deliveries=[delivery]))

    assert [line for line in lines if line.endswith("(possible duplicate)")]


def test_text_from_the_cluster_is_never_read_as_markup():
    results = read_investigation().model_dump()["results"]
    results |= {"cause": a_cause(CONFIG, text="[bold red]not bold[/] [link=http://evil]x[/link]")}

    lines = shown(investigation=read_investigation(results=results))

    assert "[bold red]not bold[/] [link=http://evil]x[/link]" in lines
