from __future__ import annotations

import secrets
from base64 import b64encode

import pytest

from libs.auth.authenticator import MAX_REMEMBERED, Authenticator
from libs.auth.errors import AuthNotConfigured, NotAuthenticated, Refusal
from libs.auth.minter import TokenMinter
from libs.auth.networks import TrustedNetwork
from libs.auth.permissions import Role
from libs.auth.reload import KeysWatch
from libs.auth.settings import AuthSettings
from tests.support.keyrings import api_key_entry, basic_entry, hs256_entry, ring

pytestmark = pytest.mark.requirement(
    "HAPI-066", "HAPI-067", "INT-BR-WH-004", "INT-BR-SEC-006", "API-BR-SEC-002"
)

API_KEY = "kn_" + secrets.token_urlsafe(32)
PASSWORD = secrets.token_urlsafe(32)
SIGNING = hs256_entry()
LOOPBACK = {"127.0.0.0/8": TrustedNetwork(principal="local", roles=(Role.operator,))}
START = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys():
    return ring(
        jwt=[SIGNING], api_keys=[api_key_entry(API_KEY, tenant="acme")], basic=[basic_entry(PASSWORD)]
    )


@pytest.fixture
def door(keys, clock) -> Authenticator:
    return Authenticator(keys, now=clock)


def token(keys, clock, *, tenant: str = "acme", roles=(Role.viewer,), subject: str = "ann") -> bytes:
    return (
        TokenMinter(lambda: keys, service="test", now=clock)
        .mint(subject, tenant=tenant, roles=roles)
        .encode()
    )


def bearer(value: bytes | str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + (value.encode() if isinstance(value, str) else value)}


def basic(user: str, password: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Basic " + b64encode(f"{user}:{password}".encode())}


def refusal(door: Authenticator, headers: dict[bytes, bytes], client_ip: str | None = None) -> Refusal:
    with pytest.raises(NotAuthenticated) as refused:
        door.authenticate(headers, client_ip)
    return refused.value.reason


@pytest.mark.parametrize(
    "headers", [bearer(API_KEY), {b"x-api-key": API_KEY.encode()}], ids=["bearer", "x-api-key"]
)
def test_an_api_key_lets_its_owner_in(door, headers):
    principal = door.authenticate(headers, None)

    assert (principal.name, principal.tenant, principal.method) == ("ci", "acme", "api-key")


def test_a_token_lets_its_subject_in(door, keys, clock):
    principal = door.authenticate(bearer(token(keys, clock)), None)

    assert (principal.name, principal.tenant, principal.method) == ("ann", "acme", "token")


def test_basic_authentication_lets_alertmanager_in(door):
    principal = door.authenticate(basic("alertmanager", PASSWORD), None)

    assert (principal.name, principal.roles, principal.method) == ("alertmanager", {Role.ingest}, "basic")


def test_the_scheme_is_read_without_regard_to_case(door):
    assert door.authenticate({b"authorization": b"bEaReR " + API_KEY.encode()}, None).name == "ci"


def test_both_passwords_work_while_one_replaces_the_other(clock):
    door = Authenticator(ring(basic=[basic_entry("old"), basic_entry("new")]), now=clock)

    assert {door.authenticate(basic("alertmanager", p), None).name for p in ("old", "new")} == {
        "alertmanager"
    }


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, Refusal.no_credentials),
        (bearer("kn_wrong"), Refusal.unknown_api_key),
        (bearer(""), Refusal.unknown_api_key),
        ({b"x-api-key": b""}, Refusal.unknown_api_key),
        (bearer("x" * 513), Refusal.malformed),
        (bearer("a.b.c"), Refusal.malformed),
        ({b"authorization": b""}, Refusal.unsupported_scheme),
        ({b"authorization": API_KEY.encode()}, Refusal.unsupported_scheme),
        ({b"authorization": b"Digest username=x"}, Refusal.unsupported_scheme),
        ({b"authorization": b"Negotiate YII="}, Refusal.unsupported_scheme),
        (basic("alertmanager", "wrong"), Refusal.wrong_password),
        (basic("nobody", PASSWORD), Refusal.wrong_password),
        (basic("alertmanager", ""), Refusal.wrong_password),
        ({b"authorization": b"Basic " + b64encode(b"no colon")}, Refusal.malformed),
        ({b"authorization": b"Basic ???"}, Refusal.malformed),
        ({b"authorization": b"Basic " + b64encode(b"a:" + b"x" * 513)}, Refusal.malformed),
        (
            {b"authorization": b"Bearer " + API_KEY.encode(), b"x-api-key": API_KEY.encode()},
            Refusal.two_credentials,
        ),
        ({b"authorization": b"Bearer \xff\xfe\x00"}, Refusal.unknown_api_key),
    ],
)
def test_anything_else_is_refused_with_its_reason(door, headers, reason):
    assert refusal(door, headers) is reason


@pytest.mark.requirement("HAPI-114")
def test_an_api_key_ends_when_its_record_says_so(clock):
    door = Authenticator(ring(api_keys=[api_key_entry(API_KEY, not_after="2027-01-15T08:00:00Z")]), now=clock)
    assert START == 1_800_000_000.0  # 2027-01-15T08:00:00Z

    clock.now = START - 1
    assert door.authenticate(bearer(API_KEY), None).name == "ci"
    clock.now = START
    assert refusal(door, bearer(API_KEY)) is Refusal.api_key_expired


def test_a_tenant_named_in_a_header_is_not_believed(door):
    headers = bearer(API_KEY) | {b"x-tenant": b"other", b"x-kubernaut-tenant": b"other"}

    assert door.authenticate(headers, None).tenant == "acme"


@pytest.mark.requirement("HAPI-079")
def test_a_caller_without_credentials_gets_in_only_from_a_trusted_network(keys, clock):
    door = Authenticator(keys, LOOPBACK, now=clock)

    assert door.authenticate({}, "127.0.0.1").method == "trusted-network"
    assert refusal(door, {}, "192.0.2.7") is Refusal.no_credentials
    assert refusal(door, {b"x-forwarded-for": b"127.0.0.1"}, "192.0.2.7") is Refusal.no_credentials


def test_a_wrong_credential_is_not_made_good_by_the_network(keys, clock):
    door = Authenticator(keys, LOOPBACK, now=clock)

    assert refusal(door, bearer("kn_wrong"), "127.0.0.1") is Refusal.unknown_api_key
    assert refusal(door, {b"authorization": b""}, "127.0.0.1") is Refusal.unsupported_scheme


def test_with_networks_alone_no_credential_is_known(clock):
    door = Authenticator(None, LOOPBACK, now=clock)

    assert door.authenticate({}, "127.0.0.1").name == "local"
    assert refusal(door, bearer(API_KEY), "127.0.0.1") is Refusal.unknown_api_key


@pytest.mark.requirement("HAPI-070", "HAPI-117")
def test_a_caller_let_in_by_the_network_leaves_an_audit_line(keys, clock, monkeypatch):
    written: list[tuple[str, dict]] = []

    class Audit:
        def info(self, event, **fields):
            written.append((event, fields))

    door = Authenticator(keys, LOOPBACK, now=clock)
    monkeypatch.setattr(door, "_audit", Audit())

    door.authenticate({}, "127.0.0.1")
    door.authenticate(bearer(API_KEY), "127.0.0.1")

    assert written == [
        (
            "caller-without-credentials",
            {"principal": "local", "tenant": "default", "network": "127.0.0.0/8", "client_ip": "127.0.0.1"},
        )
    ]


def test_a_token_seen_before_is_not_verified_again(door, keys, clock, monkeypatch):
    headers = bearer(token(keys, clock))
    first = door.authenticate(headers, None)

    def verify(*_):
        raise AssertionError("verified again")

    monkeypatch.setattr("libs.auth.authenticator.key_for", verify)

    assert door.authenticate(headers, None) is first


def test_a_remembered_token_still_expires(door, keys, clock):
    headers = bearer(token(keys, clock))
    door.authenticate(headers, None)

    clock.now += 331  # five minutes of life, thirty seconds of leeway

    assert refusal(door, headers) is Refusal.expired


@pytest.mark.requirement("HAPI-107")
def test_a_remembered_token_is_refused_as_soon_as_its_key_is_gone(door, keys, clock):
    headers = bearer(token(keys, clock))
    door.authenticate(headers, None)

    door.use(ring(jwt=[hs256_entry(kid="services-2")]))

    assert refusal(door, headers) is Refusal.unknown_kid


@pytest.mark.requirement("HAPI-107")
@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (bearer(API_KEY), Refusal.unknown_api_key),
        ({b"x-api-key": API_KEY.encode()}, Refusal.unknown_api_key),
        (basic("alertmanager", PASSWORD), Refusal.wrong_password),
    ],
    ids=["bearer", "x-api-key", "basic"],
)
def test_a_remembered_api_key_or_password_is_refused_as_soon_as_it_is_taken_back(door, headers, reason):
    door.authenticate(headers, None)

    door.use(ring(jwt=[SIGNING]))

    assert refusal(door, headers) is reason


@pytest.mark.requirement("HAPI-114")
@pytest.mark.parametrize(
    "headers", [bearer(API_KEY), basic("alertmanager", PASSWORD)], ids=["bearer", "basic"]
)
def test_a_remembered_api_key_or_password_ends_when_its_record_says_so(clock, headers):
    end = "2027-01-15T08:00:00Z"
    entries = {
        "api_keys": [api_key_entry(API_KEY, not_after=end)],
        "basic": [basic_entry(PASSWORD, not_after=end)],
    }
    door = Authenticator(ring(**entries), now=clock)
    clock.now = START - 1
    door.authenticate(headers, None)

    clock.now = START

    assert refusal(door, headers) is Refusal.api_key_expired


def test_a_remembered_token_is_refused_as_soon_as_it_is_revoked(keys, clock):
    door = Authenticator(keys, now=clock)
    signed = keys.tokens["services-1"].sign(
        {"iss": "kubernaut", "aud": "kubernaut", "sub": "ann", "exp": START + 300, "jti": "lost-laptop"}
    )
    door.authenticate(bearer(signed), None)

    door.use(ring(jwt=[SIGNING], revoked=["lost-laptop"]))

    assert refusal(door, bearer(signed)) is Refusal.revoked


def test_a_token_verified_while_the_keys_change_is_not_remembered_beside_the_new_ones(
    keys, clock, monkeypatch
):
    door = Authenticator(keys, now=clock)
    headers = bearer(token(keys, clock))
    verified = keys.tokens["services-1"].__class__.verified_claims

    def change_keys_meanwhile(key, raw):
        door.use(ring(jwt=[hs256_entry()]))
        return verified(key, raw)

    monkeypatch.setattr(keys.tokens["services-1"].__class__, "verified_claims", change_keys_meanwhile)
    door.authenticate(headers, None)
    monkeypatch.undo()

    assert refusal(door, headers) is Refusal.bad_signature


def test_the_memory_of_tokens_is_bounded(door, keys, clock):
    minter = TokenMinter(lambda: keys, service="test", now=clock)
    for number in range(MAX_REMEMBERED + 10):
        door.authenticate(bearer(minter.mint(f"user-{number}", tenant="acme", roles=[])), None)

    assert len(door._door.verified) <= MAX_REMEMBERED


def test_a_refused_token_is_not_remembered(door):
    refusal(door, bearer("a.b.c"))

    assert door._door.verified == {}


class RecordingWatch(KeysWatch):
    def __init__(self) -> None:
        self.looks = 0

    def look(self, publish) -> None:
        self.looks += 1


def test_the_keys_file_is_looked_at_every_few_seconds_and_not_per_request(keys, clock):
    watch = RecordingWatch()
    door = Authenticator(keys, now=clock, watch=watch)

    for _ in range(1000):
        clock.now += 0.01
        door.authenticate(bearer(API_KEY), None)

    assert watch.looks == 3


def test_a_worker_that_authenticates_nobody_still_notices_new_keys(keys, clock):
    watch = RecordingWatch()
    door = Authenticator(keys, now=clock, watch=watch)
    minter = TokenMinter(lambda: door.ring, service="alerts", now=clock)

    minter("acme")
    clock.now += 3
    minter("acme")

    assert watch.looks == 1


def test_a_clock_set_back_does_not_keep_the_keys_file_from_being_looked_at(keys, clock):
    watch = RecordingWatch()
    door = Authenticator(keys, now=clock, watch=watch)

    clock.now -= 3600
    door.authenticate(bearer(API_KEY), None)

    assert watch.looks == 1


@pytest.mark.requirement("HAPI-079")
def test_a_service_that_could_recognise_nobody_does_not_start():
    with pytest.raises(AuthNotConfigured):
        Authenticator.from_settings(AuthSettings(auth_keys_file=None, trusted_networks={}))


def test_trusted_networks_are_enough_to_start():
    settings = AuthSettings(auth_keys_file=None, trusted_networks=LOOPBACK)

    assert Authenticator.from_settings(settings).ring is None
