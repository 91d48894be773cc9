"""A foreign system's certificate is its name's, though the connection goes to an address that was looked at before."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from services.holmesgpt_api.adapters.outbound import Door, NoAnswer, trusted
from services.holmesgpt_api.domain.custom.origin import Address, origin
from tests.fakes.foreign_system import ForeignSystem, foreign_system
from tests.support.certificates import Certificate, certificate

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079")


@pytest.fixture
def shown(tmp_path: Path) -> Certificate:
    """What the server shows: a certificate of the address 127.0.0.1, and of no name."""
    return certificate(tmp_path / "server")


@pytest.fixture
def system(shown: Certificate) -> Iterator[ForeignSystem]:
    with foreign_system(shown.server_context()) as made:
        yield made


@pytest.fixture
def believing(monkeypatch: pytest.MonkeyPatch, shown: Certificate) -> Iterator[pytest.MonkeyPatch]:
    """The operator's own authority is believed, which has signed the server's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(shown.authority))
    trusted.cache_clear()
    yield monkeypatch
    trusted.cache_clear()


async def here(host: str, port: int) -> Sequence[Address]:
    return [ipaddress.ip_address("127.0.0.1")]


async def asked(system: ForeignSystem, host: str) -> int:
    port = system.url.rpartition(":")[2]
    door = Door(origin(f"https://{host}:{port}"), at_once=1, resolve=here)
    try:
        head, _ = await door.ask("GET", "/", headers=[("Authorization", "Bearer x")], content=None, within=5)
    finally:
        await door.close()
    return head.status


async def test_a_system_that_shows_its_own_certificate_is_asked(
    system: ForeignSystem, believing: pytest.MonkeyPatch
):
    assert await asked(system, "127.0.0.1") == 200


async def test_a_certificate_of_the_address_is_none_of_the_name(
    system: ForeignSystem, believing: pytest.MonkeyPatch
):
    with pytest.raises(NoAnswer) as refused:
        await asked(system, "localhost")

    assert (refused.value.word, refused.value.maybe) == ("unreachable", False)
    assert system.got == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    system: ForeignSystem, believing: pytest.MonkeyPatch, tmp_path: Path
):
    believing.setenv("SSL_CERT_FILE", str(certificate(tmp_path / "another").authority))
    trusted.cache_clear()

    with pytest.raises(NoAnswer):
        await asked(system, "127.0.0.1")
    assert system.got == []
