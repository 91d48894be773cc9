"""Claims: what a token with a good signature must say before we believe it. Pure; the clock is a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from libs.auth.errors import NotAuthenticated, Refusal
from libs.auth.permissions import Role, known_roles
from libs.auth.principal import DEFAULT_TENANT, NamespaceGlob, Principal, RunId, Tenant, principal_for
from libs.auth.tokens import TokenKey

LEEWAY_S = 30.0
"""How far two clocks may differ. A guess: NTP keeps nodes within a second, a paused VM does not."""

MOST_NAMESPACES = 256

# NaN would compare false with every clock, so a token with `exp: NaN` would never end.
Instant = Annotated[float, Field(allow_inf_nan=False)]


class Claims(BaseModel):
    """What we read of a token; other claims are the issuer's own business."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, hide_input_in_errors=True)

    iss: str
    aud: str | list[str]
    sub: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    exp: Instant
    nbf: Instant | None = None
    jti: str | None = None
    tenant: Tenant = DEFAULT_TENANT
    roles: list[str] = Field(default_factory=list, max_length=64)
    namespaces: list[NamespaceGlob] | None = Field(default=None, max_length=MOST_NAMESPACES)
    run: RunId | None = None


def believed(raw: Mapping[str, Any], *, key: TokenKey, revoked: frozenset[str], now: float) -> Claims:
    """The claims, once issuer, audience, times and revocation allow it.

    Raises:
        NotAuthenticated: with the first reason that speaks against them.
    """
    try:
        claims = Claims.model_validate(raw)
    except ValidationError:
        raise NotAuthenticated(Refusal.bad_claims) from None
    if refusal := _against(claims, key, revoked, now):
        raise NotAuthenticated(refusal)
    return claims


def end_of(claims: Claims, key: TokenKey) -> float:
    """POSIX seconds at which these claims stop being believed: the token's end or its key's, leeway included."""
    end = claims.exp + LEEWAY_S
    return end if key.not_after is None else min(end, key.not_after)


def principal_of(claims: Claims, key: TokenKey) -> Principal:
    """Who they speak of. A token made for a run never does more than a run may, whatever roles stand in it."""
    roles = known_roles(claims.roles)
    return principal_for(
        claims.sub,
        tenant=claims.tenant,
        roles=roles if claims.run is None else roles & {Role.run},
        namespaces=claims.namespaces if claims.run is None else claims.namespaces or (),
        run=claims.run,
        method="token",
        credential=f"token:{key.kid}",
    )


def _against(claims: Claims, key: TokenKey, revoked: frozenset[str], now: float) -> Refusal | None:
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if claims.iss != key.issuer:
        return Refusal.wrong_issuer
    if key.audience not in audiences:
        return Refusal.wrong_audience
    if key.not_after is not None and now >= key.not_after:
        return Refusal.key_retired
    if now >= claims.exp + LEEWAY_S:
        return Refusal.expired
    if claims.nbf is not None and now < claims.nbf - LEEWAY_S:
        return Refusal.not_yet_valid
    if claims.jti is not None and claims.jti in revoked:
        return Refusal.revoked
    return None
