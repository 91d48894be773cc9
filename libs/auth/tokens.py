"""JOSE: sign and check compact tokens. The only door to python-jose.

The algorithm is the key record's, never the token header's; the header is read for `kid` alone, so `jku`,
`x5u`, `jwk` and `x5c` lead nowhere. Signatures are python-jose's work on keys parsed once (parsing a PEM costs
35 µs each time: measured); claims are ours, because its clock cannot be injected. python-jose installs
`ecdsa`, whose timing leak stays unfixed; the cryptography backend never imports it, and a test holds that.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from jose import jwk, jws
from jose.backends.base import Key
from jose.exceptions import JOSEError

from libs.auth.errors import NotAuthenticated, Refusal

Algorithm = Literal["HS256", "RS256", "ES256"]
PublicKey = RSAPublicKey | EllipticCurvePublicKey
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey

KID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_TOKEN = 8192
"""Bytes. uvicorn's own limit for all headers together is 64 KiB; ours are about 400."""

_SEGMENT = re.compile(rb"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One key record, ready for use.

    Attributes:
        not_after: POSIX seconds after which neither signing nor checking uses this key; None: no end.
    """

    kid: str
    algorithm: Algorithm
    issuer: str
    audience: str
    not_after: float | None
    _check: Key = field(repr=False)
    _sign: Key | None = field(repr=False)

    @property
    def can_sign(self) -> bool:
        return self._sign is not None

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A compact token over these claims; the caller has checked `can_sign`."""
        return str(jws.sign(dict(claims), self._sign, headers={"kid": self.kid}, algorithm=self.algorithm))

    def verified_claims(self, token: bytes) -> dict[str, Any]:
        """The claims, once the signature holds; nothing about time, issuer or audience is checked here.

        Raises:
            NotAuthenticated: `bad-signature` or `bad-claims`.
        """
        try:
            payload = jws.verify(token, self._check, algorithms=[self.algorithm])
        except JOSEError as error:
            raise NotAuthenticated(Refusal.bad_signature) from error
        try:
            claims = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise NotAuthenticated(Refusal.bad_claims) from error
        if not isinstance(claims, dict):
            raise NotAuthenticated(Refusal.bad_claims)
        return claims


def shared_key(kid: str, secret: bytes, *, issuer: str, audience: str, not_after: float | None) -> TokenKey:
    """A key both sides hold (HS256)."""
    key = jwk.construct(secret, "HS256")
    return TokenKey(kid, "HS256", issuer, audience, not_after, key, key)


def paired_key(
    kid: str,
    algorithm: Literal["RS256", "ES256"],
    public: PublicKey,
    private: PrivateKey | None,
    *,
    issuer: str,
    audience: str,
    not_after: float | None,
) -> TokenKey:
    """A public key to check with and, where we issue tokens ourselves, its private half."""
    sign = None if private is None else jwk.construct(private, algorithm)
    return TokenKey(kid, algorithm, issuer, audience, not_after, jwk.construct(public, algorithm), sign)


def key_for(token: bytes, keys: Mapping[str, TokenKey]) -> TokenKey:
    """Choose the record that must check this token, by the header's `kid`.

    Raises:
        NotAuthenticated: the token has no readable header, names no key of ours, or claims another algorithm
            than that key's record.
    """
    header = _header(token)
    kid = header.get("kid")
    if not isinstance(kid, str) or KID.fullmatch(kid) is None:
        raise NotAuthenticated(Refusal.unknown_kid)
    key = keys.get(kid)
    if key is None:
        raise NotAuthenticated(Refusal.unknown_kid)
    if header.get("alg") != key.algorithm:
        raise NotAuthenticated(Refusal.wrong_algorithm)
    return key


def _header(token: bytes) -> dict[str, Any]:
    segments = token.split(b".")
    if len(token) > MAX_TOKEN or len(segments) != 3 or not all(_SEGMENT.fullmatch(part) for part in segments):
        raise NotAuthenticated(Refusal.malformed)
    try:
        header = json.loads(urlsafe_b64decode(segments[0] + b"=="))
    except (ValueError, RecursionError) as error:
        raise NotAuthenticated(Refusal.malformed) from error
    # `crit` names extensions that must be understood (RFC 7515, 4.1.11). We understand none.
    if not isinstance(header, dict) or "crit" in header:
        raise NotAuthenticated(Refusal.malformed)
    return header
