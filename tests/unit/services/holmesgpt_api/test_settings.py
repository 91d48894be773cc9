"""Settings have the architecture document's names, safe defaults, and units."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.holmesgpt_api.domain.configuration import variables_not_honoured
from services.holmesgpt_api.settings import Settings
from tools.settings_docs import settings_of

pytestmark = pytest.mark.requirement("HAPI-146", "HAPI-147", "HAPI-148", "HAPI-051", "HAPI-052")


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in {"DATABASE_URL": "postgresql://h/d", **environment}.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_the_documents_names_are_read(monkeypatch: pytest.MonkeyPatch):
    read = settings(
        monkeypatch,
        HOLMESGPT_HOST="0.0.0.0",
        HOLMESGPT_PORT="18090",
        HOLMESGPT_METRICS_PORT="19091",
        HOLMESGPT_MAX_CONCURRENT="3",
        HOLMESGPT_INVESTIGATION_TIMEOUT="120",
        KUBERNAUT_CONTEXT_API_URL="http://context:8091",
        KUBERNAUT_CONTEXT_API_TIMEOUT="7",
    )

    assert (read.host, read.port, read.metrics_port) == ("0.0.0.0", 18090, 19091)
    assert (read.worker_concurrency, read.investigation_timeout) == (3, timedelta(seconds=120))
    assert (str(read.context_api_url), read.context_api_timeout) == (
        "http://context:8091/",
        timedelta(seconds=7),
    )


def test_a_duration_may_be_written_in_iso_8601(monkeypatch: pytest.MonkeyPatch):
    read = settings(monkeypatch, HOLMESGPT_INVESTIGATION_RETENTION="P7D")

    assert read.investigation_retention == timedelta(days=7)


@pytest.mark.parametrize("wrong", ["0", "-3", "soon"])
def test_a_duration_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str):
    with pytest.raises(ValidationError, match="SYNC_ANSWER_TIMEOUT"):
        settings(monkeypatch, SYNC_ANSWER_TIMEOUT=wrong)


@pytest.mark.requirement("HAPI-079", "HAPI-102")
def test_the_documents_unsafe_defaults_are_not_honoured(monkeypatch: pytest.MonkeyPatch):
    read = settings(monkeypatch)

    assert (read.host, read.port, read.metrics_port) == ("127.0.0.1", 8090, 9091)
    assert "*" not in [*read.cors_origins, *read.allowed_hosts]
    assert read.trusted_networks == {}


DOCUMENTS_VARIABLES = [
    "APP_NAME",
    "APP_VERSION",
    "ENVIRONMENT",
    "DEBUG",
    "HOLMESGPT_HOST",
    "HOLMESGPT_PORT",
    "HOLMESGPT_METRICS_PORT",
    "HOLMESGPT_WORKERS",
    "JWT_SECRET_KEY",
    "JWT_ALGORITHM",
    "JWT_EXPIRE_MINUTES",
    "CORS_ORIGINS",
    "ALLOWED_HOSTS",
    "HOLMESGPT_LLM_PROVIDER",
    "HOLMESGPT_LLM_MODEL",
    "HOLMESGPT_LLM_API_KEY",
    "HOLMESGPT_LLM_BASE_URL",
    "HOLMESGPT_FALLBACK_LLM_PROVIDER",
    "HOLMESGPT_FALLBACK_LLM_MODEL",
    "HOLMESGPT_FALLBACK_LLM_API_KEY",
    "HOLMESGPT_TOOLSETS",
    "HOLMESGPT_DEFAULT_TOOLSETS",
    "HOLMESGPT_MAX_CONCURRENT",
    "HOLMESGPT_INVESTIGATION_TIMEOUT",
    "KUBERNAUT_CONTEXT_API_URL",
    "KUBERNAUT_CONTEXT_API_TIMEOUT",
    "KUBERNAUT_CONTEXT_API_TOKEN",
    "KUBECONFIG",
    "KUBERNETES_IN_CLUSTER",
    "KUBERNETES_NAMESPACE",
    "REDIS_URL",
    "CACHE_TTL_DEFAULT",
    "CACHE_TTL_CONTEXT",
    "CACHE_TTL_INVESTIGATIONS",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "LOG_FILE",
    "REQUEST_TIMEOUT",
    "RATE_LIMIT_REQUESTS",
    "RATE_LIMIT_WINDOW",
]
"""Every variable of the architecture document's §9.1."""


def test_every_variable_of_the_document_is_a_setting_or_is_said_to_be_none():
    known = {name for one in settings_of(Settings) for name in one.variables}
    told = set(variables_not_honoured(set(DOCUMENTS_VARIABLES), {}))

    assert set(DOCUMENTS_VARIABLES) - known == told


@pytest.mark.requirement("HAPI-079", "HAPI-102")
@pytest.mark.parametrize("name", ["CORS_ORIGINS", "ALLOWED_HOSTS"])
def test_everybody_is_not_let_in_by_the_environment_either(monkeypatch: pytest.MonkeyPatch, name: str):
    with pytest.raises(ValidationError, match=rf"{name.lower()}\n.*`\*` would"):
        settings(monkeypatch, **{name: "*"})


@pytest.mark.requirement("HAPI-141")
def test_how_long_a_result_is_kept_is_read_by_the_documents_name_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    file = tmp_path / "settings.yaml"
    file.write_text("cache: {ttl: {default: 300, investigations: 120}}")

    of_file = settings(monkeypatch, HOLMESGPT_CONFIG_FILE=str(file)).result_cache_ttl
    of_environment = settings(monkeypatch, CACHE_TTL_INVESTIGATIONS="60").result_cache_ttl
    ours = settings(monkeypatch, HOLMESGPT_RESULT_CACHE_TTL="30").result_cache_ttl

    assert [one.total_seconds() for one in (of_file, of_environment, ours)] == [120, 60, 30]


@pytest.mark.requirement("HAPI-079")
@pytest.mark.parametrize(
    "wrong", ["https://user:word@platform.example", "https://platform.example?a=b", "platform.example"]
)
def test_an_address_that_every_caller_is_shown_holds_a_place_alone(
    monkeypatch: pytest.MonkeyPatch, wrong: str
):
    assert settings(monkeypatch).platform_url is None
    with pytest.raises(ValidationError, match="PLATFORM_URL"):
        settings(monkeypatch, PLATFORM_URL=wrong)


@pytest.mark.requirement("HAPI-130")
def test_a_synchronous_answer_comes_before_the_go_application_gives_up(monkeypatch: pytest.MonkeyPatch):
    read = settings(monkeypatch)

    assert read.sync_answer_timeout < timedelta(seconds=30)
    assert 2 * read.context_api_timeout < read.sync_answer_timeout < read.investigation_timeout


@pytest.mark.requirement("HAPI-026", "HAPI-164")
def test_a_model_is_configured_by_the_documents_names(monkeypatch: pytest.MonkeyPatch):
    read = settings(
        monkeypatch,
        HOLMESGPT_LLM_PROVIDER="local_llm",
        HOLMESGPT_LLM_MODEL="gpt-oss:20b",
        HOLMESGPT_LLM_API_KEY="sk-x",
        HOLMESGPT_LLM_BASE_URL="http://llm:8080/v1",
        HOLMESGPT_LLM_TIMEOUT="30",
    )

    assert (read.llm_provider, read.llm_model, read.llm_key()) == ("local_llm", "gpt-oss:20b", "sk-x")
    assert (str(read.llm_base_url), read.llm_timeout) == ("http://llm:8080/v1", timedelta(seconds=30))
    assert "sk-x" not in repr(read)


def test_the_short_name_of_make_run_is_read_too_and_without_either_there_is_no_model(
    monkeypatch: pytest.MonkeyPatch,
):
    assert settings(monkeypatch).llm_model is None
    assert settings(monkeypatch, MODEL="openai/gpt-4.1").llm_model == "openai/gpt-4.1"


@pytest.mark.requirement("HAPI-109")
def test_a_mounted_key_counts_before_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    mounted = tmp_path / "key"
    mounted.write_text("sk-mounted\n")

    read = settings(
        monkeypatch, MODEL="m", HOLMESGPT_LLM_API_KEY="sk-x", HOLMESGPT_LLM_API_KEY_FILE=str(mounted)
    )

    assert read.llm_key() == "sk-mounted"


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"HOLMESGPT_LLM_PROVIDER": "local_llm"}, "HOLMESGPT_LLM_BASE_URL"),
        ({"HOLMESGPT_LLM_PROVIDER": "ollama"}, "HOLMESGPT_LLM_BASE_URL"),
        ({"HOLMESGPT_LLM_PROVIDER": "clippy"}, "HOLMESGPT_LLM_PROVIDER"),
        ({"HOLMESGPT_LLM_API_KEY_FILE": "/nowhere/key"}, "HOLMESGPT_LLM_API_KEY_FILE"),
        ({"HOLMESGPT_LLM_MAX_TOKENS": "4000", "HOLMESGPT_LLM_CONTEXT_TOKENS": "5000"}, "CONTEXT_TOKENS"),
        ({"HOLMESGPT_MAX_STEPS": "1"}, "HOLMESGPT_MAX_STEPS"),
    ],
)
@pytest.mark.requirement("HAPI-147")
def test_a_model_that_cannot_be_asked_is_refused_by_naming_the_setting(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], named: str
):
    with pytest.raises(ValidationError, match=named):
        settings(monkeypatch, MODEL="m", **environment)


@pytest.mark.requirement("HAPI-109")
def test_the_engine_sees_what_it_needs_to_reach_a_model_and_what_it_is_told_to_see(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("AWS_PROFILE", "bedrock")

    seen = settings(
        monkeypatch, HOLMESGPT_ENGINE_ENVIRONMENT="AWS_PROFILE", HOLMESGPT_LLM_API_KEY="sk-x"
    ).engine_sees()

    assert {"PATH", "HTTPS_PROXY", "no_proxy", "AWS_PROFILE"} <= set(seen)
    assert not {name for name in seen if name.startswith(("DATABASE", "HOLMESGPT", "AUTH"))}


@pytest.mark.requirement("HAPI-164")
def test_a_temperature_can_be_left_out(monkeypatch: pytest.MonkeyPatch):
    assert settings(monkeypatch, HOLMESGPT_LLM_TEMPERATURE="null").llm_temperature is None
    assert settings(monkeypatch, HOLMESGPT_LLM_TEMPERATURE="0.3").llm_temperature == 0.3


@pytest.mark.requirement("HAPI-160")
def test_a_fallback_needs_a_first_model_and_an_address_where_its_provider_does(
    monkeypatch: pytest.MonkeyPatch,
):
    with pytest.raises(ValidationError, match="needs HOLMESGPT_LLM_MODEL"):
        settings(monkeypatch, HOLMESGPT_FALLBACK_LLM_MODEL="gpt-4")
    with pytest.raises(ValidationError, match="HOLMESGPT_FALLBACK_LLM_BASE_URL is needed"):
        settings(
            monkeypatch,
            MODEL="m",
            HOLMESGPT_FALLBACK_LLM_MODEL="qwen3",
            HOLMESGPT_FALLBACK_LLM_PROVIDER="ollama",
        )


FILE = """
server: {host: 0.0.0.0, port: 18090, workers: 3}
security: {cors_origins: ["*", "https://console.example"]}
holmesgpt: {max_concurrent_investigations: 4, investigation_timeout: 120}
integrations: {context_api: {url: "http://context:8091", timeout: 7}}
performance: {rate_limiting: {requests_per_minute: 100}}
logging: {level: DEBUG}
"""


@pytest.mark.requirement("HAPI-151", "HAPI-153")
def test_the_file_gives_settings_and_the_environment_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    file = tmp_path / "settings.yaml"
    file.write_text(FILE)

    read = settings(monkeypatch, HOLMESGPT_CONFIG_FILE=str(file), HOLMESGPT_PORT="8091")

    assert (read.host, read.port, read.worker_concurrency) == ("0.0.0.0", 8091, 4)
    assert (read.investigation_timeout, read.context_api_timeout) == (
        timedelta(seconds=120),
        timedelta(seconds=7),
    )
    assert (read.rate_limit_requests, read.log_level) == (100, "DEBUG")
    assert read.cors_origins == ["https://console.example"], "`*` is not honoured"


@pytest.mark.requirement("HAPI-147", "HAPI-152")
def test_a_file_that_cannot_be_used_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("server: {prot: 1}")

    with pytest.raises(ValidationError, match=r"HOLMESGPT_CONFIG_FILE: settings\.yaml: server\.prot"):
        settings(monkeypatch, HOLMESGPT_CONFIG_FILE=str(file))
