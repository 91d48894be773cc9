"""How grave a line is by its writer's own word, and whose fault an answer is."""

from __future__ import annotations

import pytest

from services.context_api.domain.log_levels import (
    Level,
    answered,
    is_advice,
    is_modest,
    is_news,
    level_of,
    of_the_server,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


@pytest.mark.parametrize(
    "line",
    [
        "I1118 09:21:00.123456       1 leaderelection.go:271] failed to acquire lease shop/worker",
        "2026-11-18T09:21:00.1Z I1118 09:21:00.123456 1 reflector.go:9] watch failed, relisting",
        'ts=2026-11-18T09:21:00Z level=info msg="lookup failed, trying again"',
        '{"level":"debug","msg":"not found"}',
        "2026-11-18T09:21:00.000Z\tinfo\tcache\tmiss: no such key",
        "info: Store.Worker[0] retrying, error 3",
        "[I 2026-11-18 09:21:00.1 app] 404 missing",
        "I, [2026-11-18T09:21:00.1 #7]  INFO -- : timed out, retrying",
        "2026-11-18 09:21:00.123 | INFO     | app:run:9 - unknown field skipped",
        "2026/11/18 09:21:00 [notice] 7#7: signal process failed",
        "2026-11-18T09:21:00Z 2026-11-18 09:21:00,123 INFO request failed, retried",
        "2026-11-18T09:21:00.000000Z 0 [Note] [MY-1] could not resolve a client's name",
    ],
)
def test_what_its_writer_calls_news_is_news_whatever_words_it_holds(line: str):
    assert is_news(line)


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("W1118 09:21:00.123456 1 reflector.go:9] watch failed", Level.warning),
        ("2026-11-18 09:21:00 WARN  retry", Level.warning),
        ("warn: Store.Worker[0] slow", Level.warning),
        ("E1118 09:21:00.123456 1 x.go:9] failed", Level.error),
        ("2026-11-18T09:21:00Z ERROR cannot set level INFO", Level.error),
        ("fail: Store.Worker[0] no store", Level.error),
        ("2026/11/18 09:21:00 [crit] 7#7: no space", Level.error),
        ("battery level=low severity=error", Level.error),
        ("cannot open the store", None),
        ("information about errors is missing", None),
        ("Informer failed", None),
    ],
)
def test_the_first_word_of_a_level_counts_and_other_words_are_none(line: str, level: Level | None):
    assert level_of(line) is level
    assert not is_news(line)


def test_a_warning_is_modest_and_a_line_without_a_level_is_not():
    assert is_modest("WARN x")
    assert is_modest("INFO x")
    assert not is_modest("ERROR x")
    assert not is_modest("x failed")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ('10.0.0.9 - - [18/Nov/2026:09:21:00 +0000] "GET /errors/unknown HTTP/1.1" 404 153 "-" "curl/8"', 404),
        ('2026-11-18T09:21:00Z 10.0.0.9 - - [18/Nov/2026:09:21:00 +0000] "POST /pay HTTP/1.1" 503 0', 503),
        ('10.0.0.9 - - [18/Nov/2026:09:21:00 +0000] "\\x16\\x03\\x01" 400 157 "-" "-"', 400),
        ('[2026-11-18T09:21:00.000Z] "GET /x HTTP/1.1" 200 - 0 503 4 "-"', 200),
        ('INFO:     10.0.0.9:4711 - "GET /x HTTP/1.1" 401 Unauthorized', 401),
        ('[GIN] 2026/11/18 - 09:21:00 | 403 |      12.3µs |  10.0.0.9 | GET "/x"', 403),
        ("GET /forbidden 403 1.204 ms - 9", 403),
        ('ERROR calling the register: "GET /x HTTP/1.1" 404 Not Found', None),
        ("upstream timed out, request: \"GET /x HTTP/1.1\", upstream: \"http://10.0.0.7:80/x\"", None),
        ("imported 502 rows", None),
    ],
)  # fmt: skip
def test_the_status_of_an_answered_request_is_read_and_no_other_number(line: str, status: int | None):
    assert answered(line) == status


def test_a_server_fails_its_callers_but_not_who_asks_for_what_it_never_did():
    assert [of_the_server(s) for s in (200, 404, 499, 500, 501, 503, 505)] == [False, False, False, True, False, True, False]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("option `timeout` is deprecated and will be removed in 4.0", True),
        ("/app/a.py:9: DeprecationWarning: invalid escape sequence '\\d'", True),
        ("InsecureRequestWarning: Unverified HTTPS request", True),
        ("WARN field `unknown` is deprecated", True),
        ("ERROR option `timeout` is deprecated", False),
        ("deprecated option: unknown key timeout", False),
        ("flag -x is deprecated: invalid value 7", False),
        ("access denied: deprecated protocol TLS 1.0", False),
        ("deprecated: schema must be migrated before the start", False),
        ("option `timeout` is deprecated and no longer supported: cannot start", False),
        ("cannot start", False),
    ],
)
def test_what_only_advises_is_told_from_what_fails_for_it(line: str, advice: bool):
    assert is_advice(line) is advice
