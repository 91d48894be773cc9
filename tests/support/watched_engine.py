"""The real engine, which looks through all its objects whenever one of its children has come to rest after a run.

Run as `python -m tests.support.watched_engine MOOD FD` in the engine's environment; `interpreter` makes what the service
takes for that. In the mood `keeps` a child keeps what a mistake could make it keep, so that the look is seen to find it.
What was found is written to `found` in its home, a line of JSON for each run.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.children import REPOSITORY

ENGINE = REPOSITORY / ".venv-holmes" / "bin" / "python"
MARK = "canary"
"""Of every text that the runs of these tests hold, and of nothing else."""

_TEXTS = (str, bytes, bytearray)


def interpreter(folder: Path, mood: str = "well") -> Path:
    path = folder / f"watched-{mood}"
    path.write_text(f'#!/bin/sh\nexec "{ENGINE}" -m tests.support.watched_engine {mood} "$3"\n')
    path.chmod(0o755)
    return path


def found(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "found").read_text().splitlines()]


def texts() -> Iterator[tuple[object, str]]:
    """Every text that can be reached from a tracked object or a frame, and what holds it."""
    gc.unfreeze()  # what was frozen is told of too
    seen: set[int] = set()
    for frame in sys._current_frames().values():
        at: types.FrameType | None = frame
        while at is not None:
            yield from _below(dict(at.f_locals), seen)
            at = at.f_back
    for one in gc.get_objects():
        yield from _below(one, seen)


def _below(holder: object, seen: set[int]) -> Iterator[tuple[object, str]]:
    """What it refers to; and through what the collector does not track, such as a dict of texts."""
    for one in gc.get_referents(holder):
        if isinstance(one, _TEXTS):
            yield holder, one if isinstance(one, str) else bytes(one).decode("latin-1")
        elif not gc.is_tracked(one) and id(one) not in seen and not isinstance(one, type):
            seen.add(id(one))
            yield from _below(one, seen)


def look(secrets: list[str]) -> list[str]:
    """What of these, each told backwards, or of anything with the mark is still there: what kind of object holds it."""
    mark = "".join(("can", "ary"))
    holders = []
    for holder, text in texts():
        if holder is secrets:
            continue
        if f"{mark}-" in text or any(one[::-1] in text for one in secrets):
            holders.append(f"{type(holder).__module__}.{type(holder).__qualname__}: {text[:60]!r}")
    return holders


def watch(home: Path, mood: str) -> None:
    """Put the look behind each rest, and remember each run's secrets as nobody would find them."""
    from services.holmesgpt_api.engine.ear import Ear
    from services.holmesgpt_api.engine.messages import ProbeRequest, Rested
    from services.holmesgpt_api.engine.resident import Resident

    rest, request = Resident.rest, Ear.request
    backwards: list[str] = []
    kept: list[object] = []

    def remembering(self: Ear) -> Any:
        asked = request(self)
        if not isinstance(asked, ProbeRequest):
            backwards[:] = [asked.redaction_key[::-1], asked.model.api_key[::-1]]
            if mood == "keeps":
                kept.append({"question": asked.context.token})
        return asked

    def resting(self: Resident) -> Rested:
        rested = rest(self)
        line = {"pid": os.getpid(), "runs": rested.runs, "found": look(backwards), "secrets": len(backwards)}
        with (home / "found").open("a") as report:
            report.write(json.dumps(line) + "\n")
        return rested

    Ear.request, Resident.rest = remembering, resting  # type: ignore[method-assign]


if __name__ == "__main__":
    watch(Path(os.environ["HOME"]), sys.argv[1])
    from services.holmesgpt_api.engine.messages import Confinement
    from services.holmesgpt_api.engine.zygote import main

    sys.exit(main(int(sys.argv[2]), Confinement().model_dump_json()))
