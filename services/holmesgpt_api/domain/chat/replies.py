"""What triage answers to a question about its findings. Pure: all of it stands in the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from libs.contracts.causes import Cause, NoCause
from libs.contracts.evidence import EvidenceItem, EvidenceKind
from services.holmesgpt_api.domain.chat.prose import Checked
from services.holmesgpt_api.domain.chat.questions import EXAMPLES, Topic, what_can_be_asked
from services.holmesgpt_api.domain.chat.session import Reply, TakenTurn
from services.holmesgpt_api.domain.model import NAME as HOLMES
from services.holmesgpt_api.domain.triage import NAME
from services.holmesgpt_api.domain.verdict import ModelUse, Verdict
from services.holmesgpt_api.domain.wording import about

ITEMS = 8
"""Entries of a list in an answer; more are counted."""

SUGGESTED = 4


CUT_OFF = "the answer was cut off: the model had come to the limit of its length; ask for less at once"


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known when a question is asked."""

    verdict: Verdict | None
    state: str
    """In a sentence: how far the investigation is, or of when the evidence is."""
    names: frozenset[str] = frozenset()
    investigation_id: str | None = None
    cluster: str | None = None
    """Of that investigation, where it names one and there are several."""


def names_of(verdict: Verdict | None, *others: str | None) -> frozenset[str]:
    """Names a question about the verdict may use."""
    found = {one for one in others if one}
    if verdict is not None:
        results = verdict.results
        causes = [one for one in (results.cause, *results.contributing) if one is not None]
        targets = [results.target, *(one.target for one in causes), *(one.target for one in results.evidence)]
        for target in targets:
            if target is not None:
                found |= {target.name, target.kind, target.namespace or ""}
        found |= {one.reason for one in causes}
    return frozenset(found - {""})


def reply(
    topic: Topic, findings: Findings, *, degraded_reason: str | None, detail: str | None = None
) -> Reply:
    """The answer to a question of this topic. Nothing known yet is an answer too: it says so."""
    text, cited = _said(topic, findings)
    verdict = findings.verdict
    carried = {item.id: item for item in verdict.results.evidence} if verdict else {}
    ids = [one for one in dict.fromkeys(cited) if one in carried]
    return Reply(
        text=text,
        engine=NAME,
        topic=topic.value,
        degraded_reason=degraded_reason,
        degraded_detail=detail,
        evidence_ids=ids,
        metric_ids=[one for one in ids if carried[one].kind is EvidenceKind.metric],
        suggestions=suggestions(findings, besides=topic),
        context_used=context_used(findings),
    )


def of_a_model(
    checked: Checked,
    known: Mapping[str, EvidenceItem],
    taken: TakenTurn,
    use: ModelUse,
    *,
    cut_off: bool = False,
) -> Reply:
    """A model's answer, as far as it stands. `cut_off`: it ended at the limit of its length."""
    interim = taken.interim
    findings = Findings(taken.verdict, "")
    used = interim.context_used if interim else context_used(findings)
    doubts = [f"{checked.invented} pieces of evidence it cites do not exist"] if checked.invented else []
    doubts += [CUT_OFF] if cut_off else []
    return Reply(
        text=checked.text,
        engine=HOLMES,
        topic=interim.topic if interim else None,
        degraded_detail="; ".join(doubts) or None,
        evidence_ids=list(checked.cited),
        metric_ids=[one for one in checked.cited if known[one].kind is EvidenceKind.metric],
        unsupported=not checked.cited,
        suggestions=interim.suggestions if interim else (suggestions(findings) if taken.verdict else []),
        context_used={**used, "tools": sorted({one.tool for one in use.tools})},
        model=use,
    )


def context_used(findings: Findings) -> dict[str, object]:
    """What an answer rests on, apart from the evidence it cites."""
    verdict = findings.verdict
    used = verdict.context_used if verdict else {}
    target = verdict.results.target if verdict else None
    return {
        "source": "context-api",
        "investigation_id": findings.investigation_id,
        "target": str(target) if target else None,
        "snapshot_at": used.get("snapshot_at"),
    }


def suggestions(findings: Findings, *, besides: Topic | None = None) -> list[str]:
    """Questions that can be answered next, the most useful first; each of them has more to tell than "nothing"."""
    verdict = findings.verdict
    if verdict is None:
        return [EXAMPLES[Topic.status]] if besides is not Topic.status else []
    results = verdict.results
    offered = {
        Topic.why: True,
        Topic.next: bool(verdict.recommendations),
        Topic.evidence: bool(results.evidence),
        Topic.changed: bool(_changes(verdict)),
        Topic.others: bool(results.contributing),
        Topic.sure: results.cause is not None,
        Topic.gaps: bool(results.not_looked_at),
        Topic.status: findings.investigation_id is not None,
    }
    open_ = [topic for topic, worth in offered.items() if worth and topic is not besides]
    return [EXAMPLES[topic] for topic in open_][:SUGGESTED]


def _said(topic: Topic, findings: Findings) -> tuple[str, list[str]]:
    verdict = findings.verdict
    if topic is Topic.help:
        return what_can_be_asked(), []
    if verdict is None:
        return findings.state, []
    match topic:
        case Topic.why:
            return _why(verdict)
        case Topic.evidence:
            return _evidence(verdict)
        case Topic.next:
            return _next(verdict)
        case Topic.changed:
            return _changed(verdict)
        case Topic.status:
            return f"{findings.state} {verdict.summary}", _of(verdict.results.cause)
        case Topic.sure:
            return _sure(verdict)
        case Topic.others:
            return _others(verdict)
        case Topic.gaps:
            missing = verdict.results.not_looked_at
            if not missing:
                return "Everything that was to be looked at could be read.", []
            return _list("Not looked at:", missing), []
    raise TypeError(topic)


def _why(verdict: Verdict) -> tuple[str, list[str]]:
    cause = verdict.results.cause
    if cause is None:
        return verdict.summary, []
    said = verdict.summary
    full = about(cause.target, cause.text)
    if full.removesuffix(".") not in said:
        said = f"{said}\n{full}"
    said += f"\nIt accounts for: {'; '.join(cause.explains[:ITEMS])}." if cause.explains else ""
    return f"{said}\n{_cites(cause.evidence_ids)}".rstrip(), cause.evidence_ids


def _evidence(verdict: Verdict) -> tuple[str, list[str]]:
    by_id = {item.id: item for item in verdict.results.evidence}
    if not by_id:
        return "There is no evidence at hand: nothing that was looked at shows anything.", []
    claims = [one for one in verdict.results.claims if one.evidence_ids]
    lines = [f"{one.text} ({one.status}) {_cites(one.evidence_ids)}" for one in claims[:ITEMS]]
    first = dict.fromkeys(id_ for one in claims for id_ in one.evidence_ids if id_ in by_id)
    shown = [by_id[id_] for id_ in first or by_id][:ITEMS]
    facts = [_fact(item) for item in shown]
    said = _list("What is claimed:", lines) + "\n" if lines else ""
    more = len(by_id) - len(shown)
    said += _list("The facts it rests on:", facts)
    said += f"\n{more} more facts are in the investigation's evidence." if more > 0 else ""
    return said, [item.id for item in shown]


def _next(verdict: Verdict) -> tuple[str, list[str]]:
    advised = verdict.recommendations
    if not advised:
        if verdict.results.no_cause_reason in (NoCause.nothing_wrong, NoCause.recovered):
            return f"Nothing needs to be done. {verdict.summary}", []
        return f"The findings recommend nothing. {verdict.summary}", []
    lines = []
    for one in advised:
        command = f" Command: `{one.command}`." if one.command else ""
        risk = f" Risk: {one.risk.rstrip('.')}." if one.risk else ""
        lines.append(f"{one.description.rstrip()}{command}{risk}")
    said = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
    return f"Safest first; nothing is done by this service:\n{said}", _of(verdict.results.cause)


def _changed(verdict: Verdict) -> tuple[str, list[str]]:
    changes = _changes(verdict)
    if not changes:
        return "The evidence of these findings shows no change.", []
    shown = changes[:ITEMS]
    return _list("Changes in the evidence, the latest first:", [_fact(one) for one in shown]), [
        item.id for item in shown
    ]


def _changes(verdict: Verdict) -> list[EvidenceItem]:
    found = [item for item in verdict.results.evidence if item.kind is EvidenceKind.change]
    return sorted(
        found, key=lambda one: one.observed_at.timestamp() if one.observed_at else 0.0, reverse=True
    )


def _sure(verdict: Verdict) -> tuple[str, list[str]]:
    cause = verdict.results.cause
    if cause is None:
        return f"No cause is named, so there is nothing to be sure of. {verdict.summary}", []
    said = f"Confidence {cause.confidence.value:.2f} (of 1) that it is {cause.target}: {cause.reason}."
    said += "\n" + _list("What speaks for it:", cause.confidence.basis) if cause.confidence.basis else ""
    said += "\n" + (
        _list("What speaks against it:", cause.against)
        if cause.against
        else "Nothing was found that speaks against it."
    )
    said += f"\n{verdict.disagreement}" if verdict.disagreement else ""
    return said, cause.evidence_ids


def _others(verdict: Verdict) -> tuple[str, list[str]]:
    others = verdict.results.contributing
    if not others:
        return f"No other cause was found. {verdict.summary}", _of(verdict.results.cause)
    lines = [
        f"{about(one.target, one.text)} Confidence {one.confidence.value:.2f}. {_cites(one.evidence_ids)}"
        for one in others
    ]
    return _list("Also found, less likely or beside it:", lines), [
        id_ for one in others[:ITEMS] for id_ in one.evidence_ids
    ]


def _fact(item: EvidenceItem) -> str:
    at = f"{item.observed_at:%Y-%m-%d %H:%M:%S}Z " if item.observed_at else ""
    where = f"{item.target}: " if item.target else ""
    return f"[{item.id}] {at}{where}{item.summary}"


def _cites(ids: Sequence[str]) -> str:
    return " ".join(f"[{one}]" for one in ids[:ITEMS])


def _of(cause: Cause | None) -> list[str]:
    return list(cause.evidence_ids) if cause else []


def _list(head: str, lines: Iterable[str]) -> str:
    all_ = list(lines)
    more = [f"- and {len(all_) - ITEMS} more"] if len(all_) > ITEMS else []
    return "\n".join([head, *(f"- {line}" for line in all_[:ITEMS]), *more])
