"""The corpus of hostile requests, sent byte by byte to the real process: each is refused, and neighbours are served.

The caller may read one namespace of a cluster in which every place has a word of its own (`tests/support/canaries.py`),
so an answer that holds anything foreign is known by it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from libs.auth import KeyRing, TokenMinter
from libs.auth.permissions import Role
from tests.corpora.attacks import Case, Family, Wire, cases, corpus
from tests.support import canaries
from tests.support.canaries import Owner
from tests.support.keyrings import document, hs256_entry
from tests.support.web_process import Connection, connected, running

pytestmark = [
    pytest.mark.requirement(
        "API-BR-SEC-006", "API-BR-CAPI-001", "API-BR-CAPI-016", "API-BR-CAPI-018", "API-BR-API-004"
    ),
    pytest.mark.xdist_group("corpora"),
]

OWN = "orders"
PROBLEM = "application/problem+json"
AT_MOST_S = 30.0
"""For one request on a machine that does other work as well; most take milliseconds."""

STARTED_WITHIN_S = 120.0
"""A quiet machine needs 3 s."""

SILENCE_S = 0.5
"""After an answer: what hid behind a request would have been answered by then."""

AT_ONCE = 8
"""Requests under way at once: fewer than would be told to wait."""

CORPUS = corpus()


@dataclass(frozen=True)
class Place:
    """The service as one caller has it."""

    port: int
    token: str
    errors: Callable[[], list[dict[str, Any]]]


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bytes
    took_s: float

    @property
    def problem(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.body)
        return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("corpora")
    keys = document(jwt=[hs256_entry()])
    (folder / "keys.json").write_bytes(keys)
    ring = KeyRing.parse(keys)
    environment = {
        "AUTH_KEYS_FILE": str(folder / "keys.json"),
        "TRUSTED_NETWORKS": "{}",
        "RECORDED_CLUSTER": str(canaries.write(folder / "cluster")),
        "ALERTS_URL": "http://127.0.0.1:9",
        "RATE_LIMIT_REQUESTS": "1000000",
        "CONTEXT_API_PORT": "0",
        "CONTEXT_API_METRICS_PORT": "0",
    }
    async with running(environment, module="services.context_api", patience_s=STARTED_WITHIN_S) as service:
        token = TokenMinter(lambda: ring, service="test").mint(
            "somebody", tenant="acme", roles=[Role.viewer], namespaces=[OWN], ttl=timedelta(hours=1)
        )

        def errors() -> list[dict[str, Any]]:
            return [line for line in service.lines if line.get("level") in ("error", "critical")]

        made = Place(await service.port(), token, errors)
        await served(made)
        yield made


async def served(place: Place) -> Said:
    """What a neighbour asks, who may."""
    path = "/api/v1/context/findings/orders/Deployment/web"
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {place.token}\r\n\r\n"
    said = await ask(place, head.encode())
    assert said.status == 200, said.body[:300]
    assert b'"findings":[{' in said.body
    return said


async def ask(place: Place, sent: bytes) -> Said:
    """Send it on a connection of its own; one answer."""
    began = time.monotonic()
    async with asyncio.timeout(AT_MOST_S), connected(place.port) as connection:
        connection.writer.write(sent)
        status, headers, body = await connection.answer(AT_MOST_S)
    whole = "\n".join(f"{name}: {value}" for name, value in headers.items()).encode() + b"\n\n" + body
    return Said(status, headers, body, whole, time.monotonic() - began)


@asynccontextmanager
async def neighbours(place: Place) -> AsyncIterator[None]:
    """Somebody who is served all the while."""
    served_there = 0

    async def asking() -> None:
        nonlocal served_there
        while True:
            await served(place)
            served_there += 1
            await asyncio.sleep(0.02)

    task = asyncio.create_task(asking())
    try:
        yield
        while not served_there and not task.done():
            await asyncio.sleep(0.01)
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended
    assert served_there


async def answers(place: Place, sent: Iterable[Case]) -> list[tuple[Case, Said]]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> tuple[Case, Said]:
        async with room:
            try:
                return case, await ask(place, case.on_the_wire(place.token))
            except (TimeoutError, asyncio.IncompleteReadError) as error:
                raise AssertionError(f"no answer: {case}") from error

    async with neighbours(place):
        return await asyncio.gather(*map(one, sent))


def foreign(said: Said) -> list[str]:
    return canaries.known().foreign(said.whole, lambda owner: owner == Owner(OWN))


def faults(place: Place, told: list[tuple[Case, Said]], wrong: Callable[[Case, Said], str]) -> list[str]:
    """What is wrong with the answers, in words; our own errors too."""
    found = [f"{case} -> {said.status}: {said.body[:300]!r}: {why}" for case, said in told if (why := wrong(case, said))]  # fmt: skip
    found += [f"{case}: holds {foreign(said)}" for case, said in told if foreign(said)]
    return found + [f"logged: {line}" for line in place.errors()][:3]


def not_refused(case: Case, said: Said) -> str:
    """Why the answer is no refusal that helps; empty when it is one."""
    family, names = case.family, case.place.names
    if said.status not in family.status:
        return f"want {family.status}"
    if said.headers.get("content-type") != PROBLEM:
        return f"is no problem document: {said.headers.get('content-type')}"
    problem = said.problem
    if problem["status"] != said.status or not problem.get("request_id"):
        return "says another status, or no request id"
    if said.status == 401:
        return (
            "" if "www-authenticate" in said.headers and problem["detail"] else "does not say how to get in"
        )
    if said.status == 404:
        # A word that leads nowhere; not one that was looked for and not found.
        return "" if "there is nothing at" in problem["detail"] else "was looked for"
    if said.status == 405 and "allow" not in said.headers:
        return "does not say what is allowed"
    errors = problem["errors"]
    if said.status == 422 and not all(one["field"] and len(one["reason"]) > 10 for one in errors):
        return "does not say of each field what is wrong"
    if not errors and len(problem["detail"]) < 20:
        return "gives no remedy"
    told = " ".join([problem["detail"], *(f"{one['field']} {one['reason']}" for one in errors)])
    return "" if said.status == 400 or names in told else f"does not name {names}"


@pytest.mark.parametrize("family", CORPUS.refused, ids=lambda one: one.family)
@pytest.mark.asyncio(loop_scope="module")
async def test_it_is_refused_at_once_with_the_field_and_the_remedy(there: Place, family: Family):
    told = await answers(there, cases(family))

    assert faults(there, told, not_refused) == []


@pytest.mark.parametrize("family", CORPUS.odd, ids=lambda one: one.family)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_odd_and_legal_is_answered(there: Place, family: Family):
    told = await answers(there, cases(family))

    assert faults(there, told, odd_wrong) == []


def odd_wrong(case: Case, said: Said) -> str:
    """What is wrong with an answer to something legal; empty when nothing is."""
    family = case.family
    if said.status not in family.status:
        return f"want {family.status}"
    if "x-injected" in said.headers or "set-cookie" in said.headers:
        return "sets a header"
    if family.code and said.problem["code"] != family.code:
        return f"want {family.code}"
    if said.status == 307 and not said.headers["location"].startswith("http://localhost/api/"):
        return "leads elsewhere"
    return ""


@pytest.mark.parametrize("family", CORPUS.messages, ids=lambda one: one.family)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_message_of_a_models_host_is_refused_in_the_protocols_words(there: Place, family: Family):
    told = await answers(there, map(_spoken, cases(family)))

    assert faults(there, told, message_wrong) == []


def message_wrong(case: Case, said: Said) -> str:
    """Why the answer is no refusal in the protocol's words; empty when it is one."""
    family = case.family
    if said.status not in family.status:
        return f"want {family.status}"
    if said.headers.get("content-type") == PROBLEM:
        return "" if said.problem["detail"] else "gives no remedy"
    body = said.problem
    if "error" in body:
        return "" if body["error"]["code"] < 0 and body["error"]["message"] else "gives no reason"
    (block,) = body["result"]["content"]
    text = block["text"]
    if not body["result"].get("isError") or "internal-error" in text:
        return "is no refusal"
    if family.code and not text.startswith(f"{family.code}: "):
        return f"want {family.code}"
    return "" if case.place.names in text else f"does not name {case.place.names}"


def _spoken(case: Case) -> Case:
    more = (
        (b"Accept", b"application/json, text/event-stream"),
        (b"MCP-Protocol-Version", b"2025-06-18"),
    )
    return Case(case.family, case.place, case.method, case.target, (*case.headers, *more), case.body)


def sent(wire: Wire, token: str) -> list[bytes]:
    return [one.format(token=token).encode().decode("unicode_escape").encode("latin-1") for one in wire.sends]


@pytest.mark.parametrize("wire", CORPUS.wire, ids=lambda one: one.family)
@pytest.mark.asyncio(loop_scope="module")
async def test_bytes_that_are_no_request_are_answered_once_and_nothing_behind_them_is(
    there: Place, wire: Wire
):
    async with neighbours(there):
        found = await wire_wrong(there, wire)

    assert found == []
    assert there.errors() == []


async def wire_wrong(place: Place, wire: Wire) -> list[tuple[bytes, bytes]]:
    """Those of it that are not answered by one refusal, and their answer."""
    found = []
    for data in sent(wire, place.token):
        async with connected(place.port) as connection:
            await connection.send(data)
            said = await one_answer_and_what_follows(connection)
        head, _, body = said.partition(b"\r\n\r\n")
        statuses = [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]
        refused = len(statuses) == 1 and statuses[0] in wire.status and PROBLEM.encode() in head
        if not refused or not json.loads(body)["detail"]:
            found.append((data[:300], said[:600]))
    return found


async def one_answer_and_what_follows(connection: Connection) -> bytes:
    """Until the server closes, or says nothing more for a while after an answer."""
    said = b""
    while True:
        try:
            async with asyncio.timeout(SILENCE_S if said else AT_MOST_S):
                more = await connection.reader.read(65536)
        except (TimeoutError, ConnectionResetError):
            return said
        if not more:
            return said
        said += more


def test_the_corpus_is_as_large_as_promised_and_no_request_is_in_it_twice():
    every = [
        case.on_the_wire("t")
        for family in (*CORPUS.refused, *CORPUS.odd, *CORPUS.messages)
        for case in cases(family)
    ]
    every += [data for wire in CORPUS.wire for data in sent(wire, "t")]
    refused = [case for family in CORPUS.refused for case in cases(family)]

    assert len(refused) >= 500
    assert len(set(every)) == len(every)
