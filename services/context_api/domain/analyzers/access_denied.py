"""Requests to the API server that are forbidden: whose role lacks what, and which binding is missing or wrong.

Sees "cannot list resource …" in logs and events of failing workloads and evaluates the recorded roles and bindings
for that very request. Blames the role that lacks the rule, the binding that names a role or subject that is not
there (an account of that name in another namespace), the role that grants it and that no binding names (any more), else
the workload. Says nothing when the recorded roles allow the request, nor of what a ready program has left behind
(`still_said`); what it was refused an hour before the alert already, and goes on, is latent and as often meant as not.
Cannot see other authorizers (webhooks, nodes).

Rests on: kubernetes.io/docs, "Using RBAC Authorization".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.dependencies import ASTRAY
from services.context_api.domain.focus import carried, concerned
from services.context_api.domain.kube import entries, mapping, pod_spec, strings, text
from services.context_api.domain.logs import cut, shape_of, timed_lines
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import ContainerLog, KubeObject
from services.context_api.domain.still_said import lives_with, over_in
from services.context_api.domain.wording import clock, name_of

NAME = "access_denied"
MAY_BE_MEANT = 0.4
"""Certainty of a refusal that a program has lived with: below that of states that count by themselves."""
_DENIED = re.compile(
    r"User \\?\"system:serviceaccount:([a-z0-9-]+):([a-z0-9.-]+)\\?\" cannot (\w+) resource \\?\"([\w./-]+)\\?\" in API group \\?\"([\w.-]*)\\?\""
    r"(?: in the namespace \\?\"([a-z0-9-]+)\\?\"| at the cluster scope)?"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of the API server, and refused."""

    namespace: str
    account: str
    verb: str
    resource: str
    group: str
    within: str | None
    """Namespace of the request; None at cluster scope."""

    def __str__(self) -> str:
        place = f"in namespace {self.within}" if self.within else "at cluster scope"
        group = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {group} {place}"


def read(line: str) -> Request | None:
    """The refused request a line tells of."""
    found = _DENIED.search(line[:4000])
    return Request(found[1], found[2], found[3], found[4], found[5] or "", found[6]) if found else None


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per refused request of a failing workload (or of the alert's)."""
    told: set[Request] = set()
    for top in concerned(scene, seen):
        for pod in scene.graph.pods_of(top)[:6]:
            for log in scene.snapshot.logs_of(pod.namespace, pod.name):
                refused = _refused(scene, pod, log)
                for request, (line, first) in refused.items():
                    if request not in told and not allowed(scene, request):
                        told.add(request)
                        found = _observation(scene, top, pod, log.container, request, line)
                        yield (
                            _always_so(found) if lives_with(pod, log.container, first, scene.onset) else found
                        )


def _refused(scene: Scene, pod: KubeObject, log: ContainerLog) -> dict[Request, tuple[str, datetime | None]]:
    """The refusals that still hold: one line of each, and when it was refused first."""
    lines = timed_lines(log.text) if "cannot" in log.text else []
    over = over_in(pod, log, lines, scene.now, scene.onset or scene.now) if lines else {}
    found: dict[Request, tuple[str, datetime | None]] = {}
    for moment, line in lines:
        request = read(line) if "cannot" in line and shape_of(line) not in over else None
        if request is not None:
            found.setdefault(request, (line, moment))
    return found


def _always_so(found: Observation) -> Observation:
    """Many programs ask for more than they need: it counts where this one is seen to fail."""
    against = f"{AGAINST}it was refused long before the alert, and goes on running"
    return replace(found, latent=True, certainty=MAY_BE_MEANT, basis=(*found.basis, against))


def allows(role: KubeObject, request: Request) -> bool:
    """Whether one of the role's rules allows the request."""
    base = request.resource.split("/")[0]
    for rule in entries(role.body.get("rules")):
        verbs, groups, resources = (strings(rule.get(f)) for f in ("verbs", "apiGroups", "resources"))
        if (
            not strings(rule.get("resourceNames"))
            and (request.verb in verbs or "*" in verbs)
            and (request.group in groups or "*" in groups)
            and (request.resource in resources or "*" in resources or f"{base}/*" in resources)
        ):
            return True
    return False


def _names(binding: KubeObject, request: Request) -> bool:
    for subject in entries(binding.body.get("subjects")):
        kind, name = text(subject.get("kind")), text(subject.get("name"))
        if (
            kind == "ServiceAccount"
            and name == request.account
            and (text(subject.get("namespace")) or binding.namespace) == request.namespace
        ):
            return True
        if kind == "Group" and name in (
            "system:serviceaccounts",
            f"system:serviceaccounts:{request.namespace}",
            "system:authenticated",
        ):
            return True
        if kind == "User" and name == f"system:serviceaccount:{request.namespace}:{request.account}":
            return True
    return False


def _bindings(scene: Scene, request: Request) -> list[KubeObject]:
    """Bindings that reach the request's place."""
    found = scene.graph.of_kind("ClusterRoleBinding")
    return found + [
        b for b in scene.graph.of_kind("RoleBinding") if request.within and b.namespace == request.within
    ]


def _role_of(scene: Scene, binding: KubeObject) -> KubeObject | None:
    reference = mapping(binding.body.get("roleRef"))
    kind, name = text(reference.get("kind")), text(reference.get("name"))
    return scene.graph.get(kind, None if kind == "ClusterRole" else binding.namespace, name)


def allowed(scene: Scene, request: Request) -> bool:
    """Whether the recorded roles allow it: then the refusal is older than they are."""
    roles = [_role_of(scene, b) for b in _bindings(scene, request) if _names(b, request)]
    return any(role is not None and allows(role, request) for role in roles)


def _culprit(scene: Scene, request: Request, top: KubeObject) -> tuple[KubeObject, str, str]:
    """(object, reason, in words) of what must change."""
    bound = [b for b in _bindings(scene, request) if _names(b, request) and not _is_default(b)]
    for binding in bound:
        role = _role_of(scene, binding)
        if role is None:
            reference = text(mapping(binding.body.get("roleRef")).get("name"))
            return (
                binding,
                "BindingToMissingRole",
                f"{name_of(binding)} names role {reference}, which does not exist",
            )
    if bound:
        roles = [r for b in bound if (r := _role_of(scene, b)) is not None]
        # The role that knows the resource and lacks the verb is nearer than one that knows it not at all.
        roles.sort(key=lambda r: (not _knows(r, request), r.namespace is None, r.name))
        return (
            roles[0],
            "RoleLacksPermission",
            f"{name_of(roles[0])}, bound to it by {name_of(bound[0])}, has no such rule",
        )
    granting = [
        b
        for b in _bindings(scene, request)
        if (r := _role_of(scene, b)) is not None
        and allows(r, request)
        and not _is_default(b)
        and _near(b, request)
    ]
    if granting:
        subjects = [
            f"{text(s.get('namespace')) or granting[0].namespace}/{text(s.get('name'))}"
            for s in entries(granting[0].body.get("subjects"))
        ]
        return (
            granting[0],
            "BindingLacksSubject",
            f"{name_of(granting[0])} grants it, but to {', '.join(subjects) or 'nobody'}",
        )
    strayed = _strayed(scene, request)
    if strayed is not None:
        return (
            strayed[0],
            "BindingLacksSubject",
            f"{name_of(strayed[0])} names ServiceAccount {strayed[1]}/{request.account}, which does not exist, in the place of this one",
        )
    loose = _unbound(scene, request)
    if loose is not None:
        return loose, "RoleNotBound", f"{name_of(loose)} grants it, but no binding names that role"
    return top, "NoRoleBound", "no role is bound to it that grants this"


def _strayed(scene: Scene, request: Request) -> tuple[KubeObject, str] | None:
    """A binding of an account of this name in a namespace that has none, and that namespace: an overlay rewrites those.

    Its role may be one of Kubernetes' own, which recordings leave out; one that is there has to grant the request.
    """
    for binding in _bindings(scene, request):
        role = _role_of(scene, binding)
        if _is_default(binding) or (role is not None and not allows(role, request)):
            continue
        for subject in entries(binding.body.get("subjects")):
            named, place = text(subject.get("name")), text(subject.get("namespace"))
            if (
                text(subject.get("kind")) == "ServiceAccount"
                and named == request.account
                and place
                and place != request.namespace
                and scene.graph.get("ServiceAccount", place, named) is None
                and scene.graph.get("ServiceAccount", request.namespace, named) is not None
            ):
                return binding, place
    return None


def _unbound(scene: Scene, request: Request) -> KubeObject | None:
    """A role of the place that grants it and that nobody is bound to: what is left when its binding was deleted.

    Cluster roles wait by the dozen for somebody to bind them; of those only one named like the account counts.
    """
    bound = {id(r) for b in _every_binding(scene) if (r := _role_of(scene, b)) is not None}
    roles = [r for r in scene.graph.of_kind("Role") if request.within and r.namespace == request.within]
    roles += [r for r in scene.graph.of_kind("ClusterRole") if request.account in r.name]
    loose = [r for r in roles if id(r) not in bound and allows(r, request) and not _is_default(r)]
    return min(
        loose, key=lambda r: (r.namespace is None, request.account not in r.name, r.name), default=None
    )


def _every_binding(scene: Scene) -> list[KubeObject]:
    return scene.graph.of_kind("ClusterRoleBinding", "RoleBinding")


def _is_default(binding: KubeObject) -> bool:
    return binding.name.startswith("system:") or "kubernetes.io/bootstrapping" in binding.labels


def _near(binding: KubeObject, request: Request) -> bool:
    """Whether a binding was plausibly meant for this account: same name somewhere, or the same namespace."""
    subjects = entries(binding.body.get("subjects"))
    return any(
        text(s.get("kind")) == "ServiceAccount"
        and (text(s.get("name")) == request.account or text(s.get("namespace")) == request.namespace)
        for s in subjects
    ) or (not subjects and binding.namespace == request.namespace)


def _knows(role: KubeObject, request: Request) -> bool:
    return any(request.resource in strings(rule.get("resources")) for rule in entries(role.body.get("rules")))


def _observation(
    scene: Scene, top: KubeObject, pod: KubeObject, container: str, request: Request, line: str
) -> Observation:
    culprit, reason, words = _culprit(scene, request, top)
    edit = last_edit(culprit) if culprit is not top else None
    told = f"; {name_of(culprit)} was edited at {clock(edit.at)} by {edit.by}" if edit is not None else ""
    used = text(pod_spec(scene.graph.workload(pod)).get("serviceAccountName")) or "default"
    aside = "" if used == request.account else f" (its pods now use account {used})"
    shown = redact(cut(line))
    return Observation(
        about=culprit,
        reason=reason,
        text=f"ServiceAccount {request.namespace}/{request.account}{aside}, which {name_of(top)} runs as, may not {request}: {words}{told}; its log: `{cut(shown, 240)}`",
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88,
        facts=(
            evidence.log_line(pod, container, shown, 1),
            evidence.field(
                culprit,
                "rules" if "Role" in culprit.kind else "spec",
                culprit.body.get("rules") or culprit.body.get("subjects") or {},
                name_of(culprit),
            ),
        ),
        basis=(
            "the API server's refusal in its log",
            "the recorded roles and bindings do not allow the request",
        ),
        onset=edit.at if edit is not None else None,
        remediation=remedies.bind(culprit, request.namespace, request.account, request.within)
        if reason == "RoleNotBound"
        else remedies.edit(
            culprit,
            f"Let ServiceAccount {request.namespace}/{request.account} {request}.",
            risk="Grant no more than what is refused.",
        ),
        explains=(
            Explains(top, 0.92, "the API server refuses its requests", deepest=Depth.process),
            *(
                Explains(caller, ASTRAY, f"{name_of(top)} carries its calls", deepest=Depth.process)
                for caller in carried(scene, top)
            ),
        ),
    )
