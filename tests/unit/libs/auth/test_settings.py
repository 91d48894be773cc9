from __future__ import annotations

import pytest
from pydantic import ValidationError

from libs.auth.permissions import Role
from libs.auth.settings import AuthSettings

pytestmark = pytest.mark.requirement("HAPI-079", "HAPI-146")


def test_nothing_is_trusted_unless_it_is_set(monkeypatch):
    monkeypatch.delenv("TRUSTED_NETWORKS", raising=False)
    monkeypatch.delenv("AUTH_KEYS_FILE", raising=False)

    settings = AuthSettings()

    assert settings.auth_keys_file is None
    assert settings.trusted_networks == {}


def test_trusted_networks_are_read_as_json(monkeypatch):
    monkeypatch.setenv("TRUSTED_NETWORKS", '{"127.0.0.0/8": {"principal": "local", "roles": ["operator"]}}')

    network = AuthSettings().trusted_networks["127.0.0.0/8"]

    assert network.principal == "local"
    assert network.roles == (Role.operator,)


def test_a_typing_error_in_trusted_networks_stops_the_start(monkeypatch):
    monkeypatch.setenv("TRUSTED_NETWORKS", '{"127.0.0.0/8": {"principal": "local", "role": "operator"}}')

    with pytest.raises(ValidationError):
        AuthSettings()
