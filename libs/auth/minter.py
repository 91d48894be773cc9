"""Tokens for calls between our services: five minutes, role `service`, the caller's tenant.

And for the tools of one investigation: whoever asked for it, narrowed to looking at evidence while it runs.

Signed with the first key of the keys file that can sign, so rotating it needs no restart. Where no key can
sign, calls go without a credential and the peer's trusted networks decide.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from libs.auth.claims import Claims
from libs.auth.errors import AuthError
from libs.auth.keys import KeyRing
from libs.auth.permissions import Role
from libs.auth.principal import EVERY_NAMESPACE
from libs.auth.tokens import MAX_TOKEN

SERVICE_TOKEN_LIFE = timedelta(minutes=5)
RENEW_BEFORE = timedelta(minutes=1)
"""Longer than any call's deadline, so a token never ends under way."""

LONGEST_RUN = timedelta(hours=1)
"""A run's token lives no longer, whatever is left of the run: as long as the longest deadline we accept."""

_MAX_TENANTS = 1024


class NoSigningKey(AuthError):
    """The keys file holds no key that can sign (HS256 `key`, or a `private_key`) and is not past its end."""

    def __init__(self) -> None:
        super().__init__("no key in the keys file can sign: add an HS256 key or a private_key")


class NoRunToken(AuthError):
    """A token for this run would never be let in; the text says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"no token for this run: {reason}")


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
        return self._sign(subject, ttl, tenant=tenant, roles=_words(roles), namespaces=list(namespaces))

    def mint_for_run(
        self, run: str, *, caller: str, tenant: str, namespaces: Iterable[str], left: timedelta
    ) -> str:
        """A token for the tools a model may use in one run. It does less than the caller's own, never more.

        It carries the caller's name, tenant and namespaces, and its one permission is `view:context`; whoever
        may have something investigated holds that too. Access logs show the run beside the caller, and the
        caller's rate limit counts its requests. There is one clock's leeway after its end, as for every token.

        Args:
            run: the investigation's id.
            namespaces: what the caller may read, as globs; none at all is a token that reads nothing.
            left: what is left of the run; the token lives no longer, and never longer than `LONGEST_RUN`.

        Raises:
            NoSigningKey: there is nothing to sign with.
            NoRunToken: nothing is left of the run, or what the token would say is refused at every door (an id
                of another form, more namespaces than a token holds).
        """
        if left <= timedelta(0):
            raise NoRunToken("nothing is left of its time")
        said = {"tenant": tenant, "roles": _words([Role.run]), "namespaces": list(namespaces), "run": run}
        token = self._sign(caller, min(left, LONGEST_RUN), **said)
        if len(token) > MAX_TOKEN:
            raise NoRunToken(
                f"{len(said['namespaces'])} namespaces need {len(token)} bytes and a token has {MAX_TOKEN}; "
                "give the caller globs"
            )
        return token

    def _sign(self, subject: str, ttl: timedelta, **said: Any) -> str:
        ring, now = self._ring(), self._now()
        key = ring.signing_key(now) if ring else None
        if key is None:
            raise NoSigningKey
        times = {"iat": now, "nbf": now, "exp": now + ttl.total_seconds()}
        claims = {"iss": key.issuer, "aud": key.audience, "sub": subject, **said, **times}
        if "run" in said:
            _believable(claims)
        return key.sign({**claims, "jti": secrets.token_urlsafe(12)})


def _words(roles: Iterable[Role]) -> list[str]:
    return [role.value for role in roles]


def _believable(claims: dict[str, Any]) -> None:
    try:
        Claims.model_validate(claims)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NoRunToken(f"{where}: {first['msg']}") from None
