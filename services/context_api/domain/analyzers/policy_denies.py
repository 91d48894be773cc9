"""Admission policies that refuse what they let pass before, because they were changed.

Sees denials in the words of GitOps applications, of conditions and events of whatever makes pods, and the policy each
names: Kyverno's, a Gatekeeper constraint, a ValidatingAdmissionPolicy or its binding. The policy is the cause when it was
changed after what it refuses was last written: whatever runs had passed it. Else the new version is at fault, which the
denial itself says.
Cannot see what a policy says to anything but what was refused, nor repositories.

Rests on: https://kyverno.io/docs/policy-types/cluster-policy/validate/,
https://open-policy-agent.github.io/gatekeeper/website/docs/howto/ (constraints),
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import applied_changes, first_seen_change, last_edit
from services.context_api.domain.kube import at, entries, listing, mapping, text
from services.context_api.domain.logs import cut, is_narrative
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "policy_denies"
_TOLD_BY = frozenset({"pod_rejected", "gitops", "unhealthy_condition", "rollout_stuck", "job_failed"})
_KYVERNO = re.compile(r"following policies:?\s+(.{1,4000})", re.DOTALL)
_KYVERNO_NAMED = re.compile(r"(?:^|\n)\s{0,1}([a-z0-9][\w.-]*(?:/[a-z0-9][\w.-]*)?):\s")
_GATEKEEPER = re.compile(r"gatekeeper[\w.-]*\"? denied the request:?\s*((?:\[[^\]\n]{1,253}\][^\[]*)+)")
_IN_BRACKETS = re.compile(r"\[(?:denied by )?([a-z0-9][\w.-]*)\]")
_NATIVE = re.compile(r"ValidatingAdmissionPolicy '([^']+)' with binding '([^']+)' denied request")
_REFUSED = re.compile(r"\bresource ([A-Z]\w+)/(?:([a-z0-9-]+)/)?([a-z0-9][\w.-]*) was blocked")
_LONGEST = 8000


@dataclass(frozen=True, slots=True)
class _Denial:
    """Somebody's write that a policy refused."""

    policy: KubeObject
    told_by: Observation
    refused: KubeObject | None
    message: str


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per policy that was changed since what it refuses was written."""
    found: dict[int, list[_Denial]] = {}
    for one in seen:
        if one.analyzer in _TOLD_BY and not one.latent:
            for denial in _denials(scene, one):
                if _changed_last(scene, denial):
                    found.setdefault(id(denial.policy), []).append(denial)
    for denials in found.values():
        yield _observation(scene, denials)


def _denials(scene: Scene, one: Observation) -> Iterator[_Denial]:
    for obj, message in _messages(scene, one.about):
        if is_narrative(message):
            continue
        refused = _REFUSED.search(message)
        target = scene.graph.get(refused[1], refused[2], refused[3]) if refused else None
        if target is None and obj.kind != "Application" and scene.graph.workloads_of(one.about):
            target = scene.graph.workload(obj)
        for policy in policies_in(scene, message):
            yield _Denial(policy, one, target, message)


def _messages(scene: Scene, about: KubeObject) -> Iterator[tuple[KubeObject, str]]:
    """What is said of an object and of what makes its pods: conditions, events, the results of a sync."""
    makers = [m for w in scene.graph.workloads_of(about) for m in (w, *scene.rollouts.revisions(w))]
    for obj in list({id(o): o for o in (about, *makers)}.values()):
        said = [text(c.get("message")) for c in entries(obj.status.get("conditions"))]
        operation = mapping(obj.status.get("operationState"))
        said += [text(r.get("message")) for r in entries(at(operation, "syncResult", "resources"))]
        said.append(text(operation.get("message")))
        said += [e.message for e in scene.graph.events_about(obj)]
        yield from ((obj, message[:_LONGEST]) for message in said if "den" in message or "block" in message)


def policies_in(scene: Scene, message: str) -> list[KubeObject]:
    """The recorded policies a denial names, each once."""
    named: list[KubeObject | None] = []
    if kyverno := _KYVERNO.search(message):
        for name in _KYVERNO_NAMED.findall(f"\n{kyverno[1]}"):
            space, _, bare = name.rpartition("/")
            named += [
                p
                for p in scene.graph.of_kind("Policy", "ClusterPolicy", "ValidatingPolicy")
                if p.group.endswith("kyverno.io") and p.name == bare and (not space or p.namespace == space)
            ]
    if gatekeeper := _GATEKEEPER.search(message):
        names = set(_IN_BRACKETS.findall(gatekeeper[1]))
        named += [
            o for o in scene.snapshot.objects if o.group == "constraints.gatekeeper.sh" and o.name in names
        ]
    for policy, binding in _NATIVE.findall(message):
        pair = (
            scene.graph.get("ValidatingAdmissionPolicy", None, policy),
            scene.graph.get("ValidatingAdmissionPolicyBinding", None, binding),
        )
        known = [p for p in pair if p is not None]
        named += sorted(known, key=lambda p: (_changed(p) is not None, _changed(p)), reverse=True)[:1]
    return list({id(p): p for p in named if p is not None}.values())


def _changed(policy: KubeObject) -> datetime | None:
    return first_seen_change(policy)


def _changed_last(scene: Scene, denial: _Denial) -> bool:
    """Whether the policy was changed after what it refuses was last written, so that what runs never met it."""
    changed = _changed(denial.policy)
    if changed is None or changed > scene.now:
        return False
    written = _written(scene, denial.refused) if denial.refused is not None else None
    return written is not None and changed > written


def _written(scene: Scene, obj: KubeObject) -> datetime | None:
    """When what runs was written: of a workload whose newest revision has no pods yet, the revision before."""
    revisions = [r for r in scene.rollouts.revisions(obj) if r.created_at is not None]
    if obj.kind != "Deployment" or not revisions:
        return first_seen_change(obj)
    passed = [r for r in revisions if scene.graph.made_by(r)] or revisions[:1]
    return max(r.created_at for r in passed if r.created_at is not None)


def _observation(scene: Scene, denials: list[_Denial]) -> Observation:
    first = denials[0]
    policy, refused = first.policy, first.refused
    edit, since = last_edit(policy), _changed(policy)
    written = _written(scene, refused) if refused is not None else None
    changes = [str(c) for c in applied_changes(policy, edit)] if edit is not None else []
    what = name_of(refused) if refused is not None else "what is applied"
    words = f"{name_of(policy)} refuses {what}: `{cut(redact(_words(first.message)), 300)}`; it "
    words += (
        f"was edited at {clock(since)} by {edit.by}" if edit is not None else f"was made at {clock(since)}"
    )
    words += f", after {what} was last written ({clock(written)})" if written is not None else ""
    words += (
        f": {listing(changes or (list(edit.paths) if edit is not None else []), 4)}"
        if edit is not None
        else ""
    )
    tops = {id(d.told_by.about): d.told_by for d in denials}
    return Observation(
        about=policy,
        reason="PolicyDenies",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.92,
        facts=(
            evidence.change(
                policy,
                f"{name_of(policy)} changed: {listing(changes, 4) or 'what it said before is not recorded'}",
                {"by": edit.by if edit is not None else "", "changes": changes[:20]},
                since,
            ),
            *(f for o in list(tops.values())[:3] for f in o.facts[:1]),
        ),
        basis=(
            "the denial names the policy",
            "it was changed after what it refuses was last written",
            *(() if changes else ("against it: what it said before is not recorded",)),
        ),
        onset=since,
        remediation=remedies.edit(
            policy,
            f"Put back what was changed in {name_of(policy)}, or change what it refuses if the new rule was meant.",
            risk="Everything that is applied from then on is judged by the changed policy.",
        ),
        explains=tuple(
            Explains(o.about, 0.95, f"{name_of(policy)} refuses what it applies") for o in tops.values()
        ),
    )


def _words(message: str) -> str:
    """From the denial on; what stands before are paths and retries."""
    start = message.find("denied the request")
    start = max(message.rfind("admission webhook", 0, start), 0) if start >= 0 else 0
    return message[start:]
