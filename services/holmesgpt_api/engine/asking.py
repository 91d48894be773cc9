"""The three questions a model may ask, and how their answers are told to it. Pure.

A model's arguments are somebody else's input: names that are no names, unknown fields and missing ones are
refused with a sentence the model can act on, and so is what is no JSON object.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from libs.contracts.causes import CausesAnswer
from libs.contracts.evidence import EvidenceItem, EvidenceKind, EvidencePage, LogAnswer, content_hash
from libs.contracts.target import CLUSTER_SCOPE, Name, Namespace, Target

ROOT = "/api/v1/context"
CAUSES, EVIDENCE, LOGS = "get_causes", "get_evidence", "get_logs"

MOST_FINDINGS = 20
BODY = 1_500
"""Characters of one fact's body. A fact that needs more can be asked for by its id."""

_OBJECT = r"^[A-Za-z][A-Za-z0-9]{0,62}(\.[a-z0-9][a-z0-9.-]{0,252})?/(_cluster|-|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)/[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$"
_ID = r"^ev-[0-9a-f]{8,64}$"


NOT_JSON = "(not a JSON object)"
"""Under this name stands what a model wrote in the place of arguments (`strict`)."""


class BadArguments(ValueError):
    """The model's arguments cannot be used; the text tells it why."""


class Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CausesOf(Arguments):
    """Why an object is in trouble: ranked causes, found by deterministic analysis, with their evidence."""

    target: str = Field(
        pattern=_OBJECT, description="Kind/namespace/name; Kind.group for others than core; _cluster for none"
    )


class EvidenceOf(Arguments):
    """Facts about an object and what it is connected to (states, events, changes, telling log lines), or one
    fact in full by its id."""

    of: str = Field(
        pattern=rf"{_OBJECT}|{_ID}",
        description="Kind/namespace/name of an object, or the id of one fact (ev-…)",
    )
    kind: Literal["object", "event", "log", "metric", "change"] | None = Field(
        default=None, description="only facts of this kind"
    )
    cursor: str | None = Field(
        default=None, pattern=_ID, description="next_cursor of the page before, for the next one"
    )


class LogsOf(Arguments):
    """The last lines of a container's log, without secrets."""

    namespace: Namespace
    pod: Name
    container: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] | None = (
        Field(default=None, description="left out: the pod's default one")
    )
    previous: bool = Field(default=False, description="the instance before the last restart")
    tail: int = Field(default=60, ge=1, le=200, description="lines from the end, of those that match")
    contains: str = Field(
        default="", max_length=200, description="only lines that hold this text; no pattern"
    )


@dataclass(frozen=True, slots=True)
class Question:
    path: str
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the model gets to read, and the facts in it that it may cite."""

    text: str
    evidence: list[EvidenceItem] = field(default_factory=list)


def parse(kind: type[Arguments], given: object) -> Arguments:
    """Raises BadArguments."""
    required = ", ".join(name for name, one in kind.model_fields.items() if one.is_required())
    if not isinstance(given, dict) or not given or NOT_JSON in given:
        raise BadArguments(f"no arguments arrived as a JSON object; needed: {required}")
    try:
        return kind.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = []
        for one in error.errors(include_input=False, include_url=False)[:5]:
            name = str(one["loc"][0]) if one["loc"] else "arguments"
            said = kind.model_fields[name].description if name in kind.model_fields else None
            faults.append(f"{name}: {one['msg']}" + (f" ({said})" if said else ""))
        raise BadArguments("; ".join(faults)) from None


def question(arguments: Arguments, *, cluster: str) -> Question:
    """Where the Context API answers it. Every part of the path is one segment, whatever it holds."""
    match arguments:
        case CausesOf():
            return Question(f"{ROOT}/causes/{_about(arguments.target)}", {"cluster": cluster})
        case EvidenceOf() if arguments.of.startswith("ev-") and "/" not in arguments.of:
            return Question(f"{ROOT}/evidence/{quote(arguments.of, safe='')}", {})
        case EvidenceOf():
            asked = {"cluster": cluster, "limit": "40", "kind": arguments.kind, "cursor": arguments.cursor}
            given = {name: value for name, value in asked.items() if value is not None}
            return Question(f"{ROOT}/evidence/{_about(arguments.of)}", given)
        case LogsOf():
            query = {"tail": str(arguments.tail), "clustered": "true"}
            query |= {"previous": "true"} if arguments.previous else {}
            query |= {"container": arguments.container} if arguments.container else {}
            query |= {"contains": arguments.contains} if arguments.contains else {}
            where = f"{quote(arguments.namespace, safe='')}/{quote(arguments.pod, safe='')}"
            return Question(f"{ROOT}/logs/{where}", query)
    raise TypeError(type(arguments).__name__)


def namespace_in(arguments: Arguments) -> str | None:
    """The namespace a question is about; None: cluster scope, or a fact by its id, whose namespace nobody knows yet."""
    match arguments:
        case LogsOf():
            return arguments.namespace
        case CausesOf() | EvidenceOf():
            about = arguments.target if isinstance(arguments, CausesOf) else arguments.of
            namespace = about.split("/")[1] if "/" in about else ""
            return None if namespace in ("", "-", CLUSTER_SCOPE) else namespace
    raise TypeError(type(arguments).__name__)


def _about(target: str) -> str:
    kind, namespace, name = target.split("/")
    namespace = CLUSTER_SCOPE if namespace in ("-", CLUSTER_SCOPE) else namespace
    return "/".join(quote(part, safe="") for part in (namespace, kind, name))


def shown(arguments: Arguments, body: bytes, *, room: int) -> Shown:
    """What is told of an answer: at most `room` characters, and only facts that stand in it count as seen.

    Raises:
        ValueError: the answer is none that the Context API gives.
    """
    match arguments:
        case CausesOf():
            return _causes(CausesAnswer.model_validate_json(body), room)
        case EvidenceOf() if arguments.of.startswith("ev-") and "/" not in arguments.of:
            item = EvidenceItem.model_validate_json(body)
            return Shown(_fitting({"evidence": [fact(item, room // 2)]}, room), [item])
        case EvidenceOf():
            return _page(EvidencePage.model_validate_json(body), room)
        case LogsOf():
            return _log(LogAnswer.model_validate_json(body), room)
    raise TypeError(type(arguments).__name__)


def among(arguments: Arguments, known: Sequence[EvidenceItem], *, room: int) -> Shown | None:
    """Of facts that are known already, those that a question is about; None: there is none, or it asks for no facts."""
    if not isinstance(arguments, EvidenceOf):
        return None
    if "/" not in arguments.of:
        one = next((item for item in known if item.id == arguments.of), None)
        return None if one is None else Shown(_fitting({"evidence": [fact(one, room // 2)]}, room), [one])
    found = [item for item in known if _is_about(item, arguments.of, arguments.kind)]
    ids = [item.id for item in found]
    rest = found[ids.index(arguments.cursor) + 1 if arguments.cursor in ids else 0 :]
    if not rest:
        return None
    # The room is reckoned with a cursor, so that all that is shown beside one has room; one fact there is in any case, or
    # those after it could not be reached.
    page = (
        _with_facts({"total": len(found), "next_cursor": max(ids, key=len)}, rest, room).evidence or rest[:1]
    )
    said = {"total": len(found), "next_cursor": page[-1].id if len(page) < len(rest) else None}
    shown_whole = _with_facts(said, page, room)
    if shown_whole.evidence:
        return shown_whole
    return Shown(_fitting({**said, "evidence": [fact(page[0], room // 2)]}, room), page)


def _is_about(item: EvidenceItem, of: str, kind: str | None) -> bool:
    if item.target is None or (kind is not None and item.kind.value != kind):
        return False
    named, namespace, name = of.split("/")
    target = item.target
    where = None if namespace in ("", "-", CLUSTER_SCOPE) else namespace
    same = (named.partition(".")[0].lower(), where, name)
    return same == (target.kind.lower(), target.namespace or None, target.name)


def strict(arguments: object) -> str:
    """A model's arguments as they may be handed on: the text of one JSON object, no key of it twice.

    HolmesGPT turns everything else into no arguments at all and calls the tool with them; here it becomes an argument
    that no tool takes, so that each tool refuses it.
    """
    text = arguments if isinstance(arguments, str) else ""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        found = None
    return text if isinstance(found, dict) else json.dumps({NOT_JSON: text[:200]})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def failure_in(answer: object) -> str:
    """What an answer that looks like a success says of its failure; empty: nothing.

    Seen of tools that only pass on what a program printed: status success, no data, and the reason in `stderr`.
    """
    if not isinstance(answer, dict):
        return ""
    inner = answer.get("data")
    for one in (answer, inner if isinstance(inner, dict) else {}):
        for name in ("stderr", "error"):
            said = one.get(name)
            if isinstance(said, str) and said.strip():
                return said.strip()[:200]
        if one.get("return_code") not in (None, 0, "0"):
            return f"return code {str(one['return_code'])[:20]}"
    return ""


def _causes(answer: CausesAnswer, room: int) -> Shown:
    said: dict[str, Any] = {
        "ranked": [
            {
                "target": str(one.target),
                "reason": one.reason,
                "text": one.text,
                "confidence": one.confidence.value,
                "basis": one.confidence.basis,
                "evidence_ids": one.evidence_ids,
                "path": one.path,
            }
            for one in answer.ranked
        ],
        "no_cause_reason": answer.no_cause_reason,
        "findings": [
            {
                "target": str(one.target),
                "reason": one.reason,
                "text": one.text,
                "evidence_ids": one.evidence_ids,
            }
            for one in answer.findings[:MOST_FINDINGS]
        ],
        "not_looked_at": answer.not_looked_at[:10],
    }
    return _with_facts(said, answer.evidence, room)


def _page(answer: EvidencePage, room: int) -> Shown:
    said = {
        "total": answer.total,
        "next_cursor": answer.next_cursor,
        "not_looked_at": answer.not_looked_at[:10],
    }
    return _with_facts(said, answer.items, room)


def _with_facts(said: dict[str, Any], items: list[EvidenceItem], room: int) -> Shown:
    """As many facts as there is room for, in their order; how many were left out is said."""
    left = room - len(data(said)) - 200
    facts, kept = [], []
    for item in items:
        one = fact(item, BODY)
        left -= len(data(one)) + 2
        if left < 0:
            break
        facts.append(one)
        kept.append(item)
    cut = (
        {"cut": f"{len(items) - len(kept)} more facts; ask for them by id or kind"}
        if len(items) > len(kept)
        else {}
    )
    return Shown(_fitting({**said, "evidence": facts, **cut}, room), kept)


def _log(answer: LogAnswer, room: int) -> Shown:
    """The newest lines that fit. The whole answer has one id, so that is what they are cited by."""
    left = room - 600
    kept: list[dict[str, Any]] = []
    for line in reversed(answer.lines):
        one: dict[str, Any] = {"text": line.text[:BODY]}
        one |= {"count": line.count} if line.count > 1 else {}
        one |= {"suspicious": True} if line.suspicious else {}
        left -= len(data(one)) + 1
        if left < 0:
            break
        kept.append(one)
    kept.reverse()
    body = {"container": answer.container, "previous": answer.previous, "lines": kept}
    said = {
        "evidence_id": answer.evidence_id,
        "matching": answer.matching,
        "recorded": answer.recorded[:20],
        "cut": answer.cut,
        **body,
    }
    if not kept:
        return Shown(_fitting(said, room))
    where = f"{answer.namespace}/{answer.pod}"
    item = EvidenceItem(
        id=answer.evidence_id,
        source="context-api",
        kind=EvidenceKind.log,
        target=Target(kind="Pod", namespace=answer.namespace, name=answer.pod),
        observed_at=answer.snapshot_at,
        content_hash=content_hash(body),
        summary=f"{len(kept)} log lines of {where}; the last: {str(kept[-1]['text'])[:200]}",
        body=body,
    )
    return Shown(_fitting(said, room), [item])


def fact(item: EvidenceItem, body_room: int) -> dict[str, Any]:
    """One fact as a model reads it."""
    body = data(item.body)
    said = {
        "id": item.id,
        "kind": item.kind.value,
        "target": str(item.target) if item.target else None,
        "at": item.observed_at.isoformat() if item.observed_at else None,
        "summary": item.summary[:BODY],
    }
    return (
        {**said, "body": item.body} if len(body) <= body_room else {**said, "body_begins": body[:body_room]}
    )


def data(value: object) -> str:
    """JSON that cannot leave the place it is put in: no character in it can close a tag or open one."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _fitting(said: dict[str, Any], room: int) -> str:
    text = data(said)
    return text if len(text) <= room else text[: room - 40] + "… (cut: ask for less, or by id)"


def originals(arguments: Arguments, body: bytes) -> dict[str, EvidenceItem]:
    """The facts of an answer as the Context API made them, by id: with the hash that tells whether they still are."""
    match arguments:
        case CausesOf():
            items = CausesAnswer.model_validate_json(body).evidence
        case EvidenceOf() if arguments.of.startswith("ev-") and "/" not in arguments.of:
            items = [EvidenceItem.model_validate_json(body)]
        case EvidenceOf():
            items = EvidencePage.model_validate_json(body).items
        case _:
            items = []
    return {item.id: item for item in items}


QUESTIONS: Mapping[str, type[Arguments]] = {CAUSES: CausesOf, EVIDENCE: EvidenceOf, LOGS: LogsOf}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument as a model is told of it."""

    type: str
    description: str
    required: bool
    enum: list[Any] | None


def description(kind: type[Arguments]) -> str:
    return " ".join((kind.__doc__ or "").split())


@functools.cache
def parameters(kind: type[Arguments]) -> dict[str, Parameter]:
    schema = kind.model_json_schema()
    required = set(schema.get("required", []))
    told = {}
    for name, one in schema["properties"].items():
        shape = next((each for each in one.get("anyOf", []) if each.get("type") != "null"), one)
        said = one.get("description", name)
        told[name] = Parameter(shape["type"], said, name in required, shape.get("enum"))
    return told
