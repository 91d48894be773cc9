"""Check what a model says against the facts it cites. Pure, and the same each time.

Names, numbers, times and quoted words of a claim must occur in the evidence it cites; an object it names must have
been looked at. What does not is a hypothesis, with a reason that is told. A claim that holds nothing which can be
looked up stands when it cites something that exists: what it means is beyond this check.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from libs.contracts.causes import Cause
from libs.contracts.evidence import EvidenceItem, EvidenceKind
from libs.contracts.investigations import Claim
from libs.contracts.target import Target
from services.holmesgpt_api.domain.amounts import Amount, amounts, meets
from services.holmesgpt_api.domain.quotable import Kind, Quotable, quotables, stands_for

SUPPORTED, HYPOTHESIS = "supported", "hypothesis"

CITES_NOTHING = "cites-nothing"
CITES_UNKNOWN = "cites-unknown"
NOT_IN_EVIDENCE = "not-in-evidence"
NOT_LOOKED_AT = "object-not-looked-at"

SAID = 120
"""Characters of what was not found that a reason repeats."""

_ALIASES = {
    "persistentvolumeclaim": ("persistentvolumeclaim", "claim", "pvc"),
    "persistentvolume": ("persistentvolume", "volumename"),
    "horizontalpodautoscaler": ("horizontalpodautoscaler", "hpa"),
}
"""Words before a name by which facts say what it is the name of; else its kind."""

_COMPONENT = re.compile(
    r"kubelet|attachdetach-controller|default-scheduler|[a-z0-9-]*(?:-controller|-manager|-autoscaler|-scheduler|-provisioner)"
    r"|kube-proxy|node-problem-detector|[a-z0-9.-]+/[a-z0-9.-]+"
)
_NAME_ALONE = re.compile(r"(?:[A-Za-z0-9_.]*[:=] ?)?[A-Za-z0-9][A-Za-z0-9._:/@-]{0,300}")

_SPACE = re.compile(r"\s+")
_ELLIPSIS = re.compile(r"…|\.\.\.+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'\[(])")


@dataclass(frozen=True, slots=True)
class Judged:
    """A text, and why it is no more than a hypothesis; empty: it stands."""

    faults: tuple[str, ...]

    @property
    def stands(self) -> bool:
        return not self.faults


@dataclass(frozen=True)
class Shown:
    """The evidence of one claim as text to look things up in."""

    text: str
    references: str
    """What says that an object exists: the cluster's own words, and fields that hold a name and nothing else. Prose
    that people and programs write (logs, configuration, annotations) names whatever its author likes."""

    @cached_property
    def numbers(self) -> list[Amount]:
        return list(amounts(self.text))

    def holds(self, words: str) -> bool:
        return _occurs(_folded(words), self.text)


@dataclass(frozen=True)
class Archive:
    """Everything that was looked at in one investigation."""

    items: Mapping[str, EvidenceItem]
    """By id: all that the model was shown, as it was shown."""
    causes: Sequence[Cause] = ()
    """What triage made of it: deterministic, so it counts with the evidence it stands on."""
    targets: Sequence[Target] = ()
    """Objects that were asked about, whether or not there was a fact about them."""

    @cached_property
    def looked_at(self) -> frozenset[tuple[str, str | None, str]]:
        seen = [
            *self.targets,
            *(one.target for one in self.causes),
            *(item.target for item in self.items.values() if item.target is not None),
        ]
        return frozenset((one.kind.lower(), one.namespace, one.name) for one in seen)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(name for _, _, name in self.looked_at)

    @cached_property
    def namespaces(self) -> frozenset[str]:
        return frozenset(namespace for _, namespace, _ in self.looked_at if namespace)

    def has(self, kind: str, namespace: str | None, name: str) -> bool:
        """Whether this object was looked at; `""`: in any namespace."""
        if kind == "namespace" and name in self.namespaces:
            return True
        return any(
            (kind, name) == (of, called) and namespace in ("", where) for of, where, called in self.looked_at
        )

    def refers_to(self, name: str, namespace: str) -> bool:
        """Whether the cluster's own words or a field name this; `""`: in any namespace."""
        facts = (
            item
            for item in self.items.values()
            if not namespace or item.target is None or item.target.namespace in (None, namespace)
        )
        return any(_occurs(_folded(name), _haystack(_references(item))) for item in facts)

    def shown(self, ids: Iterable[str]) -> Shown:
        chosen = frozenset(ids)
        cited = [item for one, item in self.items.items() if one in chosen]
        derived = [cause for cause in self.causes if chosen & set(cause.evidence_ids)]
        words = [word for cause in derived for word in (cause.text, cause.reason, str(cause.target))]
        named = [word for cause in derived for word in (str(cause.target), *cause.path, *cause.explains)]
        return Shown(
            text=_haystack([*(word for item in cited for word in _words(item)), *words]),
            references=_haystack([*(word for item in cited for word in _references(item)), *named]),
        )


def check(claims: Iterable[Claim], archive: Archive) -> list[Claim]:
    """Mark each claim `supported` or `hypothesis`, and say why it is the latter.

    Ids that do not exist are taken out, so that nobody looks for them.
    """
    checked = []
    for claim in claims:
        cited = [one for one in claim.evidence_ids if one in archive.items]
        reason = _reason(claim, cited, archive)
        checked.append(
            Claim(
                text=claim.text,
                status=HYPOTHESIS if reason else SUPPORTED,
                evidence_ids=cited,
                reason=reason,
            )
        )
    return checked


def _reason(claim: Claim, cited: Collection[str], archive: Archive) -> str | None:
    if not claim.evidence_ids:
        return CITES_NOTHING
    if len(cited) < len(claim.evidence_ids):
        invented = next(one for one in claim.evidence_ids if one not in archive.items)
        return _fault(CITES_UNKNOWN, invented)
    return next(iter(judge(claim.text, cited, archive).faults), None)


def judge(text: str, cited: Collection[str], archive: Archive) -> Judged:
    """What of a text does not stand in the evidence cited; objects nobody looked at first."""
    shown = archive.shown(cited)
    unseen: list[str] = []
    missing: list[str] = []
    for one in quotables(text, archive.names):
        if one.kind is Kind.object:
            word = _of_object(one, shown, archive)
            if word is not None:
                (unseen if word == NOT_LOOKED_AT else missing).append(_fault(word, one.said))
        elif not _found(one, shown):
            missing.append(_fault(NOT_IN_EVIDENCE, one.said))
    return Judged((*unseen, *missing))


def standing(text: str, cited: Collection[str], archive: Archive) -> tuple[str, list[str]]:
    """The sentences of a text that stand, and the faults of those that do not."""
    kept, faults = [], []
    for sentence in _SENTENCE.split(text.strip()):
        judged = judge(sentence, cited, archive)
        if judged.stands:
            kept.append(sentence)
        else:
            faults.append(judged.faults[0])
    return " ".join(kept), faults


def by_citation(claims: Iterable[Claim], evidence_ids: Collection[str]) -> list[Claim]:
    """For what was derived from its evidence: whether all that is cited is there to be read."""
    known = frozenset(evidence_ids)
    checked = []
    for claim in claims:
        cited = [one for one in claim.evidence_ids if one in known]
        gone = next((one for one in claim.evidence_ids if one not in known), None)
        reason = CITES_NOTHING if not claim.evidence_ids else gone and _fault(CITES_UNKNOWN, gone)
        status = HYPOTHESIS if reason else SUPPORTED
        checked.append(Claim(text=claim.text, status=status, evidence_ids=cited, reason=reason))
    return checked


def _fault(word: str, said: str) -> str:
    return f'{word}: "{" ".join(said.split())[:SAID]}"'


def _of_object(one: Quotable, shown: Shown, archive: Archive) -> str | None:
    """Why an object that is named does not count; None: it does."""
    if one.of is None:
        return None
    kind, namespace, name = one.of
    if archive.has(kind, namespace, name):
        return None if shown.holds(name) else NOT_IN_EVIDENCE
    # What the cluster names (a pod's missing Secret, an event's ReplicaSet) need not have been asked for.
    words = "|".join(_ALIASES.get(kind, (kind,)))
    named = re.search(
        rf"(?:{words})[^\n]{{0,80}}?(?<![a-z0-9]){re.escape(name.casefold())}(?![a-z0-9])", shown.references
    )
    return None if named and (not namespace or _occurs(namespace, shown.references)) else NOT_LOOKED_AT


def _found(one: Quotable, shown: Shown) -> bool:
    match one.kind:
        case Kind.number:
            return one.amount is not None and any(meets(one.amount, other) for other in shown.numbers)
        case Kind.time:
            return _time_occurs(one.said, shown.text)
        case Kind.text:
            pieces = [piece.strip(" ,.;") for piece in _ELLIPSIS.split(one.said)]
            return all(shown.holds(piece) for piece in pieces if piece)
        case _:
            return any(shown.holds(spelling) for spelling in stands_for(one.said))


def _time_occurs(said: str, text: str) -> bool:
    wanted = said.lower().replace("t", " ")
    return re.search(rf"(?<![\d:]){re.escape(wanted)}(?!\d)", text.replace("t", " ")) is not None


def _haystack(words: Iterable[str]) -> str:
    return "\n".join(_folded(word) for word in words)


def _folded(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold()


def _occurs(words: str, text: str) -> bool:
    """Whether words stand in a text as a whole, not within longer ones. A pod's name shows its Deployment's."""
    start = 0
    while (at := text.find(words, start)) >= 0:
        end = at + len(words)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not (words[:1].isalnum() and before.isalnum()) and not (words[-1:].isalnum() and after.isalnum()):
            return True
        start = at + 1
    return not words


def _words(item: EvidenceItem) -> Iterator[str]:
    yield item.summary
    yield item.kind.value
    if item.target is not None:
        yield str(item.target)
        yield item.target.api_version
    if item.observed_at is not None:
        yield item.observed_at.isoformat()
    yield from _leaves(item.body)


def _references(item: EvidenceItem) -> Iterator[str]:
    if item.target is not None:
        yield str(item.target)
    if _of_the_cluster(item):
        yield from _words(item)
    elif item.kind is not EvidenceKind.log:
        yield from (word for word in _leaves(item.body) if _NAME_ALONE.fullmatch(word))


def _of_the_cluster(item: EvidenceItem) -> bool:
    """Whether its text was written by the cluster's own components: a status, or an event of one of them."""
    if item.kind is EvidenceKind.event:
        return _COMPONENT.fullmatch(str(item.body.get("from") or "")) is not None
    return item.kind is EvidenceKind.object and str(item.body.get("path") or "").startswith("status")


def _leaves(value: Any, within: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield str(key)
            yield from _leaves(one, str(key))
            # `limits.memory: 64Mi`, `reason=OOMKilled`: as people write a field and its value.
            if isinstance(one, str | int | float):
                yield f"{within}.{key}: {one}"
                yield f"{key}={one}"
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one, within)
    elif isinstance(value, bool):
        yield str(value).lower()
    elif value is not None:
        yield str(value)
