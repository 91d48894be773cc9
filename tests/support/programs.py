"""Find the programs from outside Python that some tests need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# Debian keeps daemons where an ordinary user's PATH does not look.
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


ENVIRONMENTS = {"holmes-engine": Path(__file__).resolve().parents[2] / ".venv-holmes"}
"""Environments of our own beside the tests' one; made by `make engine`, whole when its mark is there."""


def program(name: str) -> str | None:
    if name in ENVIRONMENTS:
        python = ENVIRONMENTS[name] / "bin" / "python"
        return str(python) if (ENVIRONMENTS[name] / ".done").is_file() else None
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")


def require(names: list[str], *, in_ci: bool) -> None:
    """Skip the test by naming what is missing; under CI a missing program is a failure, not a skip."""
    missing = [name for name in names if program(name) is None]
    if not missing:
        return
    reason = f"needs {', '.join(missing)}, which is not installed"
    if in_ci:
        pytest.fail(f"{reason}; CI=true allows no such skip", pytrace=False)
    pytest.skip(reason)
