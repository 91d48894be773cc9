"""Which Host headers are answered to. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NAME = re.compile(r"([a-z0-9_.-]{1,253})(?::\d{0,5})?")
_IPV6 = re.compile(r"\[[0-9a-f:.]{2,45}\](?::\d{0,5})?")
_REMEMBERED = 1_024
"""Host headers kept with their verdict; an attacker who varies them only empties it."""


class AllowedHosts:
    """Names and `*.name` patterns. IP addresses and names without a dot always pass: rebinding needs neither."""

    def __init__(self, patterns: Sequence[str]) -> None:
        lowered = [pattern.lower() for pattern in patterns]
        self._names = frozenset(p for p in lowered if not p.startswith("*."))
        self._endings = tuple(p[1:] for p in lowered if p.startswith("*."))
        self._seen: dict[bytes, bool] = {}

    def allows(self, header: bytes | None) -> bool:
        """Whether a Host header, port included, is answered to. A missing one is not (RFC 9112, 3.2)."""
        if header is None:
            return False
        verdict = self._seen.get(header)
        if verdict is None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            verdict = self._seen[header] = self._judge(header)
        return verdict

    def _judge(self, header: bytes) -> bool:
        try:
            text = header.decode("ascii").lower()
        except UnicodeDecodeError:
            return False
        if _IPV6.fullmatch(text):
            return True
        found = _NAME.fullmatch(text)
        if found is None:
            return False
        name = found[1]
        bare = "." not in name
        address = all(part.isdecimal() for part in name.split("."))
        return bare or address or name in self._names or name.endswith(self._endings)
