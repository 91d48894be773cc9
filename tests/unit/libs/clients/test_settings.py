from __future__ import annotations

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from libs.clients.settings import (
    AlertsPeerSettings,
    ContextPeerSettings,
    HolmesPeerSettings,
    NotificationsPeerSettings,
)
from tests.support.certificates import certificate

pytestmark = pytest.mark.requirement("HAPI-051", "HAPI-146", "HAPI-166")

MIXINS: list[tuple[type[BaseSettings], str, str, int]] = [
    (HolmesPeerSettings, "holmesgpt_url", "KUBERNAUT_HOLMESGPT_URL", 8090),
    (ContextPeerSettings, "context_api_url", "KUBERNAUT_CONTEXT_API_URL", 8091),
    (AlertsPeerSettings, "alerts_url", "KUBERNAUT_ALERTS_URL", 8092),
    (NotificationsPeerSettings, "notifications_url", "KUBERNAUT_NOTIFICATIONS_URL", 8093),
]


@pytest.mark.parametrize(("settings", "field", "variable", "port"), MIXINS)
def test_a_peer_is_looked_for_where_this_product_starts_it(settings, field, variable, port, monkeypatch):
    monkeypatch.delenv(variable, raising=False)

    assert str(getattr(settings(), field)) == f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize(("settings", "field", "variable", "port"), MIXINS)
def test_an_operator_can_put_it_elsewhere(settings, field, variable, port, monkeypatch):
    monkeypatch.setenv(variable, "https://peer.internal:8443/base")

    assert str(getattr(settings(), field)) == "https://peer.internal:8443/base"


@pytest.mark.parametrize(("settings", "field", "variable", "port"), MIXINS)
def test_what_is_no_http_address_stops_the_start(settings, field, variable, port, monkeypatch):
    monkeypatch.setenv(variable, "file:///etc/passwd")

    with pytest.raises(ValidationError):
        settings()


@pytest.mark.requirement("HAPI-053")
@pytest.mark.parametrize("settings", [mixin for mixin, *_ in MIXINS])
def test_one_file_names_the_authorities_of_every_peer(settings, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    certificate(tmp_path)
    monkeypatch.setenv("KUBERNAUT_CA_FILE", "ca.pem")

    assert settings().peer_ca_file == tmp_path / "ca.pem"


@pytest.mark.requirement("HAPI-053")
@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (b"no certificate", "holds no certificate in PEM")]
)
def test_a_file_without_authorities_stops_the_start_and_is_named(content, said, monkeypatch, tmp_path):
    place = tmp_path / "ca.pem"
    if content is not None:
        place.write_bytes(content)
    monkeypatch.setenv("KUBERNAUT_CA_FILE", str(place))

    with pytest.raises(ValidationError, match=f"{place}.*{said}"):
        ContextPeerSettings()
