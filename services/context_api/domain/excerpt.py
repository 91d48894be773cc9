"""The end of one container's log as it may be shown: without secrets, bounded, and with an id to cite it by.

Decides which log is meant and which of its lines are shown; believes none of them. What was left out is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from libs.contracts.evidence import EvidenceItem, LogAnswer, LogLine
from services.context_api.domain import evidence
from services.context_api.domain.containers import DEFAULT
from services.context_api.domain.errors import NoLog
from services.context_api.domain.kube import entries, text
from services.context_api.domain.logs import cut, is_narrative, shape_of
from services.context_api.domain.redact import GONE, redact
from services.context_api.domain.snapshot import ContainerLog, KubeObject, Snapshot

MOST_LINES = 500
"""Lines of one answer: more than a model reads at once."""

LONGEST_LINE = 1_000
"""Characters kept of one line; structured lines often tell the error last."""

LARGEST = 128 * 1024
"""Characters of one answer; what came before is left out, and said."""

MOST_NAMED = 20
"""Logs or pods named to somebody who asked for one that is not there."""

LONGEST_KEY = 200
"""Lines. RSA with 8,192 bits needs 100; whoever only speaks of a key must not make the rest of a log invisible."""

_UNSEEN: dict[int, int | None] = dict.fromkeys(
    [
        *range(0x20),
        *range(0x7F, 0xA0),
        0xAD,
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x206A),
        0xFEFF,
    ]
)
_UNSEEN[0x09] = 0x20
"""Signs that steer a terminal, turn text around or take no room: with them a line reads otherwise than it is, to
people and to the patterns that look for secrets."""

_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{16,}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are asked for.

    Attributes:
        container: None: the one the pod names as its default, else its first that has a log.
        tail: lines from the end, of those that match.
        contains: lines that hold this text, in any case; empty: all. Compared with what is shown, so that nobody
            finds out a secret by asking whether it is there.
        clustered: lines that differ in times, numbers and ids only are shown once, the newest of them.
    """

    container: str | None = None
    previous: bool = False
    tail: int = 100
    contains: str = ""
    clustered: bool = False


def excerpt(snapshot: Snapshot, namespace: str, pod: str, wanted: Wanted) -> tuple[LogAnswer, EvidenceItem]:
    """The lines, and the fact that cites them.

    Raises:
        NoLog: there is no such log; names those there are.
    """
    about = snapshot.get("Pod", namespace, pod) or KubeObject("v1", "Pod", namespace, pod, "", {})
    logs = sorted(snapshot.logs_of(namespace, pod), key=lambda g: (g.container, g.previous))
    log = _chosen(snapshot, about, logs, wanted)
    plain = [line.translate(_UNSEEN) for line in log.text.splitlines()]
    safe = [line for line in without_keys(plain) if line.strip()]
    matching = _matching(safe, wanted.contains)
    lines = _clustered(matching) if wanted.clustered else [LogLine(text=line) for line in matching]
    shown = [_marked(line) for line in _last(lines, wanted.tail)]
    asked = {k: v for k, v in (("contains", wanted.contains), ("clustered", wanted.clustered)) if v}
    fact = evidence.excerpt(
        about, log.container, [_said(line) for line in shown], previous=log.previous, asked=asked
    )
    item = evidence.item(fact, snapshot)
    return (
        LogAnswer(
            namespace=namespace,
            pod=pod,
            container=log.container,
            previous=log.previous,
            lines=shown,
            matching=len(matching),
            cut=_cut(log, shown, lines),
            recorded=[_name(one) for one in logs][:MOST_NAMED],
            evidence_id=item.id,
            snapshot_at=snapshot.captured_at,
        ),
        item,
    )


def without_keys(lines: Sequence[str]) -> list[str]:
    """The same lines with those of private keys gone: line by line such a key looks like any other text.

    The log's beginning may have been cut within a key, so what looks like one before an end counts as one.
    """
    kept = list(lines)
    left = 0
    for number, line in enumerate(lines):
        if _KEY_BEGINS.search(line):
            left = 0 if _KEY_ENDS.search(line) else LONGEST_KEY
            kept[number] = redact(line)
        elif _KEY_ENDS.search(line):
            kept[number] = GONE
            if not left:
                _remove_before(kept, number)
            left = 0
        elif left:
            kept[number], left = GONE, left - 1
    return [line for number, line in enumerate(kept) if line != GONE or kept[number - 1 : number] != [GONE]]


def _remove_before(kept: list[str], end: int) -> None:
    for number in range(end - 1, max(-1, end - 1 - LONGEST_KEY), -1):
        *_, last = kept[number].split() or [""]  # a collector may have put the time in front
        if not _KEY_LINE.fullmatch(last):
            return
        kept[number] = GONE


def _chosen(
    snapshot: Snapshot, pod: KubeObject, logs: Sequence[ContainerLog], wanted: Wanted
) -> ContainerLog:
    fitting = [
        log for log in logs if log.previous is wanted.previous and wanted.container in (None, log.container)
    ]
    if not fitting:
        raise NoLog(_wanted_in_words(pod, wanted), _recorded(snapshot, pod, logs))
    first = [
        text(pod.annotations.get(DEFAULT)),
        *(text(c.get("name")) for c in entries(pod.spec.get("containers"))),
    ]
    order = {name: place for place, name in reversed(list(enumerate(first)))}
    return min(fitting, key=lambda log: (order.get(log.container, len(first)), log.container))


def _matching(lines: Iterable[str], contains: str) -> list[str]:
    shown = (cut(redact(line), LONGEST_LINE) for line in lines)
    needle = contains.casefold()
    return [line for line in shown if needle in line.casefold()]


def _last(lines: Sequence[LogLine], most: int) -> list[LogLine]:
    kept: list[LogLine] = []
    room = LARGEST
    for line in reversed(lines[-most:]):
        room -= len(line.text)
        if room < 0:
            break
        kept.append(line)
    return kept[::-1]


def _clustered(lines: Iterable[str]) -> list[LogLine]:
    found: dict[str, LogLine] = {}
    for line in lines:
        shape = shape_of(line)
        earlier = found.pop(shape, None)
        found[shape] = LogLine(text=line, count=earlier.count + 1 if earlier else 1)
    return list(found.values())


def _marked(line: LogLine) -> LogLine:
    return line.model_copy(update={"suspicious": True}) if is_narrative(line.text) else line


def _said(line: LogLine) -> str:
    return f"{line.text} (×{line.count})" if line.count > 1 else line.text


def _cut(log: ContainerLog, shown: Sequence[LogLine], lines: Sequence[LogLine]) -> str | None:
    said = []
    if len(shown) < len(lines):
        said.append(
            f"the last {len(shown)} of {len(lines)} are shown: ask with a larger tail (at most {MOST_LINES}), "
            "with contains, or with clustered"
        )
    if log.truncated:
        said.append("only the end of this log was kept")
    return "; ".join(said) or None


def _name(log: ContainerLog) -> str:
    return f"{log.container} (previous)" if log.previous else log.container


def _wanted_in_words(pod: KubeObject, wanted: Wanted) -> str:
    which = "previous log" if wanted.previous else "log"
    container = f"container {wanted.container} of " if wanted.container else ""
    return f"{which} of {container}pod {pod.namespace}/{pod.name}"


def _recorded(snapshot: Snapshot, pod: KubeObject, logs: Sequence[ContainerLog]) -> str:
    if logs:
        return f"of this pod there are: {_listed([_name(log) for log in logs])}"
    others = sorted({log.pod for log in snapshot.logs if log.namespace == pod.namespace})
    if not others:
        return f"there is no log of any pod in {pod.namespace}"
    return f"in {pod.namespace} there are logs of: {_listed(others)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
