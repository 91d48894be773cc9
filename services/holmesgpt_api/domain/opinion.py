"""Turn a model's conclusion into a verdict, or refuse it. Pure.

The model is trusted with finding words and connections, with nothing else: its claims are checked against the
facts it was really shown, an object its asker may not read is not named, a command that is not a harmless or a
well-known one is left out, and where it disagrees with triage both are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from libs.contracts.alerts import PRIORITY_WORDS, Priority
from libs.contracts.causes import Cause, Confidence, FindingSeverity, MayRead, NoCause
from libs.contracts.evidence import EvidenceItem
from libs.contracts.investigations import Claim, InvestigationResults, Recommendation
from libs.contracts.target import Target
from services.holmesgpt_api.domain.model import NAME, UNSUPPORTED, ModelFailed, Told
from services.holmesgpt_api.domain.recommend import action_type
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.triage import EVIDENCE_AT_MOST
from services.holmesgpt_api.domain.verdict import HYPOTHESIS, ModelUse, Verdict, check_claims
from services.holmesgpt_api.domain.visibility import reader
from services.holmesgpt_api.domain.wording import about, first_sentence
from services.holmesgpt_api.engine.messages import WrittenAdvice, WrittenCause

SUREST = 0.95
"""A model's own certainty counts no higher: it is not calibrated."""

PARTLY = 0.5
"""And no higher than this when some of what it cites does not exist."""

SUMMARY = 600
READ_FIRST = "Proposed by a model: read it before you run it."
LEFT_OUT = "A command the model gave was left out: only reading and well-known, reversible ones are shown."

_HARMLESS = (
    r"get|describe|logs|diff|top|explain|events|"
    r"rollout (?:undo|restart|status|history)|scale|set (?:image|resources|env)|edit|uncordon"
)
_COMMAND = re.compile(
    rf"(?:kubectl|oc)(?: (?:-n|--namespace) [a-z0-9-]+)? (?:{_HARMLESS})(?: [^;&|`$<>\\\n\r(){{}}]*)?"
)


def conclude(told: Told, interim: Verdict, run: Claimed) -> Verdict:
    """The model's verdict, with triage's beside it.

    Raises:
        ModelFailed: what it concludes rests on nothing it was shown, or is about what the asker may not read.
    """
    may_read = reader(run.tenant, run.reads)
    known = _visible([*interim.results.evidence, *told.evidence], may_read)
    triage = interim.results.cause
    cause = (
        None if told.opinion.cause is None else _cause(told.opinion.cause, interim, known, may_read, told.use)
    )
    agrees = cause is not None and triage is not None and _same(cause.target, triage.target)
    disagreement = "" if agrees else _disagreement(cause, triage, told.opinion.disagreement)
    contributing = [one for one in _causes(interim) if cause is None or not _same(one.target, cause.target)]
    claims = _claims(told, cause, known)
    results = interim.results
    return Verdict(
        engine=NAME,
        summary=_joined(first_sentences(told.opinion.summary, SUMMARY), disagreement),
        root_cause=about(cause.target, cause.text) if cause else None,
        confidence_basis=list(cause.confidence.basis) if cause else [],
        recommendations=_recommendations(told, interim, cause, agrees, run.priority),
        results=InvestigationResults(
            cause=cause,
            target=results.target,
            contributing=contributing,
            claims=claims,
            evidence=_cited(claims, [*([cause] if cause else []), *contributing], known),
            not_looked_at=results.not_looked_at,
            no_cause_reason=None if cause else NoCause.insufficient,
        ),
        context_used={**interim.context_used, "triage": _of_triage(triage, agrees)},
        triage_agrees=agrees,
        disagreement=disagreement or None,
        model=told.use,
    )


def fall_back(interim: Verdict, word: str, detail: str, use: ModelUse | None = None) -> Verdict:
    """Triage's verdict, saying why no model's stands in its place."""
    return interim.model_copy(
        update={"degraded_reason": word, "degraded_detail": detail or None, "model": use}
    )


def _visible(items: Iterable[EvidenceItem], may_read: MayRead) -> dict[str, EvidenceItem]:
    """By id; the first of each, which is triage's where both have it."""
    known: dict[str, EvidenceItem] = {}
    for item in items:
        if item.target is None or may_read(item.target.namespace):
            known.setdefault(item.id, item)
    return known


def _cause(
    written: WrittenCause,
    interim: Verdict,
    known: Mapping[str, EvidenceItem],
    may_read: MayRead,
    use: ModelUse,
) -> Cause:
    target = _target(written.target, interim, known.values())
    if target is None:
        raise ModelFailed(UNSUPPORTED, f"{written.target!r} names no object", use)
    if not may_read(target.namespace):
        raise ModelFailed(UNSUPPORTED, "its cause lies where the asker may not read", use)
    cited = [one for one in dict.fromkeys(written.evidence_ids) if one in known]
    if not cited:
        raise ModelFailed(UNSUPPORTED, f"its cause ({target}) cites nothing that it was shown", use)
    invented = len(set(written.evidence_ids)) - len(cited)
    same = next((one for one in _causes(interim) if _same(one.target, target)), None)
    basis = [f"the model cites {len(cited)} facts that it was shown"]
    basis += [f"{invented} facts it cites do not exist"] if invented else []
    basis += ["triage names the same object"] if same else []
    basis += [known[one].summary for one in cited[:5]]
    return Cause(
        target=target,
        reason=written.reason,
        text=written.text,
        severity=same.severity if same else FindingSeverity.critical,
        onset=same.onset if same else None,
        confidence=Confidence(value=min(written.confidence, PARTLY if invented else SUREST), basis=basis),
        evidence_ids=cited,
        path=same.path if same else _path(target, interim.results.target),
        explains=same.explains if same else [],
        remediation=same.remediation if same else None,
    )


def _target(text: str, interim: Verdict, items: Iterable[EvidenceItem]) -> Target | None:
    """The object that `Kind[.group]/namespace/name` names, as evidence spells it where it does."""
    kind, _, rest = text.strip().partition("/")
    kind, _, group = kind.partition(".")
    alert = interim.results.target
    try:
        named = Target.parse(f"{kind}/{rest}", cluster=alert.cluster if alert else "local")
    except (ValidationError, ValueError):
        return None
    seen = [alert, *(one.target for one in _causes(interim)), *(item.target for item in items)]
    found = next((one for one in seen if one is not None and _same(one, named)), None)
    if found is not None:
        return found
    return named if not group else _with_group(named, group)


def _with_group(target: Target, group: str) -> Target | None:
    try:
        return Target(**{**target.model_dump(), "api_version": f"{group}/v1"})
    except ValidationError:
        return None


def _same(one: Target, other: Target) -> bool:
    """Whether both name the same object, whatever version of its API they spell."""
    return (one.cluster, one.kind.lower(), one.namespace, one.name) == (
        other.cluster,
        other.kind.lower(),
        other.namespace,
        other.name,
    )


def _causes(interim: Verdict) -> list[Cause]:
    results = interim.results
    return ([results.cause] if results.cause else []) + list(results.contributing)


def _path(target: Target, alerting: Target | None) -> list[str]:
    return [str(target)] if alerting is None or _same(target, alerting) else [str(target), str(alerting)]


def _disagreement(cause: Cause | None, triage: Cause | None, said: str) -> str:
    """Where the two part, in one sentence a person can check; the model's own reason after it."""
    if triage is None and cause is None:
        return ""
    theirs = f"{triage.target} ({triage.reason})" if triage else "no cause"
    mine = f"{cause.target} ({cause.reason})" if cause else "no cause"
    return _joined(f"The model and triage disagree: the model names {mine}, triage {theirs}.", said.strip())


def _claims(told: Told, cause: Cause | None, known: Mapping[str, EvidenceItem]) -> list[Claim]:
    asserted = [
        Claim(text=one.text, status=HYPOTHESIS, evidence_ids=list(dict.fromkeys(one.evidence_ids)))
        for one in told.opinion.claims
    ]
    if cause is not None and told.opinion.cause is not None:
        first = list(dict.fromkeys(told.opinion.cause.evidence_ids))
        text = about(cause.target, cause.text)
        asserted.insert(0, Claim(text=text, status=HYPOTHESIS, evidence_ids=first))
    return check_claims(asserted, known)


def _cited(
    claims: Iterable[Claim], causes: Iterable[Cause], known: Mapping[str, EvidenceItem]
) -> list[EvidenceItem]:
    order: dict[str, None] = {}
    for ids in [*(claim.evidence_ids for claim in claims), *(cause.evidence_ids for cause in causes)]:
        order.update(dict.fromkeys(one for one in ids if one in known))
    return [known[one] for one in order][:EVIDENCE_AT_MOST]


def _recommendations(
    told: Told, interim: Verdict, cause: Cause | None, agrees: bool, priority: Priority
) -> list[Recommendation]:
    """The model's; triage's where it has none and both mean the same cause."""
    if not told.opinion.recommendations:
        return interim.recommendations if agrees else []
    familiar = {one.command for one in interim.recommendations if one.command}
    sure = cause.confidence.value if cause else 0.0
    return [
        _recommendation(one, familiar, sure, priority if rank == 0 else Priority.p3)
        for rank, one in enumerate(told.opinion.recommendations)
    ]


def _recommendation(
    written: WrittenAdvice, familiar: set[str], sure: float, priority: Priority
) -> Recommendation:
    command = (written.command or "").strip() or None
    shown = command if command is not None and (command in familiar or harmless(command)) else None
    note = f" {LEFT_OUT}" if command and shown is None else ""
    return Recommendation(
        title=first_sentence(written.title, 160),
        description=f"{written.description or written.title}{note}",
        action_type=action_type(shown),
        command=shown,
        priority=PRIORITY_WORDS[priority],
        confidence=sure,
        risk=_joined(written.risk.strip(), READ_FIRST),
    )


def harmless(command: str) -> bool:
    """Whether a command a model wrote may be shown to be copied: one command, reading or easily taken back."""
    return len(command) <= 400 and _COMMAND.fullmatch(command) is not None


def _of_triage(triage: Cause | None, agrees: bool) -> dict[str, Any]:
    return {"cause": str(triage.target) if triage else None, "agrees": agrees}


def first_sentences(text: str, at_most: int) -> str:
    """The text on one line, cut at the end of a sentence where it is too long."""
    line = " ".join(text.split())
    if len(line) <= at_most:
        return line
    end = line.rfind(". ", 0, at_most)
    return line[: end + 1] if end > at_most // 2 else line[: at_most - 1].rstrip() + "…"


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
