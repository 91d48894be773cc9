"""No secret and no control character leaves through a log line."""

from __future__ import annotations

import secrets

import pytest

from libs.logs.scrub import MAX_TEXT, REDACTED, clean, clean_text, is_secret, scrub

pytestmark = pytest.mark.requirement("HAPI-072", "HAPI-110", "API-BR-SEC-014")


def scrubbed(**event: object) -> dict:
    return dict(scrub(None, "info", dict(event)))


@pytest.mark.parametrize(
    "key",
    [
        *(
            "password",
            "db_password",
            "PASSWD",
            "token",
            "access_token",
            "Authorization",
            "api_key",
            "x-api-key",
        ),
        *("apikey", "client_secret", "cookie", "set-cookie", "private_key", "pepper", "credentials", "dsn"),
    ],
)
def test_a_key_that_names_a_secret_loses_its_value(key):
    assert scrubbed(**{key: "hunter2"}) == {key: REDACTED}


@pytest.mark.parametrize("key", ["tokens_used", "path", "method", "secret_name", "status"])
def test_a_key_that_only_sounds_like_one_keeps_it(key):
    assert not is_secret(key)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {secret}",
        "BEARER {secret}",
        "basic {secret}",
        "postgresql://alerts:{secret}@db:5432/alerts?sslmode=verify-full",
        "redis://:{secret}@cache/0",
        "host=db password={secret} dbname=alerts",
        "GET /api/v1/alerts?access_token={secret}&limit=5",
        "https://x.example/?api_key={secret}",
        "eyJhbGciOiJIUzI1NiJ9.eyJ{secret}.{secret}",
        "https://hooks.slack.com/services/T0/B0/{secret}",
        "kn_{secret}",
        "xoxb-{secret}",
        "-----BEGIN EC PRIVATE KEY-----\n{secret}\n-----END EC PRIVATE KEY-----",
    ],
)
def test_a_credential_inside_a_text_is_taken_out_wherever_it_stands(text):
    canary = secrets.token_hex(16)
    said = text.format(secret=canary)

    event = scrubbed(
        event=said, deep={"list": [said], "tuple": (said,)}, error=ValueError(said), exception=said
    )

    assert canary not in str(event)


def test_what_stands_around_a_credential_stays():
    assert clean_text("connect to postgresql://alerts:hunter2@db/alerts failed") == (
        f"connect to postgresql://alerts:{REDACTED}@db/alerts failed"
    )


def test_a_secret_key_deep_inside_is_found():
    assert scrubbed(request={"headers": [{"authorization": "x"}]}) == {
        "request": {"headers": [{"authorization": REDACTED}]}
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nlevel=error forged", "a\\u000alevel=error forged"),
        ("a\r\nb", "a\\u000d\\u000ab"),
        ("\x1b[2J", "\\u001b[2J"),
        ("\x00", "\\u0000"),
        ("\x9b31m", "\\u009b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_control_character_is_shown_and_not_sent(text, shown):
    assert clean_text(text) == shown


def test_ordinary_text_of_any_language_is_left_alone():
    assert clean_text("Ärger mit Pod „web“ 🔥 日本") == "Ärger mit Pod „web“ 🔥 日本"


def test_a_traceback_keeps_its_lines_and_nothing_else_does():
    event = scrubbed(exception="Traceback\n  File\x1b[31m", note="a\nb")

    assert event == {"exception": "Traceback\n  File\\u001b[31m", "note": "a\\u000ab"}


def test_a_text_without_end_is_cut():
    assert len(clean_text("a" * 1_000_000)) < MAX_TEXT + 50


def test_a_value_nested_without_end_is_cut():
    value: object = "leaf"
    for _ in range(50):
        value = [value]

    assert "…" in str(clean(value))
    assert "leaf" not in str(clean(value))


def test_numbers_truths_and_nothing_stay_what_they_are():
    assert scrubbed(status=200, ms=1.5, ok=True, gone=None) == {
        "status": 200,
        "ms": 1.5,
        "ok": True,
        "gone": None,
    }


def test_bytes_are_shown_as_text_without_their_secrets():
    assert clean(b"password=hunter2\xff") == f"password={REDACTED}"
