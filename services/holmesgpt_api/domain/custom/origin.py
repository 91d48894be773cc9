"""Origins: to which hosts a toolset may speak, and to which addresses nothing ever may. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.holmesgpt_api.domain.custom.errors import BadToolset

_COMPATIBLE = ipaddress.IPv6Network("::/96")
"""IPv4 addresses written as IPv6 ones in a way nobody needs any more; ::1 lies among them."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")

NEVER = tuple(
    ipaddress.ip_network(one)
    for one in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local: the clouds' metadata services, and node-local ones
        "100.100.100.200/32",  # Alibaba Cloud's metadata service
        "168.63.129.16/32",  # Azure's
        "192.0.0.192/32",  # Oracle Cloud's
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fd00:ec2::254/128",  # AWS
        "fd20:ce::254/128",  # Google Cloud
        "ff00::/8",
        "2002::/16",  # 6to4, Teredo and NAT64 carry an IPv4 address that could be any of these
        "2001::/32",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
    )
)


@dataclass(frozen=True, slots=True)
class Origin:
    scheme: str
    host: str
    """A name in lower case, or an address as `ipaddress` writes it."""
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """As it stands in a URL and in the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        found = address(self.host)
        return self.host == "localhost" or (found is not None and found.is_loopback)


_PORTS = {"http": 80, "https": 443}


def origin(text: str) -> Origin:
    """Scheme, host and port and nothing else.

    Raises:
        BadToolset: it is none, or could be read in two ways.
    """
    said = f"origin {text[:100]!r}"
    if not text.isascii() or re.search(r"[\s\\%@?#\x00-\x20]", text):
        raise BadToolset(f"{said}: want scheme://host[:port] in plain characters and nothing else")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadToolset(f"{said}: no URL") from None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _PORTS or parts.path not in ("", "/") or parts.netloc.endswith(":"):
        raise BadToolset(f"{said}: want http(s)://host[:port] and nothing else")
    return Origin(scheme, _host(host, said), port or _PORTS[scheme])


def _host(host: str, said: str) -> str:
    if (found := address(host)) is not None:
        if refused(found):
            raise BadToolset(f"{said}: nothing may be asked of this address")
        return str(found)
    # `2130706433`, `0x7f.1` and `127.1` are addresses too, to those who resolve them.
    if not _HOST.fullmatch(host) or _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise BadToolset(f"{said}: no host name")
    return host


def address(host: str) -> Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    # One that is mapped leads to the same place, and nothing about it may be missed for how it is written.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def refused(found: Address) -> bool:
    """Whether nothing may be asked of this address, whoever listed it and whatever name led there."""
    if isinstance(found, ipaddress.IPv6Address) and (
        found.scope_id is not None or (found in _COMPATIBLE and not found.is_loopback)
    ):
        return True
    return any(found.version == one.version and found in one for one in NEVER)


def may_be(found: Address, wanted: Origin) -> bool:
    """Whether a name may lead to this address. Loopback only where the origin says so itself: a name that comes to
    mean this machine is somebody's trick."""
    return not refused(found) and (not found.is_loopback or wanted.is_loopback)
