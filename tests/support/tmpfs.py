"""A small file system of its own for a test that fills a disk; needs root, and a kernel that lets us mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class MountRefused(Exception):
    """Why there is none here."""


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[None]:
    """Mount one over this folder, and take it away again whatever is still open on it.

    Raises:
        MountRefused: we are not root, or the kernel or container does not allow it.
    """
    if os.geteuid() != 0:
        raise MountRefused("only root may mount a tmpfs")
    options = f"size={megabytes}m,mode=0755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MountRefused(f"mounting a tmpfs is refused: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def without_disk(error: MountRefused, *, in_ci: bool) -> None:
    """Skip the test by naming what is missing; under CI that is a failure."""
    reason = f"needs a small disk: {error}"
    if in_ci:
        pytest.fail(f"{reason}; CI=true allows no such skip", pytrace=False)
    pytest.skip(reason)


class Ballast:
    """A file that takes what is free on a disk, and gives it back."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ballast"

    def fill(self) -> None:
        """Leave no free block, however little it is."""
        with self._file.open("ab", buffering=0) as file:
            for size in (1024 * 1024, 4096):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError as error:
                    if error.errno != 28:
                        raise

    def free(self) -> None:
        self._file.unlink(missing_ok=True)
