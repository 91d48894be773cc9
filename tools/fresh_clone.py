"""Tries the two commands as a new user would: a fresh clone, an empty HOME, as root and as an ordinary user.

    python3 tools/fresh_clone.py [--tests] [--user NAME] [--output FOLDER]

Prints how long each took and fails when a command failed, a process was left running, or the mode of HOME or of
one of its parents changed. Needs nothing but Python, git and make; `--tests` runs `make test` as well, and
`--output` keeps what the commands said (which tests were skipped, and why).
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORDINARY = "nobody"
TIMEOUT_S = 3600
KEPT = (
    "PATH",
    "LANG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "GOPROXY",
    "GOSUMDB",
    "CI",
)
"""Of the caller's environment, what a machine's administrator would have set for every user."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who tries the project."""

    name: str
    uid: int
    gid: int


def visitors() -> list[Visitor]:
    me = Visitor(pwd.getpwuid(os.getuid()).pw_name, os.getuid(), os.getgid())
    if me.uid != 0:
        return [me]
    other = pwd.getpwnam(ORDINARY)
    return [me, Visitor(other.pw_name, other.pw_uid, other.pw_gid)]


def environment(home: Path, visitor: Visitor) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    # Programs below another user's closed home are not there for this one.
    folders = [
        f
        for f in kept.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
        if visitor.uid == 0 or not f.startswith("/root")
    ]
    return {**kept, "PATH": ":".join(folders), "HOME": str(home), "USER": visitor.name}


def modes(folder: Path) -> dict[str, int]:
    return {str(place): place.stat().st_mode for place in (folder, *folder.parents)}


def left_running(clone: Path) -> list[str]:
    """Processes whose working folder or command line lies in the clone."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((process / "cwd").readlink())
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(clone) in words or place.startswith(str(clone))):
            found.append(f"{process.name} {words[:100]}")
    return found


def attempt(visitor: Visitor, commands: list[list[str]], output: Path | None) -> list[str]:
    """Run the commands in a clone of their own; returns what went wrong."""
    faults = []
    with tempfile.TemporaryDirectory(prefix="kubernaut-fresh-") as place:
        base = Path(place)
        home, clone = base / "home", base / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
        home.mkdir(mode=0o700)
        for path in (base, home, clone, *clone.rglob("*")):
            os.chown(path, visitor.uid, visitor.gid, follow_symlinks=False)
        before = modes(home)
        for number, command in enumerate(commands, 1):
            began = time.monotonic()
            done = subprocess.run(
                command,
                cwd=clone,
                env=environment(home, visitor),
                user=visitor.uid if os.getuid() == 0 else None,
                group=visitor.gid if os.getuid() == 0 else None,
                extra_groups=[] if os.getuid() == 0 else None,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            took = time.monotonic() - began
            print(
                f"{visitor.name:8} {' '.join(command):40} exit {done.returncode}  {took:7.1f} s", flush=True
            )
            if output is not None:
                output.mkdir(parents=True, exist_ok=True)
                (output / f"{visitor.name}-{number}-{command[1]}.txt").write_text(done.stdout)
            if done.returncode:
                faults.append(
                    f"{visitor.name}: {' '.join(command)} exited {done.returncode}:\n{done.stdout[-6000:]}"
                )
        faults += [f"{visitor.name}: left running: {process}" for process in left_running(clone)]
        if modes(home) != before:
            faults.append(
                f"{visitor.name}: the mode of HOME or of a parent changed: {before} -> {modes(home)}"
            )
        shutil.rmtree(clone, ignore_errors=True)
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tests", action="store_true", help="run `make test` in the clone as well")
    parser.add_argument("--user", help="try as this one of the users only")
    parser.add_argument("--output", type=Path, help="keep what each command said in this folder")
    chosen = parser.parse_args()
    commands = [["make", "run", "ARGS=--once"], ["make", "run", "ARGS=--once"]]
    if chosen.tests:
        commands.append(["make", "test"])
    faults = [
        fault
        for visitor in visitors()
        if chosen.user in (None, visitor.name)
        for fault in attempt(visitor, commands, chosen.output)
    ]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
