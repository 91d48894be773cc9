from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from cli import send
from cli.call import NoAnswer
from libs.contracts.alerts import AlertReceipt, AlertResult

pytestmark = pytest.mark.requirement("INT-BR-WH-001", "INT-BR-WH-019")

RECEIPT = AlertReceipt(
    accepted=1,
    rejected=1,
    results=[
        AlertResult(index=0, fingerprint="f", status="accepted"),
        AlertResult(index=1, fingerprint="", status="rejected", error="labels: missing \x1b[31m"),
    ],
)


def test_each_rejected_alert_is_named_with_its_reason():
    stream = io.StringIO()

    send.write(RECEIPT, Console(file=stream))

    assert "1 accepted and committed, 1 rejected" in stream.getvalue()
    assert "alert 1: labels: missing" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(("rejected", "code"), [(0, send.ACCEPTED), (1, send.REFUSED)])
def test_the_exit_code_says_whether_everything_was_accepted(
    monkeypatch: pytest.MonkeyPatch, rejected: int, code: int
):
    monkeypatch.setattr(send, "ask", lambda *_: RECEIPT.model_copy(update={"rejected": rejected}))

    assert send.main(Path("/dev/null"), url=None, as_json=True) == code


def test_a_service_that_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def unreachable(*_: object) -> None:
        raise NoAnswer("nobody there")

    monkeypatch.setattr(send, "ask", unreachable)

    assert send.main(Path("/dev/null"), url=None, as_json=False) == send.REFUSED
    assert "nobody there" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]):
    assert send.main(Path("/nowhere/alert.json"), url=None, as_json=False) == send.UNREADABLE
    assert "no such file" in capsys.readouterr().err
