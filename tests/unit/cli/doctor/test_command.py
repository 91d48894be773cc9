from __future__ import annotations

import io
import json

import pytest

from cli.doctor import command
from cli.doctor.checks import HAVE, MISSING, RUN, TEST, Line
from cli.doctor.command import CAN_RUN, CANNOT_RUN, MISUSED, arguments, document, plain, verdict, write
from cli.doctor.facts import Facts

pytestmark = pytest.mark.requirement("INF-BR-HEALTH-006")

FINE = Line(HAVE, "make", "/usr/bin/make", RUN)
TAKEN = Line(
    MISSING,
    "ports",
    "8092 of alerts is taken by pid 7 (\x1b]0;nc\x07)",
    RUN,
    "set ALERTS_PORT",
    stops_run=True,
)
UNTESTED = Line(MISSING, "prometheus", "not on PATH", TEST, "make test-programs")


def page(*lines: Line) -> str:
    stream = io.StringIO()
    write(lines, stream)
    return stream.getvalue()


def test_each_thing_stands_under_what_needs_it_with_its_remedy_below():
    said = page(FINE, TAKEN, UNTESTED).splitlines()

    assert said.index("make run") < said.index("make test")
    assert "-> set ALERTS_PORT" in said[said.index(next(s for s in said if "8092" in s)) + 1]


def test_a_process_with_a_funny_name_steers_no_terminal():
    assert "\x1b" not in page(TAKEN)
    assert "\x1b" not in document([TAKEN])
    assert plain("a\x9b2Jb\u202e") == "a\ufffd2Jb\ufffd"


def test_no_colours_where_nobody_sees_them():
    assert "\x1b" not in page(FINE)


def test_what_stands_in_the_way_is_named_last():
    assert verdict([FINE, TAKEN]) == "`make run` cannot work yet. In its way: ports."


def test_what_the_tests_lack_is_named_when_nothing_stands_in_the_way():
    assert verdict([FINE, UNTESTED]) == "`make run` can work. `make test` lacks prometheus."


def test_the_document_says_whether_it_can_run_and_everything_that_was_looked_for():
    told = json.loads(document([FINE, TAKEN]))

    assert told["can_run"] is False
    assert [check["name"] for check in told["checks"]] == ["make", "ports"]


def test_the_exit_code_says_whether_make_run_can_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(command, "gather", lambda environ: Facts())
    monkeypatch.setattr(command, "examine", lambda facts: [FINE])
    assert arguments(["--json"]) == CAN_RUN
    monkeypatch.setattr(command, "examine", lambda facts: [TAKEN])
    assert arguments([]) == CANNOT_RUN
    assert "cannot work" in capsys.readouterr().out


def test_an_unknown_option_is_refused_by_name(capsys: pytest.CaptureFixture[str]):
    assert arguments(["--jsno"]) == MISUSED
    assert "--jsno" in capsys.readouterr().err


def test_help_is_given_without_looking(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(command, "gather", None)

    assert arguments(["--help"]) == CAN_RUN
    assert "doctor [--json]" in capsys.readouterr().out
