"""Webhooks whose certificate the API server does not trust, by the words of whatever it refuses for that.

Sees "failed calling webhook" with a certificate's error in the status of any object (a release, an application, a
custom resource) or in a controller's log, finds the configuration that registers the webhook, and looks why its caBundle is not the one it
should be: the object that the bundle is to be injected from is not there, or the configuration was edited since. Pods
that are refused are `pod_rejected`'s, and webhooks that nobody answers `admission_webhook`'s.
Cannot see the certificate that the webhook serves, nor whether an injector runs.

Rests on: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/ (clientConfig,
caBundle), https://cert-manager.io/docs/concepts/ca-injector/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers.admission_webhook import Hook, hooks
from services.context_api.domain.changes import last_edit
from services.context_api.domain.complaints import Complaint, complaints
from services.context_api.domain.kube import listing, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "webhook_trust"
_CALLING = re.compile(r"failed calling webhook|conversion webhook for")
_UNTRUSTED = re.compile(
    r"x509: [^`\n]{1,160}|certificate signed by unknown authority|certificate verify failed"
)
_INJECTED = {
    "cert-manager.io/inject-ca-from": "Certificate",
    "cert-manager.io/inject-ca-from-secret": "Secret",
}
"""annotation -> kind of the object, NAMESPACE/NAME, that cert-manager takes the bundle from."""


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per configuration whose webhook is not trusted."""
    refused: dict[int, tuple[Hook, str, list[Complaint]]] = {}
    told = {id(o.about) for o in seen if o.reason == "WebhookUntrusted"}
    said = list(complaints(scene, seen, _CALLING))
    for hook in hooks(scene) if said else ():
        for one in said:
            _, named, after = one.words.partition(hook.refusal)
            found = _UNTRUSTED.search(after[:2000]) if named else None
            if found is not None and id(hook.config) not in told:
                refused.setdefault(id(hook.config), (hook, found[0], []))[2].append(one)
    for hook, words, victims in refused.values():
        yield _observation(scene, hook, cut(redact(words), 200), victims)


def _observation(scene: Scene, hook: Hook, said: str, victims: Sequence[Complaint]) -> Observation:
    config = hook.config
    names = listing(list(dict.fromkeys(name_of(o.about) for o in victims)))
    words = f"{name_of(config)} has a caBundle that does not vouch for the certificate of webhook {hook.name}, so the API server refuses {names}: `{said}`"
    lacking = [
        f"the bundle is to be injected from {kind} {place} ({key}), which does not exist"
        for key, kind in _INJECTED.items()
        if (place := text(config.annotations.get(key))) and _is_missing(scene, kind, place)
    ]
    words += f"; {lacking[0]}" if lacking else ""
    edit = last_edit(config)
    words += f"; it was edited at {clock(edit.at)} by {edit.by}" if edit is not None else ""
    since = min((o.onset for o in victims if o.onset), default=None)
    service = scene.graph.get("Service", hook.namespace, hook.service)
    serving = scene.graph.behind(service) if service is not None else []
    return Observation(
        about=config,
        reason="WebhookUntrusted",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.92 if lacking else 0.88,
        facts=(
            *(fact for o in victims[:2] for fact in o.facts[:1]),
            evidence.field(
                config,
                "metadata.annotations",
                {key: text(config.annotations.get(key)) for key in _INJECTED if key in config.annotations},
                words,
            ),
        ),
        basis=(
            "the API server's refusal names the webhook",
            *(("what the bundle is to be taken from is not recorded, while others of its kind are",) if lacking else ()),
        ),
        onset=edit.at if edit is not None and since is not None and edit.at < since else since,
        remediation=remedies.edit(
            config,
            f"Let {name_of(config)} have the bundle of the authority that signs the webhook's certificate"
            + (", from an object that exists." if lacking else "."),
        ),
        explains=(
            *(Explains(o.about, 0.95, f"the API server does not trust webhook {hook.name}") for o in victims),
            *(Explains(s, 0.9, "its log tells the same from the other side", deepest=Depth.process) for s in serving),
        ),
    )  # fmt: skip


def _is_missing(scene: Scene, kind: str, place: str) -> bool:
    """Whether an object of a recorded kind is surely not there."""
    namespace, _, name = place.partition("/")
    there: list[KubeObject] = list(scene.snapshot.of_kind(kind))
    return bool(there) and scene.snapshot.get(kind, namespace, name) is None
