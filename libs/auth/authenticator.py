"""Authenticator: request headers and address in, `Principal` out.

Synchronous and without I/O, so that it can stand before everything else on the request path: a credential that
was verified before costs one dictionary look-up, for as long as it and the keys last. It decides who calls; what they may do is `guards`' part.
"""

from __future__ import annotations

import binascii
import hmac
import math
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from libs.auth.claims import believed, end_of, principal_of
from libs.auth.errors import AuthNotConfigured, NotAuthenticated, Refusal
from libs.auth.keys import Grant, KeyRing
from libs.auth.networks import TrustedNetwork, TrustedNetworks
from libs.auth.principal import Principal
from libs.auth.reload import LOOK_EVERY_S, KeysWatch
from libs.auth.settings import AuthSettings
from libs.auth.tokens import key_for
from libs.logs import get_logger

MAX_REMEMBERED = 4096
"""Verified credentials kept (about 1 KB each). Our own services hold one per tenant at a time."""

MAX_API_KEY = 512
"""Bytes hashed for an API key or a password; ours have 50."""


@dataclass(slots=True)
class _Door:
    """One ring and the credentials verified with it.

    They are replaced together: what was verified with the old ring must not be remembered beside the new one.
    """

    ring: KeyRing
    verified: dict[bytes, tuple[Principal, float]] = field(default_factory=dict)


class Authenticator:
    """Recognises callers by bearer token, API key, basic authentication, or the network they come from."""

    def __init__(
        self,
        ring: KeyRing | None,
        trusted_networks: Mapping[str, TrustedNetwork] | None = None,
        *,
        watch: KeysWatch | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._door = _Door(ring) if ring else None
        self._networks = TrustedNetworks(trusted_networks or {})
        self._watch, self._now = watch, now
        self._looked_at = now()
        self._audit = get_logger("libs.auth.audit")

    @classmethod
    def from_settings(cls, settings: AuthSettings) -> Self:
        """Read the keys file and watch it.

        Raises:
            AuthNotConfigured: no keys file and no trusted network; says what to set.
            UnreadableKeys: the keys file cannot be used; says why.
        """
        path = settings.auth_keys_file
        if path is None and not settings.trusted_networks:
            raise AuthNotConfigured
        if path is None:
            return cls(None, settings.trusted_networks)
        watch = KeysWatch(path)
        return cls(KeyRing.load(path), settings.trusted_networks, watch=watch)

    @property
    def ring(self) -> KeyRing | None:
        """The keys in force now. Asking looks at the file too: a worker authenticates nobody, and still signs."""
        self._look_if_due(self._now())
        return self._door.ring if self._door else None

    def use(self, ring: KeyRing) -> None:
        """Replace every key at once; tokens verified before are looked at again."""
        self._door = _Door(ring)

    def authenticate(self, headers: Mapping[bytes, bytes], client_ip: str | None) -> Principal:
        """Say who is calling.

        Args:
            headers: ASGI's, names in lower case.
            client_ip: the socket's peer, never a forwarded header: it alone decides about trusted networks.

        Raises:
            NotAuthenticated: a credential was wrong, or there was none and the network is not trusted. A wrong
                credential is never made good by the network.
        """
        now = self._now()
        self._look_if_due(now)
        credential, api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
        if credential is None and api_key is None:
            return self._from_network(client_ip)
        if credential is not None and api_key is not None:
            raise NotAuthenticated(Refusal.two_credentials)
        door = self._door
        if door is None:
            raise NotAuthenticated(Refusal.unknown_api_key)
        if credential is None:
            return _by_api_key(door.ring, api_key or b"", now).principal

        remembered = door.verified.get(credential)
        if remembered is not None and now < remembered[1]:
            return remembered[0]
        return _by_header(door, credential, now)

    def _look_if_due(self, now: float) -> None:
        if self._watch is not None and not 0 <= now - self._looked_at < LOOK_EVERY_S:
            self._looked_at = now
            self._watch.look(self.use)

    def _from_network(self, client_ip: str | None) -> Principal:
        principal = self._networks.principal_at(client_ip)
        if principal is None:
            raise NotAuthenticated(Refusal.no_credentials)
        self._audit.info(
            "caller-without-credentials",
            principal=principal.name,
            tenant=principal.tenant,
            network=principal.credential,
            client_ip=client_ip,
        )
        return principal


def _by_header(door: _Door, credential: bytes, now: float) -> Principal:
    scheme, _, value = credential.partition(b" ")
    match scheme.lower():
        case b"bearer" if value.count(b".") == 2:
            return _by_token(door, credential, value.strip(), now)
        case b"bearer":
            return _remember_grant(door, credential, _by_api_key(door.ring, value.strip(), now), now)
        case b"basic":
            return _remember_grant(door, credential, _by_password(door.ring, value.strip(), now), now)
        case _:
            raise NotAuthenticated(Refusal.unsupported_scheme)


def _by_token(door: _Door, credential: bytes, token: bytes, now: float) -> Principal:
    key = key_for(token, door.ring.tokens)
    claims = believed(key.verified_claims(token), key=key, revoked=door.ring.revoked, now=now)
    principal = principal_of(claims, key)
    return _remember(door, credential, principal, end_of(claims, key), now)


def _remember_grant(door: _Door, credential: bytes, grant: Grant, now: float) -> Principal:
    until = math.inf if grant.not_after is None else grant.not_after
    return _remember(door, credential, grant.principal, until, now)


def _remember(door: _Door, credential: bytes, principal: Principal, until: float, now: float) -> Principal:
    if len(door.verified) >= MAX_REMEMBERED:
        _forget_some(door.verified, now)
    door.verified[credential] = (principal, until)
    return principal


def _forget_some(verified: dict[bytes, tuple[Principal, float]], now: float) -> None:
    """Drop what has ended, then the oldest half: cheap on average, and never more than the bound."""
    for credential in [name for name, (_, until) in verified.items() if until <= now]:
        del verified[credential]
    for credential in list(verified)[: max(0, len(verified) - MAX_REMEMBERED // 2)]:
        del verified[credential]


def _by_api_key(ring: KeyRing, key: bytes, now: float) -> Grant:
    if len(key) > MAX_API_KEY:
        raise NotAuthenticated(Refusal.malformed)
    grant = ring.api_keys.get(hmac.digest(ring.pepper, key, "sha256"))
    if grant is None:
        raise NotAuthenticated(Refusal.unknown_api_key)
    return _unless_ended(grant, now)


def _by_password(ring: KeyRing, encoded: bytes, now: float) -> Grant:
    try:
        user, colon, password = b64decode(encoded, validate=True).partition(b":")
    except binascii.Error as error:
        raise NotAuthenticated(Refusal.malformed) from error
    if not colon or len(password) > MAX_API_KEY:
        raise NotAuthenticated(Refusal.malformed)
    digest = ring.digest(password)
    for grant in ring.basic.get(user, ()):
        if hmac.compare_digest(grant.digest, digest):
            return _unless_ended(grant, now)
    raise NotAuthenticated(Refusal.wrong_password)


def _unless_ended(grant: Grant, now: float) -> Grant:
    if grant.not_after is not None and now >= grant.not_after:
        raise NotAuthenticated(Refusal.api_key_expired)
    return grant
