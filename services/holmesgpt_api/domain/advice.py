"""Decide which of a model's recommendations may be shown with their command. Pure.

A command is something people copy: it is shown when it only reads or is easily taken back, and every object it names
was looked at. One that triage gives as well is shown whatever it does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from libs.contracts.alerts import PRIORITY_WORDS, Priority
from libs.contracts.causes import Cause
from libs.contracts.investigations import Recommendation
from services.holmesgpt_api.domain.claims import Archive
from services.holmesgpt_api.domain.quotable import kind_of
from services.holmesgpt_api.domain.recommend import action_type, basis
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.domain.wording import first_sentence
from services.holmesgpt_api.engine.messages import WrittenAdvice

READ_FIRST = "Proposed by a model: read it before you run it."
NO_CAUSE = "no cause is named that this could mend"
LEFT_OUT = "A command the model gave was left out: only reading and well-known, reversible ones are shown."
NOT_SEEN = "A command the model gave was left out: nobody looked at what it names ({})."

_HARMLESS = (
    r"get|describe|logs|diff|top|explain|events|"
    r"rollout (?:undo|restart|status|history)|scale|set (?:image|resources|env)|edit|uncordon"
)
_COMMAND = re.compile(
    rf"(?:kubectl|oc)(?: (?:-n|--namespace) [a-z0-9-]+)? (?:{_HARMLESS})(?: [^;&|`$<>\\\n\r(){{}}]*)?"
)
_SECRET = re.compile(r"\bsecrets?\b[/ ]?", re.IGNORECASE)
_WITH_VALUE = frozenset(
    [
        "-n",
        "--namespace",
        "-c",
        "--container",
        "-l",
        "--selector",
        "-o",
        "--output",
        "--field-selector",
        "--tail",
        "--since",
        "--sort-by",
        "--replicas",
        "--timeout",
        "--revision",
        "--to-revision",
        "--since-time",
        "--limit-bytes",
        "--context",
        "--cluster",
        "--for",
        "--image",
    ]
)
_NO_OBJECT = frozenset({"explain", "diff"})
_IMPLIED = {"logs": "pod", "uncordon": "node", "top": ""}


def recommendations(
    written: list[WrittenAdvice],
    interim: Verdict,
    cause: Cause | None,
    archive: Archive,
    priority: Priority,
) -> list[Recommendation]:
    """The model's, in its order, each as sure as the cause; only the first has the investigation's priority."""
    familiar = {one.command for one in interim.recommendations if one.command}
    return [
        _recommendation(one, familiar, cause, archive, priority if rank == 0 else Priority.p3)
        for rank, one in enumerate(written)
    ]


def _recommendation(
    written: WrittenAdvice, familiar: set[str], cause: Cause | None, archive: Archive, priority: Priority
) -> Recommendation:
    command = (written.command or "").strip() or None
    fault = _fault(command, archive) if command is not None and command not in familiar else ""
    shown = None if fault else command
    return Recommendation(
        title=first_sentence(written.title, 160),
        description=" ".join(filter(None, [written.description or written.title, fault])),
        action_type=action_type(shown),
        command=shown,
        priority=PRIORITY_WORDS[priority],
        confidence=cause.confidence.value if cause else 0.0,
        confidence_basis=basis(cause) if cause else [NO_CAUSE],
        risk=" ".join(filter(None, [written.risk.strip(), READ_FIRST])),
    )


def _fault(command: str, archive: Archive) -> str:
    if not harmless(command):
        return LEFT_OUT
    unseen = unseen_in(command, archive)
    return NOT_SEEN.format(", ".join(unseen[:3])) if unseen else ""


def harmless(command: str) -> bool:
    """Whether a command a model wrote may be shown to be copied: one command, reading or easily taken back.

    One that prints a Secret's data is neither.
    """
    if len(command) > 400 or _COMMAND.fullmatch(command) is None:
        return False
    prints = re.search(r"(?:^|\s)(?:-o|--output)", command) is not None or " edit " in command
    return not (prints and _SECRET.search(command))


def unseen_in(command: str, archive: Archive) -> list[str]:
    """Objects and namespaces that a command names and nobody looked at; the whole command when it cannot be read."""
    try:
        words = shlex.split(command)
    except ValueError:
        return [command]
    namespace, rest = _namespace(words[1:])
    unseen = []
    if namespace and namespace not in archive.namespaces:
        unseen.append(f"namespace {namespace}")
    if rest[:1] == ["set"]:
        # An image or a value that no fact shows has been thought up, or was told by somebody in a log.
        values = [word.partition("=")[2] for word in rest if "=" in word]
        unseen += [value for value in values if value and not archive.refers_to(value, "")]
    for kind, name in _objects(rest):
        if not _known(kind, namespace or "", name, archive):
            unseen.append(f"{kind} {name}".strip())
    return unseen


def _namespace(words: list[str]) -> tuple[str | None, list[str]]:
    """The namespace, and the words without flags and their values."""
    namespace: str | None = None
    rest: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        flag, equals, value = word.partition("=")
        if word == "--":
            return namespace, [*rest, *words[position + 1 :]]
        if word.startswith("-"):
            if flag in _WITH_VALUE and not equals:
                position += 1
                value = words[position] if position < len(words) else ""
            elif word.startswith("-n") and len(word) > 2 and not word.startswith("--"):
                flag, value = "-n", word[2:].lstrip("=")
            if flag in ("-n", "--namespace"):
                namespace = value
        else:
            rest.append(word)
        position += 1
    return namespace, rest


def _objects(words: list[str]) -> Iterator[tuple[str, str]]:
    """Kind (empty: not said) and name of every object."""
    if not words or words[0] in _NO_OBJECT:
        return
    verb, rest = words[0], words[1:]
    if verb in ("rollout", "set"):
        rest = rest[1:]
    if verb == "top" and rest:
        rest = [f"{rest[0]}/{name}" for name in rest[1:]]
    kind = _IMPLIED.get(verb, "")
    if verb not in _IMPLIED and rest and "/" not in rest[0]:
        kind, rest = rest[0].partition(".")[0].lower(), rest[1:]
        kind = kind_of(kind) or kind
    for word in rest:
        if "=" in word:
            continue  # an assignment of `set`: its value is looked at as a whole
        of, slash, name = word.rpartition("/")
        said = of.partition(".")[0]
        yield (kind_of(said) or said.lower()) if slash else kind, name


def _known(kind: str, namespace: str, name: str, archive: Archive) -> bool:
    if kind == "namespace":
        return name in archive.namespaces
    if "," in kind:
        return any(archive.has(kind_of(one) or one, namespace, name) for one in kind.split(","))
    if archive.has(kind, namespace, name) or archive.has(kind, None, name):
        return True
    return archive.refers_to(name, namespace)
