from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from rich.console import Console

from cli.watch.books import Change
from cli.watch.sights import AlertSight, InvestigationSight
from cli.watch.views import FRAME, JsonLines, Lines, Screen, screen
from cli.watch.words import Connection
from tests.support.sights import AT, BLAMED, alert, ended, investigation

pytestmark = pytest.mark.requirement("INT-BR-AP-021@3.2", "INT-BR-SEC-011")

AWAY = Connection("alerts", "http://alerts", "away", "connect", 4.0)


def drawn(
    alerts: Sequence[AlertSight] = (),
    investigations: Sequence[InvestigationSight] = (),
    connections: Sequence[Connection] = (),
    *,
    note: str = "",
    height: int = 40,
    width: int = 200,
) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    picture = screen(
        alerts, investigations, connections, note=note, now=AT + timedelta(minutes=5), height=height
    )
    with console.capture() as captured:
        console.print(picture)
    return captured.get()


def test_lines_carry_the_time_and_what_it_is_about():
    stream = io.StringIO()
    lines = Lines(stream, clock=lambda: AT)
    lines.changed(Change(alert(), None))
    lines.changed(Change(investigation(), None))
    lines.note("so many")

    said = stream.getvalue().splitlines()
    assert [line.split()[1] for line in said] == ["alert", "investigation", "note"]
    assert said[0].startswith(f"{AT.astimezone():%H:%M:%S}  ")


def test_a_change_without_news_is_no_line():
    stream = io.StringIO()
    Lines(stream).changed(Change(alert(), alert()))

    assert stream.getvalue() == ""


@pytest.mark.parametrize("view", [Lines, JsonLines])
def test_an_absence_is_said_once_however_often_it_is_asked(view):
    stream = io.StringIO()
    shown = view(stream)
    for _ in range(5):
        shown.connection(AWAY)
    shown.connection(Connection("alerts", "http://alerts", "back"))

    assert len(stream.getvalue().splitlines()) == 2


def test_json_is_one_document_a_line():
    stream = io.StringIO()
    shown = JsonLines(stream, clock=lambda: AT)
    shown.changed(Change(alert(name="a\nb\x1b"), None))
    shown.changed(Change(ended(), None))
    shown.note("so many")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "alert",
        "investigation",
        "note",
    ]


def test_the_table_tells_priority_environment_reason_and_how_far_it_is():
    said = drawn([alert()], [investigation()])

    for part in ("DbDown", "Pod/shop/api-0", "P0", "production", "running 30 %: looking for causes", "for 5 min",
                 "P0: critical in production"):  # fmt: skip
        assert part in said
    assert "asked for by itself" not in said


@pytest.mark.parametrize(
    ("shown", "of", "said"),
    [
        (
            alert(incident="explained", cause=BLAMED, told=1),
            [],
            "ConfigMap/data/db-config, 90% sure, ConfigChangedBeforeOnset, people told",
        ),
        (alert(incident="unexplained", no_cause="nothing-wrong"), [], "no cause named (nothing-wrong)"),
        (
            alert(),
            [ended(status="failed", cause=None, error="no evidence")],
            "failed after 0.8 s: no evidence",
        ),
        (alert(), [], "being investigated"),
        (alert(incident=None), [], "taken, not looked into yet"),
    ],
)
def test_how_far_it_is_comes_from_whoever_knows(shown, of, said):
    assert said in drawn([shown], of)


def test_what_fires_stands_first_and_what_ended_long_ago_is_gone():
    over = alert(
        id="2",
        name="Over",
        state="resolved",
        ended=AT + timedelta(minutes=4),
        since=AT + timedelta(minutes=3),
    )
    old = alert(id="3", name="LongAgo", state="resolved", ended=AT - timedelta(hours=2))
    said = drawn([over, old, alert()])

    assert said.index("DbDown") < said.index("Over")
    assert "LongAgo" not in said


def test_an_investigation_that_no_alert_asked_for_has_a_row_of_its_own():
    assert "asked for by itself" in drawn([], [investigation()])
    assert "ConfigMap/data/db-config" in drawn([], [ended()])


@pytest.mark.parametrize("height", [8, 12, 24, 50])
def test_it_fits_the_terminal_and_says_how_much_does_not(height):
    many = [alert(id=str(number)) for number in range(100)]
    said = drawn(many, [], [AWAY], note="so many", height=height)

    assert len(said.splitlines()) <= max(height, FRAME + 4)
    assert f"and {100 - said.count('DbDown')} more" in said


def test_a_service_that_is_away_is_said_below_the_table():
    assert "does not answer: connect; asking again in 4 s" in drawn(connections=[AWAY])


def test_nothing_is_said_when_there_is_nothing():
    assert "Nothing fires" in drawn()


def test_no_label_steers_the_terminal_or_is_read_as_markup():
    evil = "\x1b[2J[bold red]x[/]\n\x1b]0;owned\x07\u202e"
    said = drawn(
        [alert(name=evil, target=evil, no_cause=evil, incident="unexplained")], [ended(id="x", name=evil)]
    )

    assert "\x1b" not in said.replace("\x1b[0m", "")
    assert "\u202e" not in said
    assert "[bold red]x[/]" in said


def test_the_screen_is_drawn_from_what_the_books_remember():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=140, height=30)
    shown = Screen(console, lambda: [alert()], lambda: [investigation()], clock=lambda: AT)
    with shown.live:
        shown.connection(AWAY)
        shown.note("so many alerts")
        shown.changed(Change(alert(), None))

    for part in ("DbDown", "does not answer", "so many alerts"):
        assert part in stream.getvalue()
