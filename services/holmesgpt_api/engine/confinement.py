"""What the engine's processes may do to the machine they run on, kept by the kernel (Landlock).

For the day on which the code in them is not ours any more: a release of a library that was tampered with, or a way into
it through what a model or a log line says. Before HolmesGPT is imported the zygote gives up, for itself and all its children:
reading anything but programs, libraries, the system's configuration and what its environment names; writing anywhere but
in its home; executing; listening; signals to others. A child gives up, with its first run, every TCP connection but those
to the ports of its models, of the Context API, of proxies and of name servers.

What it does not do: tell hosts apart that listen at one port, and bound UDP, by which names are looked up.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from services.holmesgpt_api.engine.messages import Confinement, ContextAccess, ModelAccess

OURS = ("libs", "services")
"""Of the installation's directory the engine reads these; beside them lie an operator's secrets."""

SYSTEM = (
    *("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc", "/sys"),
    # Where /etc/resolv.conf may point to.
    *("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager"),
    *("/dev/urandom", "/dev/random", "/dev/zero"),
)
PROCESSES = "/proc"
"""Read, and written for one thing: a child says that it is to be ended before others where memory runs out. The environment
of processes outside is kept from it by another rule, since Landlock allows no tracing of them; only who has CAP_PERFMON or
CAP_SYS_ADMIN, as root on a bare machine, may read it all the same."""

TRIED = 7
"""The version of Landlock that this was tried with. Rights that later ones add are left alone: what a run would miss of
them nobody has seen."""

NAMES, HTTP, HTTPS, OLLAMA = 53, 80, 443, 11434
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Unconfined(Exception):
    """The kernel does not keep the engine in, and the operator wants it to."""


def confine(wanted: Confinement, environment: Mapping[str, str] = os.environ) -> int:
    """Confine this process, which has one thread, and all that it forks.

    Returns:
        The version of the kernel's Landlock; 0: nothing is confined.

    Raises:
        Unconfined: `required`, and the kernel has none.
    """
    if wanted.mode == "off":
        return 0
    abi = supported()
    if not abi:
        if wanted.mode == "required":
            raise Unconfined(
                "this system has no Landlock (Linux 5.13 or later, with `landlock` among its security modules)"
            )
        return 0
    from landlockpy import AccessFS, AccessNet, Ruleset, Scope, fs_for_abi

    for name in OURS:
        importlib.import_module(
            name
        )  # where the installation's directory cannot be listed they would not be found
    rights_tried = fs_for_abi(TRIED)
    read = AccessFS.READ_FILE | AccessFS.READ_DIR
    with Ruleset(
        handled_fs=rights_tried,
        handled_net=AccessNet.BIND_TCP,
        scoped=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET,
    ) as rules:
        for path in read_from(environment):
            # Of what is no directory the kernel refuses rights that only directories have.
            rules.allow_path(path, read if path.is_dir() else AccessFS.READ_FILE)
        for place, rights in (
            (PROCESSES, read | AccessFS.WRITE_FILE | AccessFS.TRUNCATE),
            ("/dev/null", AccessFS.READ_FILE | AccessFS.WRITE_FILE | AccessFS.TRUNCATE),
            (environment["HOME"], rights_tried & ~AccessFS.EXECUTE),
        ):
            rules.allow_path(place, rights)
        rules.restrict()
    return abi


def narrow(ports: frozenset[int]) -> None:
    """From now on this thread, and those it begins, connect to these ports alone. Where the kernel can (Linux 6.7)."""
    from landlockpy import AccessFS, AccessNet, Ruleset

    with Ruleset(handled_fs=AccessFS.NONE, handled_net=AccessNet.CONNECT_TCP) as rules:
        for port in sorted(ports):
            rules.allow_port(port, AccessNet.CONNECT_TCP)
        rules.restrict()


def narrows(abi: int) -> bool:
    return abi >= 4


def supported() -> int:
    """The version of the kernel's Landlock; 0: none."""
    if sys.platform != "linux":
        return 0
    import landlockpy

    try:
        return int(landlockpy.abi_version())
    except landlockpy.LandlockError:
        return 0


def read_from(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where the engine may read, of what there is."""
    python = (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path)
    root = Path(importlib.import_module(__package__.partition(".")[0]).__path__[0]).parent
    ours = [root / name for name in OURS]
    for path in dict.fromkeys(
        [*map(Path, SYSTEM), *ours, *named(environment), *map(Path, filter(None, python))]
    ):
        if path != root and path.exists():
            yield path


def named(environment: Mapping[str, str]) -> Iterator[Path]:
    """Directories of the files that the environment names, which are replaced there now and then: certificates, and
    credentials that an operator has handed on (`HOLMESGPT_ENGINE_ENVIRONMENT`)."""
    for name, value in sorted(environment.items()):
        path = Path(value)
        if path.is_absolute() and path.is_file() and path.parent != Path("/"):
            yield path.parent
        elif name == "SSL_CERT_DIR":
            yield from (Path(one) for one in value.split(os.pathsep) if one)


def ports(
    models: list[ModelAccess],
    context: ContextAccess | None,
    more: list[int],
    environment: Mapping[str, str] = os.environ,
) -> frozenset[int]:
    """What a child's runs have to connect to. They are of one reach: their models and their Context API stay the same."""
    found = {NAMES, *more}
    for model in models:
        found |= {_port(model.api_base)} if model.api_base else {HTTPS}
        if not model.api_base and model.model.startswith("ollama"):
            found.add(OLLAMA)
    if context is not None:
        found.add(_port(context.url))
    for name in PROXIES:
        for spelled in (name, name.upper()):
            if proxy := environment.get(spelled):
                found.add(_port(proxy if "://" in proxy else f"http://{proxy}"))
    return frozenset(found)


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (HTTP if parts.scheme == "http" else HTTPS)
