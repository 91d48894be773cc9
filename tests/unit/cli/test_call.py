from __future__ import annotations

from functools import partial
from pathlib import Path

import httpx
import pytest

from cli import call
from cli.call import NoAnswer, ask, complain
from libs.clients.alerts import AlertsClient
from libs.contracts.alerts import AlertPage

pytestmark = pytest.mark.requirement("API-BR-CAPI-018")


def answering(monkeypatch: pytest.MonkeyPatch, reply: httpx.Response | Exception) -> list[httpx.Request]:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(reply, Exception):
            raise reply
        return reply

    monkeypatch.setattr(call, "AlertsClient", partial(AlertsClient, transport=httpx.MockTransport(handle)))
    return seen


async def first_page(alerts: AlertsClient) -> AlertPage:
    return await alerts.list(tenant=call.TENANT, deadline=call.PATIENCE)


def test_the_credential_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBERNAUT_TOKEN", "key-1")
    seen = answering(monkeypatch, httpx.Response(200, json={"items": []}))

    assert ask("http://alerts.example", first_page).items == []
    assert seen[0].headers["authorization"] == "Bearer key-1"
    assert seen[0].url.host == "alerts.example"


def test_without_a_credential_none_is_sent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KUBERNAUT_TOKEN", raising=False)
    monkeypatch.setenv("KUBERNAUT_ALERTS_URL", "http://alerts.set:8092")
    seen = answering(monkeypatch, httpx.Response(200, json={"items": []}))

    ask(None, first_page)

    assert "authorization" not in seen[0].headers
    assert seen[0].url.host == "alerts.set"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("KUBERNAUT_CA_FILE", "{here}/absent.pem", "/absent.pem: No such file or directory"),
        ("KUBERNAUT_CA_FILE", "{here}/empty.pem", "/empty.pem holds no certificate in PEM"),
        ("KUBERNAUT_ALERTS_URL", "ftp://alerts.example", "URL scheme should be 'http' or 'https'"),
    ],
)
def test_a_wrong_value_of_the_environment_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, said: str
):
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv(variable, value.format(here=tmp_path))

    with pytest.raises(NoAnswer) as told:
        ask(None, first_page)

    line = str(told.value)
    assert (line.startswith(f"{variable}: "), line.endswith(said), line.count("\n")) == (True, True, 0)


def test_a_service_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch):
    answering(monkeypatch, httpx.ConnectError("refused"))

    with pytest.raises(NoAnswer, match="make run"):
        ask("http://127.0.0.1:1", first_page)


def test_a_refusal_names_the_fields_and_the_remedy(monkeypatch: pytest.MonkeyPatch):
    problem = {
        "title": "x",
        "status": 422,
        "code": "invalid-input",
        "errors": [{"field": "body.alerts", "reason": "missing"}],
    }
    answering(monkeypatch, httpx.Response(422, json=problem))

    with pytest.raises(NoAnswer, match=r"422 invalid-input\): body.alerts: missing"):
        ask("http://127.0.0.1:1", first_page)


def test_a_missing_credential_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    answering(
        monkeypatch, httpx.Response(401, json={"title": "who?", "status": 401, "code": "not-authenticated"})
    )

    with pytest.raises(NoAnswer, match="KUBERNAUT_TOKEN"):
        ask("http://127.0.0.1:1", first_page)


def test_a_complaint_carries_no_terminal_escape(capsys: pytest.CaptureFixture[str]):
    complain("watch", "refused \x1b]0;owned\x07 by \u202egnorw")

    said = capsys.readouterr().err
    assert said.startswith("kubernaut watch: refused")
    assert not {"\x1b", "\x07", "\u202e"} & set(said)
