"""Bad input against the real processes: a quick 4xx that names what is wrong, and nothing lost beside it."""

import asyncio
import json
import time

import httpx
import pytest
import pytest_asyncio

from tests.support.stack import INCIDENT, Stack, running

pytestmark = [
    pytest.mark.requirement(
        "INT-BR-WH-003",
        "INT-BR-WH-009",
        "INT-BR-WH-011",
        "INT-BR-WH-012",
        "INT-BR-WH-024",
        "HAPI-103",
        "HAPI-104",
    ),
    pytest.mark.xdist_group("stack"),
]

POSTS = {
    "alerts": "/api/v1/webhooks/alertmanager",
    "context_api": "/api/v1/context/resolve",
    "holmesgpt_api": "/api/v1/investigate",
    "notifications": "/api/v1/notifications",
}
JSON = {"Content-Type": "application/json"}
RECEIVE_DEADLINE_S = 2
DEEP = 100_000

BODIES = {
    "truncated JSON": (b'{"alerts": [{"labels": {"alertname": "X"', JSON, {400}),
    "no JSON at all": (b"\x00\xff\xfe garbage", JSON, {400}),
    "a depth bomb of arrays": (b"[" * DEEP + b"]" * DEEP, JSON, {400, 422}),
    "a depth bomb of objects": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, JSON, {400, 422}),
    "a body of 5 MB": (b'{"x":"' + b"a" * 5_000_000 + b'"}', JSON, {413}),
    "the wrong content type": (b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, {415}),
    "a packed body": (b"\x1f\x8b", {**JSON, "Content-Encoding": "gzip"}, {415}),
    "missing fields": (b"{}", JSON, {422}),
    "another type": (b"[1, 2]", JSON, {400, 422}),
    "an empty body": (b"", JSON, {400, 422}),
    "numbers no JSON has": (b'{"alert_name": NaN}', JSON, {400, 422}),
    "U+0000 everywhere": (
        json.dumps(dict.fromkeys(("alert_name", "subject", "body", "labels", "receiver"), "\0")).encode(),
        JSON,
        {400, 422},
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    state = tmp_path_factory.mktemp("stack")
    async with running(state, environment={"RECEIVE_DEADLINE": str(RECEIVE_DEADLINE_S)}) as started:
        yield started


def headers_for(stack: Stack, service: str) -> dict[str, str]:
    return stack.ingest_headers() if service == "alerts" else stack.headers()


@pytest.mark.parametrize("service", POSTS)
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.asyncio(loop_scope="module")
async def test_each_service_refuses_it_quickly_with_a_problem_that_says_what_to_do(stack, service, name):
    body, headers, statuses = BODIES[name]
    async with httpx.AsyncClient(base_url=stack.urls[service], trust_env=False, timeout=10) as http:
        began = time.monotonic()
        answer = await http.post(
            POSTS[service], content=body, headers={**headers_for(stack, service), **headers}
        )
        took = time.monotonic() - began

    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"] or problem["errors"]
    if answer.status_code == 422:
        assert all(error["field"] and error["reason"] for error in problem["errors"])
    assert took < 5


@pytest.mark.parametrize("service", POSTS)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_credential_is_refused_before_the_body_is_looked_at(stack, service):
    async with httpx.AsyncClient(base_url=stack.urls[service], trust_env=False, timeout=10) as http:
        answer = await http.post(
            POSTS[service], content=b"{", headers={**JSON, "Authorization": "Bearer no-such-key"}
        )

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("service", POSTS)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_slow_drip_is_cut_at_the_deadline_while_neighbours_are_served(stack, service):
    url = httpx.URL(stack.urls[service])
    reader, writer = await asyncio.open_connection(url.host, url.port)
    credential = headers_for(stack, service)["Authorization"]
    head = f"POST {POSTS[service]} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {credential}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n".encode())
    began = time.monotonic()
    neighbour = None
    try:
        while time.monotonic() - began < 5 * RECEIVE_DEADLINE_S:
            writer.write(b" ")
            await writer.drain()
            if neighbour is None:
                async with httpx.AsyncClient(base_url=str(url), trust_env=False, timeout=2) as http:
                    neighbour = await http.get("/health")
            if await _closed(reader):
                break
    except ConnectionError:
        pass  # the server has closed it: what is wanted
    finally:
        writer.close()

    assert time.monotonic() - began < 4 * RECEIVE_DEADLINE_S
    assert neighbour is not None
    assert neighbour.status_code == 200


async def _closed(reader: asyncio.StreamReader) -> bool:
    """Whether the peer has ended the connection; waits a moment for it."""
    try:
        async with asyncio.timeout(0.2):
            while await reader.read(4096):
                continue
    except TimeoutError:
        return False
    return True


@pytest.mark.asyncio(loop_scope="module")
async def test_good_alerts_beside_a_bad_one_are_taken(stack):
    body = json.loads((INCIDENT / "alert.json").read_bytes())
    good = body["alerts"][0]
    body["alerts"] = [{**good, "startsAt": "yesterday"}, {**good, "labels": "no mapping"}, good]
    async with httpx.AsyncClient(base_url=stack.urls["alerts"], trust_env=False, timeout=10) as http:
        answer = await http.post(POSTS["alerts"], json=body, headers=stack.ingest_headers())

    receipt = answer.json()
    assert answer.status_code == 202
    assert [result["status"] for result in receipt["results"]] == ["rejected", "rejected", "accepted"]
    assert ["startsAt" in receipt["results"][0]["field"], "labels" in receipt["results"][1]["field"]] == [
        True,
        True,
    ]
