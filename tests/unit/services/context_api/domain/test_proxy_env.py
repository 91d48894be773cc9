"""Which hosts a list of exceptions keeps from the proxy."""

from __future__ import annotations

import pytest

from services.context_api.domain.proxy_env import excepted

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

HOST = "api.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("host", "port", "exceptions"),
    [
        (HOST, 80, ".svc.cluster.local"),
        (HOST, 80, "localhost, .cluster.local"),
        (HOST, 80, "*.cluster.local"),
        (HOST, 80, "cluster.local"),
        (HOST, 80, "API.shop.svc.cluster.local"),
        (HOST, 80, "example.com *"),
        (HOST, 80, f"{HOST}:80"),
        ("10.96.3.4", 80, "10.96.0.0/12"),
        ("10.96.3.4", 80, "10.96.3.4"),
        ("localhost", 80, ""),
        ("127.0.0.1", 80, ""),
    ],
)
def test_what_the_list_covers_is_asked_itself(host: str, port: int, exceptions: str):
    assert excepted(host, port, exceptions)


@pytest.mark.parametrize(
    ("host", "port", "exceptions"),
    [
        (HOST, 80, ""),
        (HOST, 80, "localhost,.example.com"),
        (HOST, 80, ".svc"),
        (HOST, 80, f"{HOST}:443"),
        ("myapi.example.com", 80, "api.example.com"),
        ("10.97.3.4", 80, "10.96.0.0/16"),
        ("api", 80, ".svc.cluster.local"),
    ],
)
def test_everything_else_goes_through_the_proxy(host: str, port: int, exceptions: str):
    assert not excepted(host, port, exceptions)
