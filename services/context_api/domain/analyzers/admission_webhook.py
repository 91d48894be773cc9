"""Admission webhooks nobody answers: the API server asks them before it takes an object, and refuses without an answer.

Sees the Service each webhook of a Validating- or MutatingWebhookConfiguration (and each conversion webhook of a
CustomResourceDefinition) names: missing, without ready endpoints, or not serving the port; the failure policy; and
whether the webhook's own pods wait for it (then it can never come back by itself).
A webhook with policy Ignore is latent; a refusal told by another analyzer, word for word, ties it to who was
refused. What keeps the Service's pods down is blamed through the Service.
Cannot see webhooks reached by URL, what the API server's own network may reach, nor a certificate's match.

Rests on: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/ (service
reference, failure policy), https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/
(self-dependency).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.complaints import uttered
from services.context_api.domain.kube import at, entries, listing, mapping, number, text
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "admission_webhook"
KINDS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
HTTPS = 443
"""The port of a service reference that names none."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook that is reached through a Service."""

    config: KubeObject
    name: str
    namespace: str
    service: str
    port: int
    policy: str
    """`Fail` or `Ignore`; a conversion webhook can only fail."""

    @property
    def refusal(self) -> str:
        """How the API server begins its refusal when the webhook does not answer."""
        if self.config.kind == "CustomResourceDefinition":
            return f"conversion webhook for {self.name}"
        return f'failed calling webhook "{self.name}"'


@dataclass(frozen=True, slots=True)
class _Fault:
    reason: str
    words: str
    service: KubeObject | None


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per configuration and Service that does not answer for it."""
    told: set[tuple[int, str, str]] = set()
    for hook in hooks(scene):
        fault = _fault(scene, hook)
        key = (id(hook.config), hook.namespace, hook.service)
        if fault is None or key in told:
            continue
        told.add(key)
        same = [h for h in hooks(scene) if (id(h.config), h.namespace, h.service) == key]
        yield _observation(
            scene, same, fault, [o for o in seen if any(h.refusal in uttered(o) for h in same)]
        )


def hooks(scene: Scene) -> Iterator[Hook]:
    """All webhooks with a service reference, in a stable order."""
    for config in scene.graph.of_kind(*KINDS):
        for webhook in entries(config.body.get("webhooks")):
            policy = text(webhook.get("failurePolicy")) or "Fail"
            yield from _hook(config, text(webhook.get("name")), webhook.get("clientConfig"), policy)
    for definition in scene.graph.of_kind("CustomResourceDefinition"):
        conversion = mapping(definition.spec.get("conversion"))
        if conversion.get("strategy") == "Webhook":
            kind = f"{text(definition.spec.get('group'))}/{_served(definition)}, Kind={text(at(definition.spec, 'names', 'kind'))}"
            yield from _hook(definition, kind, at(conversion, "webhook", "clientConfig"), "Fail")


def _served(definition: KubeObject) -> str:
    """The version objects are stored in: refusals name it."""
    versions = entries(definition.spec.get("versions"))
    return next((text(v.get("name")) for v in versions if v.get("storage") is True), "")


def _hook(config: KubeObject, name: str, client: object, policy: str) -> Iterator[Hook]:
    service: Body = mapping(mapping(client).get("service"))
    namespace, called = text(service.get("namespace")), text(service.get("name"))
    if namespace and called:
        yield Hook(config, name, namespace, called, number(service.get("port"), HTTPS), policy)


def _fault(scene: Scene, hook: Hook) -> _Fault | None:
    """Why nobody answers behind the webhook's Service; None when somebody does, or nobody can tell."""
    service = scene.graph.get("Service", hook.namespace, hook.service)
    place = f"Service {hook.namespace}/{hook.service}"
    if service is None:
        if not _recorded(scene, hook.namespace):
            return None
        return _Fault("WebhookServiceNotFound", f"{place}, which does not exist", None)
    ports = [number(p.get("port")) for p in entries(service.spec.get("ports"))]
    if text(service.spec.get("type")) == "ExternalName":
        return None
    if ports and hook.port not in ports:
        serves = listing([str(p) for p in ports])
        return _Fault("WebhookPortNotFound", f"port {hook.port} of {place}, which serves {serves}", None)
    state = scene.graph.endpoints(service)
    if state.ready or not (state.recorded or mapping(service.spec.get("selector"))):
        return None
    return _Fault("WebhookWithoutEndpoints", f"{place}, which has no ready endpoint", service)


def _recorded(scene: Scene, namespace: str) -> bool:
    """Whether a Service missing from that namespace is surely not there: its neighbours, or its namespace's absence, are."""
    if scene.graph.services_in(namespace):
        return True
    namespaces = scene.graph.of_kind("Namespace")
    known = {n.name for n in namespaces}
    if namespace not in known:
        return bool(namespaces) and bool(scene.graph.of_kind("Service"))
    return bool(scene.graph.workloads_in(namespace)) and bool(scene.graph.of_kind("Service"))


def _observation(
    scene: Scene, same: Sequence[Hook], fault: _Fault, refused: Sequence[Observation]
) -> Observation:
    first = same[0]
    config, service = first.config, fault.service
    strict = any(h.policy == "Fail" for h in same)
    names = listing([f"`{h.name}`" for h in same])
    behind = scene.graph.behind(service) if service is not None else []
    circular = [o for o in refused if any(o.about is top for top in behind)]
    edit = last_edit(config)
    since = edit.at if edit is not None and service is None else None
    words = f"{name_of(config)} sends the API server's requests for {names} to {fault.words}"
    words += (
        "; with failurePolicy Fail they are refused" if strict else "; failurePolicy Ignore lets them pass"
    )
    if circular:
        words += f"; {name_of(circular[0].about)}, which stands behind it, is itself refused by it: neither can start before the other"
    if since is not None and edit is not None:
        words += f"; edited at {clock(since)} by {edit.by}"
    return Observation(
        about=config,
        reason="WebhookBlocksItself" if circular else fault.reason,
        text=words,
        severity=FindingSeverity.critical if refused and strict else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.93 if refused else 0.8,
        facts=(
            evidence.field(
                config,
                "webhooks" if config.kind in KINDS else "spec.conversion",
                [{"name": h.name, "service": f"{h.namespace}/{h.service}:{h.port}", "failurePolicy": h.policy} for h in same],
                words,
            ),
            *(fact for o in refused[:2] for fact in o.facts[:1]),
        ),
        basis=(
            "the configuration beside the Services and endpoints there are",
            *(("the API server's refusal names the webhook",) if refused else ()),
        ),
        onset=since or min((o.onset for o in refused if o.onset), default=None),
        remediation=remedies.edit(
            config,
            f"Bring back what answers for {name_of(config)}, or take it away with the product it belonged to; "
            "until then failurePolicy Ignore (or a namespaceSelector that leaves its own namespace out) lets requests pass.",
            risk="With failurePolicy Ignore, objects pass that the webhook would have refused or changed.",
        ),
        blames=(Blame(service, 0.95, "the API server calls the webhook there"),)
        if service is not None and not circular
        else (),
        explains=tuple(
            Explains(o.about, 0.95, f"the API server refuses while {config.name} is not answered") for o in refused
        )
        if strict
        else (),
        latent=not strict,
    )  # fmt: skip
