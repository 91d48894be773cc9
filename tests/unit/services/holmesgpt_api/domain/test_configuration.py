"""The configuration file's schema is the architecture document's; what is unsafe in it has no effect, and that is said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.holmesgpt_api.domain.configuration import (
    Configuration,
    not_honoured,
    settings_in,
    variables_not_honoured,
)

pytestmark = pytest.mark.requirement("HAPI-151", "HAPI-152", "HAPI-154")

DOCUMENTS: dict[str, Any] = {
    "app": {"name": "HolmesGPT REST API", "version": "1.0.0", "environment": "production"},
    "server": {"host": "0.0.0.0", "port": 8090, "metrics_port": 9091, "workers": 3},
    "security": {
        "cors_origins": ["https://console.example", "*"],
        "allowed_hosts": ["*"],
        "jwt_expire_minutes": 60,
    },
    "llm": {
        "primary": {
            "provider": "local_llm",
            "model": "gpt-oss:20b",
            "base_url": "http://local-llm:8080",
            "timeout": 60,
            "max_tokens": 4000,
            "temperature": 0.3,
        },
        "fallback": {"provider": "openai", "model": "gpt-4", "timeout": 30},
    },
    "holmesgpt": {
        "enabled_toolsets": ["kubernetes", "prometheus", "internet", "docker"],
        "default_toolsets": ["kubernetes", "prometheus"],
        "max_concurrent_investigations": 10,
        "investigation_timeout": 300,
    },
    "integrations": {
        "context_api": {"url": "http://context-api-service:8091", "timeout": 30, "retry_count": 3},
        "kubernetes": {"in_cluster": True, "namespace": "kubernaut-system"},
        "prometheus": {"url": "http://prometheus:9090"},
    },
    "cache": {
        "redis_url": "redis://redis:6379/0",
        "ttl": {"default": 300, "context": 600, "investigations": 3600, "models": 86400},
    },
    "logging": {"level": "INFO", "format": "json", "structured": True, "fields": {"service": "x"}},
    "performance": {
        "request_timeout": 30,
        "rate_limiting": {"enabled": True, "requests_per_minute": 100, "burst_size": 20},
    },
}


def test_the_documents_own_example_is_read():
    read = Configuration.model_validate(DOCUMENTS)

    assert read.llm is not None
    assert list(read.llm.entries) == ["primary", "fallback"]
    assert settings_in(read) == {
        "host": "0.0.0.0",
        "port": 8090,
        "metrics_port": 9091,
        "cors_origins": ["https://console.example"],
        "worker_concurrency": 10,
        "investigation_timeout": timedelta(seconds=300),
        "context_api_url": read.integrations
        and read.integrations.context_api
        and read.integrations.context_api.url,
        "context_api_timeout": timedelta(seconds=30),
        "redis_url": "redis://redis:6379/0",
        "result_cache_ttl": 3600,
        "log_level": "INFO",
        "log_format": "json",
        "rate_limit_requests": 100,
    }


@pytest.mark.requirement("HAPI-079", "HAPI-102")
def test_what_has_no_effect_is_named_with_its_reason():
    told = not_honoured(Configuration.model_validate(DOCUMENTS))

    assert "docker, internet" in told["holmesgpt.enabled_toolsets"]
    assert "`*`" in told["security.cors_origins"]
    assert "`*`" in told["security.allowed_hosts"]
    assert {"app", "server.workers", "integrations.prometheus"} <= set(told)
    assert [name for name in told if name.startswith("cache.")] == [
        *("cache.ttl.default", "cache.ttl.context", "cache.ttl.models")
    ]
    assert not_honoured(Configuration()) == {}


@pytest.mark.requirement("HAPI-146", "HAPI-150")
def test_variables_of_the_document_that_have_no_effect_are_named_with_their_reason():
    told = variables_not_honoured(
        {
            "JWT_SECRET_KEY",
            "KUBECONFIG",
            "CACHE_TTL_DEFAULT",
            "CACHE_TTL_INVESTIGATIONS",
            "LOG_LEVEL",
            "PATH",
        },
        {"HOLMESGPT_TOOLSETS": ["prometheus", "internet"], "HOLMESGPT_DEFAULT_TOOLSETS": ["prometheus"]},
    )

    assert set(told) == {"JWT_SECRET_KEY", "KUBECONFIG", "CACHE_TTL_DEFAULT", "HOLMESGPT_TOOLSETS"}
    assert "AUTH_KEYS_FILE" in told["JWT_SECRET_KEY"]
    assert "internet" in told["HOLMESGPT_TOOLSETS"]
    assert variables_not_honoured(set(), {}) == {}


@pytest.mark.requirement("HAPI-141")
def test_a_time_of_0_in_the_file_keeps_no_result():
    read = Configuration.model_validate({"cache": {"ttl": {"investigations": 0}}})

    assert settings_in(read) == {"result_cache_ttl": 0}


def model(**fields: Any) -> dict[str, Any]:
    return {"provider": "openai", "model": "gpt-4.1", **fields}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"llms": {}}, "llms"),
        ({"llm": {"primary": model(modle="x")}}, "modle"),
        ({"llm": {"primary": {"provider": "ollama", "model": "qwen3"}}}, "base_url is needed"),
        ({"llm": {"primary": model(), "fallback": model(name="primary")}}, "same name"),
        ({"llm": {"primary": model(input_price=1.0)}}, "only together"),
        ({"llm": {"primary": model(api_key_env="A", api_key_file="/k")}}, "one of api_key"),
        ({"llm": {"primary": model(temperature=3)}}, "temperature"),
        ({"llm": {"primary": model(weight=0)}}, "weight"),
        ({"security": {"cors_origins": ["https://console.example/"]}}, "cors_origins"),
        ({"security": {"allowed_hosts": ["*", "https://console.example"]}}, "allowed_hosts"),
        ({"cache": {"ttl": {"investigations": -1}}}, "investigations"),
        ({"budgets": {"run_tokens": -1}}, "run_tokens"),
        ({"budgets": {"run_cost_usd": float("nan")}}, "run_cost_usd"),
        ({"budgets": {"tenant_steps_per_day": -1}}, "tenant_steps_per_day"),
        ({"budgets": {"tenants": {"shop": {"seconds_per_day": -5}}}}, "seconds_per_day"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_place(document: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        Configuration.model_validate(document)
