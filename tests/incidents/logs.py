"""What programs print, with the times that a kubelet and the program itself put in front."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.incidents.stage import Stage

_TIME = re.compile(r"<(%[^>]+)>")
_NUMBER = re.compile(r"<(\d+)-(\d+)>")


def printed(at: datetime, lines: Sequence[str], *, every_s: float = 1) -> str:
    """Lines as `kubectl logs --timestamps` shows them: the first at `at`, the next ones about `every_s` apart.

    In a line, `<%Y-%m-%d %H:%M:%S>` stands for its time as strftime writes it (`%3` is milliseconds), `<100-999>` for
    some number of that range; the same text and place give the same number. A line with line breaks in it is one
    message of several lines, printed at once.
    """
    done = []
    for n, line in enumerate(lines):
        noise = int(hashlib.sha256(f"{n}/{line}".encode()).hexdigest()[:12], 16)
        moment = at + timedelta(seconds=n * every_s, milliseconds=noise % max(1, int(every_s * 400)))
        for more, part in enumerate(line.split("\n")):
            shown = moment + timedelta(microseconds=more * 31)
            front = shown.strftime("%Y-%m-%dT%H:%M:%S.%f") + f"{(noise + more) % 1000:03}Z"
            done.append(f"{front} {_filled(part, moment, noise)}")
    return "\n".join(done)


def chatter(
    stage: Stage,
    place: str,
    lines: Sequence[str],
    *,
    count: int = 24,
    minutes: float = 20,
    container: str = "",
) -> None:
    """Give each pod whose NAMESPACE/NAME begins with `place` the log of a program that goes on as ever: `count` lines,
    over and over those given, in the last `minutes`."""
    gap = minutes * 60 / count
    first = stage.ago(minutes=minutes)
    for number, pod in enumerate(stage.pods(place)):
        text = [lines[(n + number) % len(lines)] for n in range(count)]
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        stage.log(
            name,
            printed(first + timedelta(seconds=number * gap / 3), text, every_s=gap * 0.97),
            container=container,
        )


def _filled(line: str, moment: datetime, noise: int) -> str:
    def time(found: re.Match[str]) -> str:
        return moment.strftime(found[1].replace("%3", f"{moment.microsecond // 1000:03}"))

    def number(found: re.Match[str]) -> str:
        low, high = int(found[1]), int(found[2])
        digest = hashlib.sha256(f"{noise}/{found.start()}".encode()).hexdigest()
        return str(low + int(digest[:12], 16) % (high - low + 1))

    return _NUMBER.sub(number, _TIME.sub(time, line))
