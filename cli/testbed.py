"""`kubernaut testbed`: a Kubernetes control plane for a person to play with, from the repository's tests.

The product knows nothing of the tests, so this process becomes `python -m tests.testbed`: there is no parent left
that could die, or swallow Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

NOT_HERE = 2

Become = Callable[[str, list[str], Mapping[str, str]], object]
"""`os.execve`: does not return."""


def main(directory: Path | None, *, root: Path = ROOT, become: Become = os.execve) -> int:
    """Become the test bed; returns only when there is none.

    Args:
        directory: where the control plane's files go; by default a temporary one.
    """
    if not (root / "tests" / "testbed" / "__main__.py").is_file():
        print(
            f"kubernaut testbed: {root / 'tests' / 'testbed'} is not there. The test bed comes with the repository's tests: "
            "run this in a whole clone.",
            file=sys.stderr,
        )
        return NOT_HERE
    where = ["--dir", str(directory.absolute())] if directory else []
    # -P: modules come from the repository alone, never from the folder it is called in.
    command = [sys.executable, "-P", "-m", "tests.testbed", "up", *where]
    sys.stdout.flush()
    become(sys.executable, command, {**os.environ, "PYTHONPATH": str(root)})
    return 0
