"""Reads a Corefile, CoreDNS's configuration, as far as cluster DNS is judged by it.

Decides which blocks and directives there are and whether the braces fit; what a fault means is the analyzer's business.

Source: https://coredns.io/manual/configuration/ and https://coredns.io/plugins/ (the plugins a release is built with).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BUILT_IN = (
    "acl any auto autopath azure bind bufsize cache cancel chaos clouddns debug dns64 dnssec dnstap erratic errors etcd file "
    "forward geoip grpc header health hosts import k8s_external kubernetes loadbalance local log loop metadata minimal "
    "multisocket nomad nsid on pprof prometheus quic ready reload rewrite root route53 secondary sign template timeouts tls "
    "trace transfer tsig view whoami proxy federation"
)
PLUGINS = frozenset(_BUILT_IN.split())
"""Those built in, two of the past among them; a build of one's own may know more."""


@dataclass(frozen=True, slots=True)
class Directive:
    line: int
    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corefile:
    """A configuration taken apart."""

    zones: tuple[str, ...]
    directives: tuple[Directive, ...]
    fault: str = ""
    """Why no CoreDNS can read it; empty when the braces fit."""

    def all(self, name: str) -> list[Directive]:
        return [d for d in self.directives if d.name == name]

    @property
    def strangers(self) -> list[Directive]:
        """Directives that name no plugin of an ordinary build."""
        return [d for d in self.directives if d.name not in PLUGINS]


def read(text: str) -> Corefile:
    """Take a Corefile apart; never fails."""
    zones: list[str] = []
    directives: list[Directive] = []
    opened: list[int] = []
    for number, raw in enumerate(text.splitlines()[:2000], 1):
        words = re.sub(r"(?:^|\s)#.*", "", raw).split()
        if not words:
            continue
        if words == ["}"]:
            if not opened:
                return Corefile(
                    tuple(zones), tuple(directives), f"line {number} closes a block that none opened"
                )
            opened.pop()
            continue
        opens = words[-1] == "{" or (words[-1].endswith("{") and not words[-1].endswith("{{"))
        kept = [w for w in (*words[:-1], words[-1].rstrip("{")) if w] if opens else words
        if not opened:
            zones += [w.rstrip(",") for w in kept]
        elif len(opened) == 1 and kept:
            directives.append(Directive(number, kept[0], tuple(kept[1:])))
        if opens:
            opened.append(number)
    fault = f"the block opened in line {opened[-1]} is never closed" if opened else ""
    return Corefile(tuple(zones), tuple(directives), fault)
