"""Whom browsers are let in for: origins whose pages may call, and host names that are answered to. Pure.

Origins are exact. `*` is no short way of writing either of them: it would let in everybody's pages, and take away what
keeps a name that an attacker owns from being pointed at us (DNS rebinding).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

STAR = "*"

_NAME = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?"
_IPV6 = r"\[[0-9a-f:.]{2,45}\]"
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://({_NAME}|{_IPV6})(?::(\d{{1,5}}))?")
_HOST = re.compile(rf"(?:\*\.)?{_NAME}|{_IPV6}")
_LEFT_OUT = {"http": 80, "https": 443}
"""Ports that browsers do not name in an origin."""


def origins(given: Sequence[str]) -> list[str]:
    """Each as a browser writes it: in lower case, its scheme's own port left out.

    Raises:
        ValueError: names the entry by its place, and the remedy; a value may hold a password and is not repeated.
    """
    return _each(given, _origin)


def hosts(given: Sequence[str]) -> list[str]:
    """Names, and `*.name` for all below one; in lower case. Raises as `origins`."""
    return _each(given, _host)


def _each(given: Sequence[str], read: Callable[[str], str]) -> list[str]:
    found = []
    for number, one in enumerate(given, 1):
        try:
            found.append(read(one.strip().lower()))
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}") from None
    return found


def _origin(text: str) -> str:
    if STAR in text:
        raise ValueError(
            "`*` would let in everybody's pages; name each origin, as in https://console.example"
        )
    read = _ORIGIN.fullmatch(text)
    port = int(read[3]) if read and read[3] else None
    if read is None or (port is not None and not 0 < port <= 65_535):
        raise ValueError(
            "want scheme://host or scheme://host:port and no path, as in https://console.example"
        )
    shown = "" if port is None or port == _LEFT_OUT.get(read[1]) else f":{port}"
    return f"{read[1]}://{read[2]}{shown}"


def _host(text: str) -> str:
    if text == STAR:
        raise ValueError(
            "`*` would answer to every name, an attacker's too; name each host, as in console.example, or all below"
            " one: *.apps.example"
        )
    if not _HOST.fullmatch(text):
        raise ValueError("want a name without scheme, port and path, as in console.example or *.apps.example")
    return text
