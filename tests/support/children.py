"""Start one of the test suite's own modules as a process that may be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


def start(module: str, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
    """`python -m module`, with the repository importable whatever the interpreter's own path is."""
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path},
        **options,
    )
