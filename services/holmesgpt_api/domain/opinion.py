"""Turn a model's conclusion into a verdict, or refuse it. Pure.

The model is trusted with finding words and connections, with nothing else: its claims are checked against the
facts it was really shown, an object its asker may not read is not named, a command that is not a harmless or a
well-known one is left out, and where it disagrees with triage both are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from libs.contracts.causes import Cause, Confidence, FindingSeverity, MayRead, NoCause
from libs.contracts.evidence import EvidenceItem
from libs.contracts.investigations import Claim, InvestigationResults, Recommendation
from libs.contracts.target import Target
from services.holmesgpt_api.domain.advice import recommendations
from services.holmesgpt_api.domain.claims import HYPOTHESIS, Archive, check, judge, standing
from services.holmesgpt_api.domain.model import NAME, UNSUPPORTED, ModelFailed, Told
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.verdict import EVIDENCE_AT_MOST, ModelUse, Verdict
from services.holmesgpt_api.domain.visibility import reader
from services.holmesgpt_api.domain.wording import about
from services.holmesgpt_api.engine.messages import WrittenCause

SUREST = 0.95
"""A model's own certainty counts no higher: it is not calibrated."""

PARTLY = 0.5
"""And no higher than this when some of what it cites or says does not exist."""

SUMMARY = 600


def conclude(told: Told, interim: Verdict, run: Claimed) -> Verdict:
    """The model's verdict, with triage's beside it.

    Raises:
        ModelFailed: what it concludes rests on nothing it was shown, or is about what the asker may not read.
    """
    may_read = reader(run.tenant, run.reads)
    known = _visible([*told.evidence, *interim.results.evidence], may_read)
    triage = interim.results.cause
    archive = Archive(known, _causes(interim), _asked_about(told.use, interim, may_read))
    cause = (
        None
        if told.opinion.cause is None
        else _cause(told.opinion.cause, interim, archive, may_read, told.use)
    )
    agrees = cause is not None and triage is not None and _same(cause.target, triage.target)
    disagreement = "" if agrees else _disagreement(cause, triage, told.opinion.disagreement)
    contributing = [one for one in _causes(interim) if cause is None or not _same(one.target, cause.target)]
    claims = _claims(told, cause, archive)
    summary, left_out = _summary(told, cause, claims, archive)
    results = interim.results
    return Verdict(
        engine=NAME,
        summary=_joined(first_sentences(summary, SUMMARY), disagreement),
        root_cause=about(cause.target, cause.text) if cause else None,
        confidence_basis=[*(cause.confidence.basis if cause else []), *left_out],
        recommendations=_recommendations(told, interim, cause, agrees, archive, run),
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
    """By id; the first of each, which is as the model was shown it."""
    known: dict[str, EvidenceItem] = {}
    for item in items:
        if item.target is None or may_read(item.target.namespace):
            known.setdefault(item.id, item)
    return known


def _cause(
    written: WrittenCause,
    interim: Verdict,
    archive: Archive,
    may_read: MayRead,
    use: ModelUse,
) -> Cause:
    known = archive.items
    target = _target(written.target, interim, known.values())
    if target is None:
        raise ModelFailed(UNSUPPORTED, "what it names as the cause is no object", use)
    if not may_read(target.namespace):
        raise ModelFailed(UNSUPPORTED, "its cause lies where the asker may not read", use)
    cited = [one for one in dict.fromkeys(written.evidence_ids) if one in known]
    if not cited:
        raise ModelFailed(UNSUPPORTED, "its cause cites nothing that it was shown", use)
    invented = len(set(written.evidence_ids)) - len(cited)
    same = next((one for one in _causes(interim) if _same(one.target, target)), None)
    basis = [f"the model cites {len(cited)} facts that it was shown"]
    basis += [f"{invented} facts it cites do not exist"] if invented else []
    faults = list(judge(written.text, cited, archive).faults)
    if same is None and not archive.has(target.kind.lower(), target.namespace, target.name):
        faults.insert(0, f"nobody looked at {target}")
    basis += [f"of what it says: {'; '.join(faults[:3])}"] if faults else []
    basis += ["triage names the same object"] if same else []
    basis += [known[one].summary for one in cited[:5]]
    return Cause(
        target=target,
        reason=written.reason,
        text=written.text,
        severity=same.severity if same else FindingSeverity.critical,
        onset=same.onset if same else None,
        confidence=Confidence(
            value=min(written.confidence, PARTLY if invented or faults else SUREST), basis=basis
        ),
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


def _claims(told: Told, cause: Cause | None, archive: Archive) -> list[Claim]:
    asserted = [
        Claim(text=one.text, status=HYPOTHESIS, evidence_ids=list(dict.fromkeys(one.evidence_ids)))
        for one in told.opinion.claims
    ]
    if cause is not None and told.opinion.cause is not None:
        first = list(dict.fromkeys(told.opinion.cause.evidence_ids))
        text = about(cause.target, cause.text)
        asserted.insert(0, Claim(text=text, status=HYPOTHESIS, evidence_ids=first))
    return check(asserted, archive)


def _summary(
    told: Told, cause: Cause | None, claims: Sequence[Claim], archive: Archive
) -> tuple[str, list[str]]:
    """The sentences of the model's summary that stand in what it cites; why others were left out."""
    cited = [one for claim in claims for one in claim.evidence_ids]
    cited += cause.evidence_ids if cause else list(archive.items)
    kept, faults = standing(told.opinion.summary, cited, archive)
    if not faults:
        return told.opinion.summary, []
    if not kept:
        kept = f"The model names {cause.target} ({cause.reason})." if cause else "The model names no cause."
    return kept, [f"left out of the model's summary: {'; '.join(faults[:3])}"]


def _asked_about(use: ModelUse, interim: Verdict, may_read: MayRead) -> list[Target]:
    """Objects that were looked at, whether or not there was anything to see."""
    targets = [interim.results.target] if interim.results.target else []
    for one in use.tools:
        if one.toolset is not None:
            continue  # what a foreign system was asked about is not the cluster's for that
        named = one.arguments.get("of") or one.arguments.get("target") or ""
        if one.tool == "get_logs":
            named = f"Pod/{one.arguments.get('namespace', '')}/{one.arguments.get('pod', '')}"
        target = _target(named, interim, ()) if one.ok and "/" in named else None
        targets += [target] if target is not None else []
    return [one for one in targets if may_read(one.namespace)]


def _cited(
    claims: Iterable[Claim], causes: Iterable[Cause], known: Mapping[str, EvidenceItem]
) -> list[EvidenceItem]:
    order: dict[str, None] = {}
    for ids in [*(claim.evidence_ids for claim in claims), *(cause.evidence_ids for cause in causes)]:
        order.update(dict.fromkeys(one for one in ids if one in known))
    return [known[one] for one in order][:EVIDENCE_AT_MOST]


def _recommendations(
    told: Told, interim: Verdict, cause: Cause | None, agrees: bool, archive: Archive, run: Claimed
) -> list[Recommendation]:
    """The model's; triage's where it has none and both mean the same cause."""
    if not told.opinion.recommendations:
        return interim.recommendations if agrees else []
    return recommendations(told.opinion.recommendations, interim, cause, archive, run.priority)


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
