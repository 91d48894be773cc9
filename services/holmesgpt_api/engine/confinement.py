"""What the engine's processes may do to the machine they run on, kept by the kernel (Landlock).

For the day on which the code in them is not ours any more: a release of a library that was tampered with, or a way into
it through what a model or a log line says. Before HolmesGPT is imported the zygote gives up, for itself and all its children:
reading anything but programs, libraries, the system's configuration and what its environment names; writing anywhere but
in its home; executing; listening; signals to others. A child gives up, with its first run, every TCP connection but those
to the ports of its models, of the Context API, of proxies and of name servers.

What it does not do: tell hosts apart that listen at one port; bound UDP, by which names are looked up, and TCP's rarer ways
(MPTCP, fast open); bound the connections of the zygote and of children that have served nobody.
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
    "/var/lib/ca-certificates",  # where SUSE's /etc/ssl points to
    *("/dev/urandom", "/dev/random", "/dev/zero"),
)
MOVED = ("/etc/resolv.conf", "/etc/hosts", "/etc/localtime")
"""Often links out of /etc, and written anew where they point to."""

NO_PLACES = frozenset({"PATH", "HOME", "TMPDIR"})
"""Variables that name other things than a file to be read."""

PROCESSES = "/proc"
"""Read, and written for one thing: a child says that it is to be ended before others where memory runs out. The environment
of processes outside is kept from it by another rule, since Landlock allows no tracing of them; only who has CAP_PERFMON or
CAP_SYS_ADMIN, as root on a bare machine, may read it all the same."""

TRIED = 7
"""The version of Landlock that this was tried with. Rights that later ones add are left alone: what a run would miss of
them nobody has seen."""

NAMES, HTTPS, OLLAMA = 53, 443, 11434
DEFAULTS = {"http": 80, "https": HTTPS, "socks4": 1080, "socks5": 1080, "socks5h": 1080}
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
    abi, why = (
        supported(),
        "this system has no Landlock (Linux 5.13 or later, with `landlock` among its security modules)",
    )
    if abi:
        from landlockpy import LandlockError

        try:
            _give_up(environment)
        except (
            LandlockError
        ) as error:  # a seccomp profile that refuses the calls, or too many sandboxes around this one
            abi, why = 0, f"the system refuses to confine a process: {error}"
    if not abi and wanted.mode == "required":
        raise Unconfined(why)
    return abi


def _give_up(environment: Mapping[str, str]) -> None:
    """All of it or, where it raises, nothing."""
    from landlockpy import AccessFS, AccessNet, Ruleset, Scope, fs_for_abi

    for name in OURS:
        # Where the installation's directory cannot be listed any more they would not be found.
        importlib.import_module(name)
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
    ours = [_root() / name for name in OURS]
    moved = [place for one in MOVED for place in _places_of(Path(one))]
    for path in dict.fromkeys(
        [*map(Path, SYSTEM), *moved, *ours, *named(environment), *map(Path, filter(None, python))]
    ):
        if path != _root() and _is_there(path):
            yield path


def _root() -> Path:
    """The installation's directory."""
    return Path(importlib.import_module(__package__.partition(".")[0]).__path__[0]).parent


def named(environment: Mapping[str, str]) -> Iterator[Path]:
    """Directories of the files that the environment names, which are replaced there now and then: certificates, and
    credentials that an operator has handed on (`HOLMESGPT_ENGINE_ENVIRONMENT`)."""
    for name, value in sorted(environment.items()):
        if name == "SSL_CERT_DIR":
            yield from (Path(one) for one in value.split(os.pathsep) if one)
        elif name not in NO_PLACES and value.startswith("/"):
            yield from _places_of(Path(value))


def _places_of(file: Path) -> list[Path]:
    """The directory of a file, and that of what it links to; the file alone where the directory holds more than such files."""
    try:
        if not file.is_file():
            return []
        ends = dict.fromkeys((file, file.resolve()))
    except OSError:  # not ours to look at, or no path at all
        return []
    return [one if one.parent in (Path("/"), _root()) else one.parent for one in ends]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def ports(
    models: list[ModelAccess],
    context: ContextAccess | None,
    more: list[int],
    environment: Mapping[str, str] = os.environ,
) -> frozenset[int]:
    """What a child's runs have to connect to. They are of one reach: their models and their Context API stay the same."""
    found: set[int | None] = {NAMES, *more}
    for model in models:
        found.add(_port(model.api_base) if model.api_base else HTTPS)
        if not model.api_base and model.model.startswith("ollama"):
            found.add(OLLAMA)
    if context is not None:
        found.add(_port(context.url))
    for name, value in environment.items():
        if name.lower() in PROXIES:
            found.add(_port(value if "://" in value else f"http://{value}"))
        elif value.startswith(("http://", "https://")):
            found.add(_port(value))
    return frozenset(one for one in found if one is not None)


def _port(url: str) -> int | None:
    """None: none can be read from it, so that nobody will get a connection by it either."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return port or DEFAULTS.get(parts.scheme, HTTPS)
