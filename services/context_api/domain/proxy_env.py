"""Which calls a program sends through an outbound proxy, by the variables that most HTTP clients read.

Decides whether a host is excepted by a NO_PROXY list; where the variables come from is the caller's to read.

Rests on: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config and https://curl.se/docs/manpage.html#--noproxy;
where clients differ (a bare domain, `*.`), what any of them excepts counts as excepted.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
EXCEPTIONS = "NO_PROXY"


def excepted(host: str, port: int | None, exceptions: str) -> bool:
    """Whether a client that honours this list asks the host itself, without a proxy."""
    host = host.lower().rstrip(".")
    if host == "localhost" or _address_in(host, "127.0.0.0/8"):
        return True
    return any(_matches(host, port, entry) for entry in re.split(r"[,\s|]+", exceptions.lower()) if entry)


def _matches(host: str, port: int | None, entry: str) -> bool:
    if entry == "*":
        return True
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdigit() and ":" not in name:
        if port is None or int(wanted) != port:
            return False
        entry = name
    if _address_in(host, entry):
        return True
    entry = entry.removeprefix("*").strip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))


def _address_in(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
