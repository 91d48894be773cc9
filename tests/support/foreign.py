"""Make callers that are not Python of ours: a Go program, and a client generated from our OpenAPI document.

Both are made once and kept in the cache folder, under a name that changes with everything they are made from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.children import REPOSITORY
from tests.testbed.build import BuildFailed, toolchain
from tests.testbed.programs import cache

APPLICATION = Path(__file__).parent / "go_application"
DOCUMENT = REPOSITORY / "docs" / "openapi" / "holmesgpt_api.json"
GENERATOR = "openapi-python-client==0.29.1"
PACKAGE = "holmesgpt_client"
WITHIN_S = 600
"""The Go standard library is compiled the first time: half a minute on two quiet cores."""


class Unmakeable(Exception):
    """What is needed to make it is not there; the message names it."""


def go_application() -> Path:
    """The built Go program. Raises Unmakeable."""
    sources = sorted(APPLICATION.iterdir())
    try:
        go = toolchain()
    except BuildFailed as error:
        raise Unmakeable(f"needs go: {error}") from error
    made_from = [go.version.encode(), *(one.read_bytes() for one in sources)]

    def make(folder: Path) -> None:
        # No module is fetched: the program needs the standard library alone.
        environment = {"GOFLAGS": "-mod=readonly", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
        environment |= {"GOCACHE": str(cache() / "go-build"), "CGO_ENABLED": "0"}
        _run([*go.command, "build", "-o", str(folder / "application"), "."], APPLICATION, environment)

    return _kept("go-application", made_from, make) / "application"


def generated_client() -> tuple[Path, Path]:
    """The interpreter of the client's environment, and the folder it is imported from. Raises Unmakeable."""
    uv = os.environ.get("UV") or shutil.which("uv") or str(REPOSITORY / ".tools" / "uv" / "bin" / "uv")
    if shutil.which(uv) is None:
        raise Unmakeable("needs uv: run `make uv`")
    made_from = [GENERATOR.encode(), sys.version.encode(), DOCUMENT.read_bytes()]

    def make(folder: Path) -> None:
        environment = folder / "environment"
        _run([uv, "venv", "-q", "--relocatable", "--python", sys.executable, str(environment)], folder)
        python = str(environment / "bin" / "python")
        _run([uv, "pip", "install", "-q", "--python", python, GENERATOR], folder)
        config = folder / "config.yaml"
        config.write_text("post_hooks: []\n")  # what formats the code is of no use to a test
        generator = str(environment / "bin" / "openapi-python-client")
        target = folder / "client" / PACKAGE
        target.parent.mkdir()
        command = ["generate", "--path", str(DOCUMENT), "--output-path", str(target), "--meta", "none"]
        _run([generator, *command, "--config", str(config)], folder)

    folder = _kept("openapi-client", made_from, make)
    return folder / "environment" / "bin" / "python", folder / "client"


def _kept(name: str, made_from: list[bytes], make: Callable[[Path], None]) -> Path:
    """The folder, made where it is not there yet; a rename, so that nobody finds half of one."""
    digest = hashlib.sha256(b"\0".join(hashlib.sha256(one).digest() for one in made_from)).hexdigest()[:16]
    place = cache() / f"{name}-{digest}"
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f"{name}-making-", dir=place.parent))
    try:
        make(making)
        try:
            making.rename(place)
        except OSError:
            if not place.is_dir():  # or another process was faster, with the same content
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return place


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    try:
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise Unmakeable(f"{' '.join(command[:3])} failed: {said.strip()[-500:]}") from error
