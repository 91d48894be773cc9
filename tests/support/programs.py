"""Find the programs from outside Python that some tests need."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.testbed.programs import find

TESTBED = "testbed"
"""The name under which a test needs the whole test bed: `@pytest.mark.needs("testbed")`."""

# Debian keeps daemons where an ordinary user's PATH does not look.
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


# Another build of a program than the one on PATH, for a second run of the same tests (`make e2e-current`).
_CHOSEN = {"prometheus": "KUBERNAUT_PROMETHEUS", "prometheus-alertmanager": "KUBERNAUT_ALERTMANAGER"}

ENVIRONMENTS = {"holmes-engine": Path(__file__).resolve().parents[2] / ".venv-holmes"}
"""Environments of our own beside the tests' one; made by `make engine`, whole when its mark is there."""


LANDLOCK = "landlock"
"""The name under which a test needs a kernel that can keep a process in, down to the ports it connects to."""


def has_landlock() -> bool:
    """By the call that tells its version; the fourth one brought ports."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    return sys.platform == "linux" and int(syscall(_CREATE_RULESET, None, 0, 1)) >= 4


_CREATE_RULESET = 444


def program(name: str) -> str | None:
    """Where the program is; None: nowhere, or not where an operator says it is."""
    if name in ENVIRONMENTS:
        python = ENVIRONMENTS[name] / "bin" / "python"
        return str(python) if (ENVIRONMENTS[name] / ".done").is_file() else None
    if chosen := os.environ.get(_CHOSEN.get(name, "")):
        return shutil.which(chosen)
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")


def require(names: list[str], *, in_ci: bool) -> None:
    """Skip the test by naming what is missing; under CI a missing program is a failure, not a skip."""
    missing = [name for name in names if name not in (TESTBED, LANDLOCK) and program(name) is None]
    reasons = [f"needs {', '.join(missing)}, which is not installed"] if missing else []
    if LANDLOCK in names and not has_landlock():
        reasons.append("needs Landlock of Linux 6.7 or later")
    if TESTBED in names and (reason := find().reason()):
        reasons.append(reason)
    if not reasons:
        return
    reason = "; ".join(reasons)
    if in_ci:
        pytest.fail(f"{reason}; CI=true allows no such skip", pytrace=False)
    pytest.skip(reason)
