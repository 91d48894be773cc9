"""What operators write into an environment is read as they mean it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from libs.web.settings import Role, WebSettings

pytestmark = pytest.mark.requirement("HAPI-146", "HAPI-147")


def read(monkeypatch, **environment: str) -> WebSettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return WebSettings()


@pytest.mark.parametrize(
    "text", ["a.example,b.example", " a.example , b.example ,", '["a.example", "b.example"]']
)
def test_a_list_may_be_words_or_json(monkeypatch, text):
    assert read(monkeypatch, ALLOWED_HOSTS=text).allowed_hosts == ["a.example", "b.example"]


def test_a_duration_may_be_bare_seconds(monkeypatch):
    assert read(monkeypatch, RECEIVE_DEADLINE="2.5").receive_deadline == timedelta(seconds=2.5)


def test_the_role_has_its_own_name(monkeypatch):
    assert read(monkeypatch, KUBERNAUT_ROLE="worker").role is Role.worker


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "http"),
        ("MAX_BODY_BYTES", "1"),
        ("KUBERNAUT_ROLE", "king"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(monkeypatch, name, value):
    with pytest.raises(ValidationError) as refused:
        read(monkeypatch, **{name: value})

    assert name.lower() in str(refused.value).lower()


@pytest.mark.requirement("HAPI-079", "HAPI-102", "INT-BR-WH-022")
@pytest.mark.parametrize("name", ["CORS_ORIGINS", "ALLOWED_HOSTS"])
@pytest.mark.parametrize("value", ["*", '["*"]', " * ,"])
def test_a_star_that_would_let_in_everybody_is_refused_with_its_remedy(monkeypatch, name, value):
    with pytest.raises(ValidationError) as refused:
        read(monkeypatch, **{name: value})

    (fault,) = refused.value.errors()
    assert fault["loc"] == (name.lower(),), "what the start names, in capitals"
    assert "`*`" in fault["msg"]
    assert "console.example" in fault["msg"]


@pytest.mark.requirement("HAPI-102")
def test_an_origin_is_compared_as_browsers_write_it(monkeypatch):
    settings = read(monkeypatch, CORS_ORIGINS="HTTPS://Console.example:443, http://localhost:3000")

    assert settings.cors_origins == ["https://console.example", "http://localhost:3000"]


@pytest.mark.requirement("HAPI-079", "HAPI-054")
def test_defaults_are_the_safe_ones():
    settings = WebSettings()

    assert settings.host == "127.0.0.1"
    assert settings.cors_origins == []
    assert "*" not in settings.allowed_hosts
    assert settings.max_body_bytes < 5_000_000


@pytest.mark.requirement("HAPI-053")
@pytest.mark.parametrize(
    ("given", "wanted"), [("TLS_CERT_FILE", "TLS_KEY_FILE"), ("TLS_KEY_FILE", "TLS_CERT_FILE")]
)
def test_half_of_a_tls_pair_is_refused_and_the_other_half_named(monkeypatch, given, wanted):
    with pytest.raises(ValidationError, match=f"{given} is set: set {wanted} as well"):
        read(monkeypatch, **{given: "/tls/file"})


@pytest.mark.requirement("HAPI-053")
def test_tls_is_spoken_where_both_files_are_named_and_nowhere_else(monkeypatch):
    assert WebSettings().tls is None

    files = read(monkeypatch, TLS_CERT_FILE="/tls/tls.crt", TLS_KEY_FILE="/tls/tls.key").tls

    assert files is not None
    assert (str(files.chain), str(files.key)) == ("/tls/tls.crt", "/tls/tls.key")
