"""What is done for every request: who, from where, how much, and what is said when something is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.support.web_client import VIEWER, Called, calling

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "API-BR-API-004", "HAPI-043", "INT-BR-WH-011")

JSON = {"Content-Type": "application/json"}
NOTES, HOOK = "/api/v1/notes", "/api/v1/hook"


@pytest.fixture
async def service() -> AsyncIterator[Called]:
    async with calling(max_body_bytes=2048) as service:
        yield service


def problem(answer) -> dict:
    """The answer's problem document, checked to be one."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


async def test_a_caller_who_is_known_is_answered(service):
    answer = await service.http.post(NOTES, json={"text": "a"})

    assert (answer.status_code, answer.json()["text"]) == (200, "a")


@pytest.mark.requirement("API-BR-SEC-002", "API-BR-SEC-004", "HAPI-066")
@pytest.mark.parametrize("path", [NOTES, HOOK, "/api/v1/nowhere", "/metrics", "/docs/assets"])
async def test_without_a_credential_every_other_route_is_a_401_that_says_what_to_send(service, path):
    answer = await service.http.post(path, content=b"", headers={"Authorization": ""})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert problem(answer)["code"] == "not-authenticated"


@pytest.mark.requirement("HAPI-016", "HAPI-017", "HAPI-025")
@pytest.mark.parametrize(
    "path",
    [
        *("/health", "/ready", "/api/v1/health", "/docs", "/redoc", "/openapi.json", "/api/v1/openapi.json"),
        "/docs/assets/swagger-ui.css",
    ],
)
async def test_the_public_routes_need_no_credential_and_take_any_host(service, path):
    answer = await service.http.get(path, headers={"Authorization": "", "Host": "10.0.0.7:8080"})

    assert answer.status_code == 200


async def test_401_comes_before_the_body_is_looked_at(service):
    read = False

    async def body():
        nonlocal read
        read = True
        yield b"{"

    answer = await service.http.post(NOTES, content=body(), headers={"Authorization": "Bearer wrong", **JSON})

    assert (answer.status_code, read) == (401, False)


async def test_before_the_service_has_started_nobody_is_let_in(service):
    service.app.state.edge.authenticator = None

    answer = await service.http.get("/api/v1/notes/a")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_caller_who_lacks_the_permission_is_a_403_on_a_fast_route_too(service):
    answer = await service.http.post(HOOK, json={}, headers={"Authorization": f"Bearer {VIEWER}"})

    assert answer.status_code == 403
    assert "insufficient_scope" in answer.headers["www-authenticate"]
    assert "ingest:alerts" in problem(answer)["detail"]


async def test_the_route_sees_who_called(service):
    answer = await service.http.get("/api/v1/tenant", headers={"Authorization": f"Bearer {VIEWER}"})

    assert answer.json()["text"] == "other"


@pytest.mark.requirement("INT-BR-WH-012")
@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"text": "a"', "line 1, column 13"),
        (b'{"text":\n "a",}', "line 2, column 5"),
        (b"text=a", "line 1, column 1"),
    ],
)
async def test_malformed_json_is_a_400_that_says_where(service, body, where):
    answer = await service.http.post(NOTES, content=body, headers=JSON)

    document = problem(answer)
    assert (answer.status_code, document["code"]) == (400, "malformed-json")
    assert where in document["errors"][0]["field"]


@pytest.mark.parametrize("kind", ["application/json; x=yaml", "application/problem+json;application/yaml"])
@pytest.mark.parametrize("body", [b'{"text": "\\ud800"}', b'{"text": NaN}', b'{"text": "a", "text": "b"}'])
async def test_a_type_that_only_speaks_of_yaml_hides_nothing(service, kind, body):
    answer = await service.http.post("/api/v1/notes", content=body, headers={"Content-Type": kind})

    assert (answer.status_code, problem(answer)["code"]) == (400, "malformed-json")


async def test_what_is_valid_json_and_not_valid_input_is_a_422_that_names_each_field(service):
    answer = await service.http.post(NOTES, json={"number": "many"})

    document = problem(answer)
    assert (answer.status_code, document["code"]) == (422, "invalid-input")
    assert {error["field"] for error in document["errors"]} == {"body.text", "body.number"}


async def test_an_unknown_path_is_a_404_and_a_known_one_with_another_method_a_405(service):
    nowhere = await service.http.get("/api/v1/nowhere")
    wrong = await service.http.put(NOTES, json={})
    fast = await service.http.get(HOOK)

    assert (nowhere.status_code, problem(nowhere)["code"]) == (404, "not-found")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert (fast.status_code, fast.headers["allow"]) == (405, "POST")
    assert problem(fast)["code"] == problem(wrong)["code"] == "method-not-allowed"


@pytest.mark.requirement("HAPI-104")
@pytest.mark.parametrize("path", [NOTES, HOOK])
async def test_a_body_that_says_it_is_too_large_is_refused_unread(service, path):
    answer = await service.http.post(path, content=b"x", headers={**JSON, "Content-Length": "2049"})

    assert (answer.status_code, problem(answer)["code"]) == (413, "body-too-large")


@pytest.mark.requirement("HAPI-104")
@pytest.mark.parametrize("path", [NOTES, HOOK])
async def test_a_body_that_does_not_say_its_size_is_cut_at_the_limit(service, path):
    given = 0

    async def body():
        nonlocal given
        for _ in range(100):
            given += 1
            yield b"x" * 1024

    answer = await service.http.post(path, content=body(), headers=JSON)

    assert (answer.status_code, problem(answer)["code"]) == (413, "body-too-large")
    assert given <= 4


@pytest.mark.parametrize("path", [NOTES, HOOK])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
async def test_a_type_nobody_reads_is_a_415(service, path, kind):
    answer = await service.http.post(path, content=b"a=1", headers={"Content-Type": kind})

    assert (answer.status_code, problem(answer)["code"]) == (415, "content-type")


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/merge+json"]
)
async def test_the_ways_to_write_the_type_of_json_are_taken(service, kind):
    answer = await service.http.post(NOTES, content=b'{"text": "a"}', headers={"Content-Type": kind})

    assert answer.status_code == 200


@pytest.mark.parametrize("packing", ["gzip", "zstd", "deflate", "br"])
@pytest.mark.parametrize("path", [NOTES, HOOK])
async def test_a_packed_body_is_a_415_and_never_unpacked(service, path, packing):
    answer = await service.http.post(path, content=b"\x1f\x8b", headers={**JSON, "Content-Encoding": packing})

    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")


async def test_a_body_that_nobody_takes_is_not_read(service):
    answer = await service.http.request("GET", "/api/v1/notes/a", content=b"x" * 5000)

    assert answer.status_code == 200


@pytest.mark.requirement("HAPI-105")
@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Host", "X-Request-Deadline"])
async def test_a_header_field_that_must_be_one_is_refused_when_it_is_two(service, name):
    fields = [(name, "a"), (name, "b")]

    answer = await service.http.post(NOTES, content=b"{}", headers=fields)

    assert answer.status_code in (400, 401)
    assert problem(answer)["code"] == "repeated-header"


async def test_other_header_fields_may_repeat(service):
    fields = [("X-Forwarded-For", "a"), ("X-Forwarded-For", "b")]

    assert (await service.http.get("/api/v1/notes/a", headers=fields)).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/notes/a%00b", "/api/v1/slow?seconds=%00"])
async def test_a_nul_in_the_address_is_a_400(service, path):
    answer = await service.http.get(path)

    assert (answer.status_code, problem(answer)["code"]) == (400, "nul-character")


@pytest.mark.requirement("INT-BR-WH-022")
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/notes/a%2fb",
        "/api/v1/notes/a%2Fb",
        "/api/v1/notes%5Ca",
        "/api/v1/notes/%2e%2e/notes",
        "/api/v1/notes/%2e",
        "/docs/assets/%2e%2e/%2e%2e/etc/passwd",
    ],
)
async def test_a_path_that_others_read_differently_is_a_400(service, path):
    answer = await service.http.get(path)

    assert (answer.status_code, problem(answer)["code"]) == (400, "ambiguous-path")


@pytest.mark.parametrize("path", ["/api/v1/notes/...", "/api/v1/notes/.a", "/api/v1/notes/a%252fb"])
async def test_a_path_with_dots_in_its_names_is_taken(service, path):
    assert (await service.http.get(path)).status_code == 200


async def test_a_host_that_is_not_ours_is_refused(service):
    answer = await service.http.get("/api/v1/notes/a", headers={"Host": "rebound.attacker.example"})

    assert (answer.status_code, problem(answer)["code"]) == (400, "host-not-allowed")


@pytest.mark.parametrize("value", ["soon", "-1", "0", "3601", "nan", "inf", ""])
async def test_a_deadline_that_is_none_is_a_400(service, value):
    answer = await service.http.get("/api/v1/patience", headers={"X-Request-Deadline": value})

    assert (answer.status_code, problem(answer)["code"]) == (400, "bad-deadline")


async def test_a_callers_deadline_reaches_the_route(service):
    named = await service.http.get("/api/v1/patience", headers={"X-Request-Deadline": "0.5"})
    unnamed = await service.http.get("/api/v1/patience")

    assert (named.json()["text"], unnamed.json()["text"]) == ("some", "none")


@pytest.mark.requirement("HAPI-130")
async def test_a_caller_has_waited_since_its_request_came_in_and_not_since_its_body_was_there(service):
    async def body():
        await asyncio.sleep(0.5)
        yield b'{"text": "a"}'

    headers = {**JSON, "X-Request-Deadline": "60"}
    here_for, left = (await service.http.post("/api/v1/spent", content=body(), headers=headers)).json()

    assert 0.5 <= here_for < 60
    assert left <= 59.5


@pytest.mark.requirement("API-BR-SEC-007", "API-BR-CAPI-019", "HAPI-069")
async def test_above_the_rate_a_caller_is_told_when_to_come_back_and_another_is_not_bothered():
    async with calling(rate_limit_requests=2, rate_limit_window=60) as service:
        for _ in range(2):
            await service.http.get("/api/v1/notes/a")
        limited = await service.http.get("/api/v1/notes/a")
        other = await service.http.get("/api/v1/notes/a", headers={"Authorization": f"Bearer {VIEWER}"})
        health = await service.http.get("/health")

    assert (limited.status_code, problem(limited)["code"]) == (429, "rate-limited")
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert (other.status_code, health.status_code) == (200, 200)


async def test_a_webhook_is_never_rate_limited():
    """Alertmanager takes a 429 as final and drops the notification until the next group interval."""
    async with calling(rate_limit_requests=1, rate_limit_window=60) as service:
        answers = [(await service.http.post(HOOK, json={})).status_code for _ in range(5)]

    assert answers == [202] * 5


@pytest.mark.requirement("HAPI-103")
async def test_our_own_fault_is_a_500_without_its_text(service):
    with capture_logs() as lines:
        answer = await service.http.get("/api/v1/boom")

    document = problem(answer)
    assert (answer.status_code, document["code"]) == (500, "internal-error")
    assert "postgresql" not in answer.text
    assert any(line["event"] == "unhandled" and line["log_level"] == "error" for line in lines)


async def test_an_error_of_the_domain_is_the_problem_the_service_declared(service):
    answer = await service.http.get("/api/v1/away")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert (problem(answer)["code"], problem(answer)["detail"]) == ("away", "ask again")


@pytest.mark.requirement("API-BR-SEC-012", "HAPI-064")
async def test_a_safe_request_id_is_continued_and_an_unsafe_one_replaced(service):
    ours = await service.http.get("/health", headers={"X-Request-ID": "order-7.b"})
    forged = await service.http.get("/health", headers={"X-Request-ID": "a b\tc"})

    assert ours.headers["x-request-id"] == "order-7.b"
    assert len(forged.headers["x-request-id"]) == 32


@pytest.mark.requirement("INT-BR-WH-025", "API-BR-SEC-011", "HAPI-039", "HAPI-117")
async def test_every_request_is_one_log_line_without_its_query(service):
    with capture_logs() as lines:
        await service.http.get("/api/v1/notes/a?token=hunter2", headers={"X-Request-ID": "r-1"})
        await service.http.post(HOOK, json={}, headers={"Authorization": ""})

    first, second = (line for line in lines if line["event"] == "request")
    assert (first["path"], first["route"], first["status"]) == (
        "/api/v1/notes/a",
        "/api/v1/notes/{name}",
        200,
    )
    assert (first["caller"], first["tenant"], first["request_id"]) == ("operator", "default", "r-1")
    assert (second["route"], second["status"], second["caller"]) == (HOOK, 401, None)
    assert "hunter2" not in str(lines)


@pytest.mark.requirement("API-BR-CAPI-020", "HAPI-135", "INF-BR-MET-006")
async def test_requests_are_counted_under_their_routes_template(service):
    await service.http.get("/api/v1/notes/a")
    await service.http.get("/api/v1/notes/b")
    await service.http.get("/api/v1/notes/c", headers={"Authorization": "Bearer wrong"})
    await service.http.post(HOOK, json={})
    await service.http.get("/nowhere/at/all")

    def requests(**labels: str) -> float | None:
        return service.count("http_requests_total", **labels)

    template = "/api/v1/notes/{name}"
    assert requests(method="GET", route=template, status_class="2xx") == 2
    assert requests(method="GET", route=template, status_class="4xx") == 1
    assert requests(method="POST", route=HOOK, status_class="2xx") == 1
    assert requests(method="GET", route="unmatched", status_class="4xx") == 1
    assert service.count("http_request_duration_seconds_count", route=template) == 3
    assert service.count("http_authentication_failures_total", reason="unknown-api-key") == 1


async def test_an_answer_is_compressed_for_who_takes_it_and_worth_it(service):
    large = await service.http.get("/api/v1/large?size=5000", headers={"Accept-Encoding": "gzip"})
    small = await service.http.get("/api/v1/large?size=5", headers={"Accept-Encoding": "gzip"})
    plain = await service.http.get("/api/v1/large?size=5000", headers={"Accept-Encoding": "identity"})

    assert (large.headers["content-encoding"], large.json()["text"]) == ("gzip", "x" * 5000)
    assert int(large.headers["content-length"]) < 500
    assert "content-encoding" not in small.headers
    assert "content-encoding" not in plain.headers
    assert "Accept-Encoding" in large.headers["vary"]
