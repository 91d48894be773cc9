"""What was found on this machine. Values only: `gather` finds them, `checks` says what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interpreter:
    path: str
    version: tuple[int, int, int]
    can_install: bool
    """It has pip, or can make an environment that has it."""


@dataclass(frozen=True)
class Port:
    service: str
    setting: str
    """The variable that moves it."""
    number: int | None
    """None: the variable holds no port."""
    given: str = ""
    """What the variable holds, then."""
    holder: str | None = None
    """Who listens there; None: nobody."""
    is_api: bool = True


@dataclass(frozen=True)
class Environment:
    """One of the repository's Python environments: `absent`, `broken`, `stale` or `current`."""

    state: str = "absent"


@dataclass(frozen=True)
class Postgres:
    """What the embedded PostgreSQL would meet."""

    given_url: bool = False
    """DATABASE_URL is set: the embedded one is not used."""
    wheel_exists: bool = True
    """The package has binaries for this system, processor and C library."""
    platform: str = ""
    as_root: bool = False
    system_user: str | None = None
    """Whom it runs as, where we are root."""
    folder: str = ""
    obstacle: str = ""
    """Why nothing can be written there."""
    version: str = ""
    """What the installed server says of itself."""
    trouble: str = ""
    """Why the installed server cannot be started."""


@dataclass(frozen=True)
class Facts:
    """Everything. The defaults are those of a machine that has nothing."""

    interpreters: Sequence[Interpreter] = ()
    uv: str | None = None
    run: Environment = field(default_factory=Environment)
    test: Environment = field(default_factory=Environment)
    engine: bool = False
    postgres: Postgres = field(default_factory=Postgres)
    ports: Sequence[Port] = ()
    running: int | None = None
    """Process id of a `kubernaut run` of this repository."""
    programs: Mapping[str, str] = field(default_factory=dict)
    """Name -> path, of what is installed."""
    can_apt: bool = False
    root: bool = False
    go: str | None = None
    cache: str = ""
    built: Sequence[str] = ()
    """Programs that lie, built, in the cache folder."""
    disk_free: int = 0
    """Bytes where the repository lies."""
    memory_free: int | None = None
    """Bytes that can be had without swapping; None: it cannot be told here."""
    model_settings: Sequence[str] = ()
    """Names of the variables that choose a model. Never their values: some are secrets."""
    kubeconfig: str | None = None
    kubeconfig_missing: str | None = None
    """Named by KUBECONFIG, and not there."""
