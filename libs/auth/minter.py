"""Tokens for calls between our services: five minutes, role `service`, the caller's tenant.

Signed with the first key of the keys file that can sign, so rotating it needs no restart. Where no key can
sign, calls go without a credential and the peer's trusted networks decide.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from libs.auth.errors import AuthError
from libs.auth.keys import KeyRing
from libs.auth.permissions import Role
from libs.auth.principal import EVERY_NAMESPACE

SERVICE_TOKEN_LIFE = timedelta(minutes=5)
RENEW_BEFORE = timedelta(minutes=1)
"""Longer than any call's deadline, so a token never ends under way."""

_MAX_TENANTS = 1024


class NoSigningKey(AuthError):
    """The keys file holds no key that can sign (HS256 `key`, or a `private_key`) and is not past its end."""

    def __init__(self) -> None:
        super().__init__("no key in the keys file can sign: add an HS256 key or a private_key")


class TokenMinter:
    """Makes tokens; called with a tenant, it is the token source that libs.clients takes."""

    def __init__(
        self,
        ring: Callable[[], KeyRing | None],
        *,
        service: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`ring` is asked each time, so that a changed keys file counts: `lambda: authenticator.ring`."""
        self._ring, self._service, self._now = ring, service, now
        self._held: dict[str, tuple[str, float, KeyRing]] = {}

    def __call__(self, tenant: str) -> str | None:
        """A service token for this tenant, the same one until it nears its end; None: no key can sign."""
        ring, now = self._ring(), self._now()
        if ring is None or ring.signing_key(now) is None:
            return None
        held = self._held.get(tenant)
        if held is not None and now < held[1] and held[2] is ring:
            return held[0]
        token = self.mint(self._service, tenant=tenant, roles=[Role.service])
        if len(self._held) >= _MAX_TENANTS:
            self._held.clear()
        renew_at = now + (SERVICE_TOKEN_LIFE - RENEW_BEFORE).total_seconds()
        self._held[tenant] = (token, renew_at, ring)
        return token

    def mint(
        self,
        subject: str,
        *,
        tenant: str,
        roles: Iterable[Role],
        ttl: timedelta = SERVICE_TOKEN_LIFE,
        namespaces: Iterable[str] = (EVERY_NAMESPACE,),
    ) -> str:
        """A fresh token.

        Raises:
            NoSigningKey: there is nothing to sign with.
        """
        ring, now = self._ring(), self._now()
        key = ring.signing_key(now) if ring else None
        if key is None:
            raise NoSigningKey
        return key.sign(
            {
                "iss": key.issuer,
                "aud": key.audience,
                "sub": subject,
                "tenant": tenant,
                "roles": [role.value for role in roles],
                "namespaces": list(namespaces),
                "iat": now,
                "nbf": now,
                "exp": now + ttl.total_seconds(),
                "jti": secrets.token_urlsafe(12),
            }
        )
