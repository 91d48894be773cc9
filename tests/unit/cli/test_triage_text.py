from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from cli.triage import Question, Report
from cli.triage_text import _Page, readable, sentences, write
from libs.contracts.causes import Cause, CausesAnswer, Confidence, FindingSeverity, NoCause, Remediation
from libs.contracts.evidence import EvidenceItem, EvidenceKind
from libs.contracts.target import Target
from services.context_api.domain.snapshot import Snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-001")

SNAPSHOT = Snapshot(captured_at=datetime(2026, 1, 1, 10, tzinfo=UTC), objects=[])
TARGET = Target(kind="ConfigMap", namespace="data", name="db-config")


def cause(text: str = "level: `1` → `2`", **changes: object) -> Cause:
    fields: dict[str, object] = {
        "target": TARGET,
        "reason": "ConfigChangedBeforeOnset",
        "text": text,
        "severity": FindingSeverity.critical,
        "confidence": Confidence(value=0.955, basis=["edited 28 s before"]),
        "evidence_ids": ["e1"],
        "path": ["ConfigMap/data/db-config", "Pod/shop/api-0"],
        "remediation": Remediation(
            text="Put it back.", command="kubectl edit x", risk="At once.", undo="Keep a copy."
        ),
    }
    return Cause.model_validate(fields | changes)


def printed(answer: CausesAnswer, question: Question | None = None) -> str:
    stream = io.StringIO()
    write(Report(SNAPSHOT, [question or Question(None)], [answer]), stream)
    return stream.getvalue()


def answer(*causes: Cause, **rest: object) -> CausesAnswer:
    fact = EvidenceItem(
        id="e1", source="recording", kind=EvidenceKind.change, content_hash="0", summary="the edit", body={}
    )
    return CausesAnswer.model_validate({"ranked": causes, "no_cause": not causes, "evidence": [fact], **rest})


def test_whose_fault_comes_first_then_why_then_what_to_do():
    text = printed(answer(cause(), not_looked_at=["logs: none recorded"]))

    order = ["CAUSE  ConfigMap/data/db-config", "96% sure", "level: `1` → `2`", "Why", "Path", "Evidence", "the edit",
             "Put it back.", "$ kubectl edit x", "Risk", "Undo", "Not looked at", "logs: none recorded"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_other_causes_are_short():
    text = printed(answer(cause(), *(cause("x" * 1000, reason=f"R{n}") for n in range(9))))

    assert "R4, 96% sure" in text
    assert "R5" not in text
    assert "and 4 more" in text
    assert "x" * 301 not in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (NoCause.nothing_wrong, "Nothing wrong"),
        (NoCause.recovered, "recovered"),
        (NoCause.insufficient, "does not suffice"),
    ],
)
def test_no_cause_says_which_kind_of_nothing_it_is(reason: NoCause, words: str):
    text = printed(answer(no_cause_reason=reason, no_cause_text="2 of 2 pods are ready since ten."))

    assert "No cause found." in text
    assert "2 of 2 pods are ready since ten." in text
    assert words in text


def test_the_question_is_repeated():
    question = Question(TARGET, datetime(2026, 1, 1, 9, tzinfo=UTC), "DbDown", "label:pod")

    assert printed(answer(), question).startswith(
        "DbDown on ConfigMap/data/db-config, since 2026-01-01 09:00:00 UTC\n"
    )


def test_a_recorded_text_cannot_steer_the_terminal():
    text = printed(answer(cause("bad \x1b[2J\x1b]0;owned\x07 [bold]text[/] \u202e")))

    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]text[/]" in text
    assert readable("a\rb\nc") == "a\ufffdb\nc"


def test_a_long_text_is_parted_where_it_was_joined():
    assert sentences("It broke. Since then: it crashes. Also: it is slow") == [
        "It broke.", "Since then: it crashes.", "Also: it is slow",
    ]  # fmt: skip


def test_on_a_terminal_long_lines_are_wrapped_beside_their_label():
    stream = io.StringIO()
    page = _Page(Console(file=stream, force_terminal=True, width=40, color_system=None, highlight=False))

    page.fact("Why", "word " * 20)

    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("  Why       word")
    assert all(len(line.rstrip()) <= 40 for line in lines)
    assert all(line.startswith(" " * 12 + "word") for line in lines[1:])
