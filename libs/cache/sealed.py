"""Believe nothing that comes out of a shared store before it has proved itself.

Whoever else writes into a Redis (another installation, an older version, an operator's mistake, an attacker without the
secret) can make us forget and cannot make us tell anything: a value is ours when its digest, keyed with our secret,
fits it and the key it was asked for.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from hashlib import blake2b

from libs.cache.ports import Cache, OnFault

VERSION = b"KN\x01"
"""Begins every value. Another number is another layout, and is not read."""

_DIGEST = 16
_HEAD = len(VERSION) + _DIGEST


class Sealed:
    """Fulfils `libs.cache.ports.Cache` over another one. Truncated, foreign and exchanged values are missing."""

    def __init__(self, inner: Cache, secret: bytes, *, largest: int, on_fault: OnFault) -> None:
        """Args:
        secret: shared by all processes that are to believe each other; up to 64 bytes.
        largest: bytes of a value; a larger one is not kept.
        on_fault: told `not-ours` and `too-large`.
        """
        self._inner, self._secret = inner, secret
        self._largest, self._on_fault = largest, on_fault

    async def get(self, key: str) -> bytes | None:
        kept = await self._inner.get(self._name(key))
        if kept is None:
            return None
        value = memoryview(kept)[_HEAD:]
        if not hmac.compare_digest(kept[:_HEAD], self._head(key, value)):
            self._on_fault("not-ours")
            return None
        return bytes(value)

    async def set(self, key: str, value: bytes, ttl: timedelta) -> None:
        if len(value) > self._largest:
            self._on_fault("too-large")
            await self._inner.delete(self._name(key))  # an older one must not outlive it
            return
        await self._inner.set(self._name(key), self._head(key, value) + value, ttl)

    async def delete(self, key: str) -> None:
        await self._inner.delete(self._name(key))

    def _name(self, key: str) -> str:
        return blake2b(_utf8(key), digest_size=20, key=self._secret, person=b"kn-name").hexdigest()

    def _head(self, key: str, value: bytes | memoryview) -> bytes:
        name = _utf8(key)
        seal = blake2b(b"%d:" % len(name), digest_size=_DIGEST, key=self._secret, person=b"kn-value")
        seal.update(name)
        seal.update(value)
        return VERSION + seal.digest()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
