"""Images that cannot be pulled: not there, not allowed, registry not reachable, wrong architecture, no such name.

Sees the kubelet's waiting reason and message, its events, the pull secrets named (and whether they exist), and the
image the previous revision ran. Cannot see the registry; "not found" may hide a missing permission there.

Rests on: https://kubernetes.io/docs/concepts/containers/images/ (ImagePullBackOff, imagePullSecrets; the kubelet's
event FailedToRetrieveImagePullSecret); https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity, Remediation
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import Container
from services.context_api.domain.endings import began
from services.context_api.domain.evidence import Fact
from services.context_api.domain.kube import at, entries, listing, text
from services.context_api.domain.logs import cut, quote
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import by_top, clock, how_many

NAME = "image_pull"
REASONS = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
    }
)
_WHY: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (reason, words, re.compile(pattern, re.IGNORECASE))
    for reason, words, pattern in (
        ("ImageRateLimited", "the registry limits the rate of pulls", r"toomanyrequests|rate limit|429 too many"),
        ("ImagePlatformMissing", "it has no variant for the node's platform", r"no match for platform|no matching manifest|exec format"),
        ("InvalidImageName", "its name is not a valid image reference", r"invalidimagename|invalid reference format|couldn't parse image"),
        ("ImagePullUnauthorized", "the registry refuses the credentials, or there are none",
         r"unauthorized|authentication required|no basic auth|403 forbidden|denied: requested|insufficient_scope|access forbidden|permission denied|401"),
        ("ImageNotFound", "the registry has no such image or tag", r"not found|manifest unknown|does not exist|name unknown|name_unknown|no such image|404"),
        ("RegistryUnreachable", "the registry cannot be reached",
         r"i/o timeout|no such host|connection refused|x509|tls|deadline exceeded|network is unreachable|timed? ?out|EOF|503|500|server misbehaving"),
        ("ImageNeverPulled", "its pull policy is Never and the node does not have it", r"errimageneverpull|never pull|pull policy of never|not present with pull policy"),
    )
)  # fmt: skip


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload and image."""
    stuck = [c for c in scene.graph.restless if c.waiting_reason in REASONS]
    for top, group in by_top(scene, stuck):
        for image in dict.fromkeys(c.image for c in group):
            yield _observation(scene, top, image, [c for c in group if c.image == image])


def why(message: str, waiting_reason: str) -> tuple[str, str]:
    """Reason code and words for a pull error."""
    for reason, words, pattern in _WHY:
        if pattern.search(message) or pattern.search(waiting_reason):
            return reason, words
    return "ImagePullBackOff", "the kubelet does not say why"


def _observation(scene: Scene, top: KubeObject, image: str, group: list[Container]) -> Observation:
    pods = [c.pod for c in group]
    message, facts = _message(scene, group)
    reason, words = why(message, group[0].waiting_reason)
    workload = scene.graph.workload(group[0].pod)
    sentence = (
        f"Image `{cut(image, 200)}` of {group[0]} cannot be pulled in {how_many(scene, top, pods)}: {words}"
    )
    if message:
        sentence += f" (`{quote(message)}`)"
    before, told = _before(scene, workload, group[0].name)
    sentence += told
    blames, secrets, absent = _pull_secrets(scene, pods, reason)
    sentence += secrets
    if absent:
        reason = "ImagePullSecretMissing"
    return Observation(
        about=top,
        reason=reason,
        text=sentence,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.92 if reason != "ImagePullBackOff" else 0.75,
        facts=(_state_fact(group[0], image), *facts),
        basis=(
            f"the kubelet waits with {group[0].waiting_reason}",
            "the registry's answer" if message else "no answer of the registry recorded",
        ),
        onset=began(scene, pods, frozenset({"Failed", "BackOff"})),
        remediation=_remedy(workload, group[0], before, image),
        blames=blames,
    )


def _state_fact(container: Container, image: str) -> Fact:
    return evidence.field(
        container.pod,
        f"status.containerStatuses[{container.name}].state.waiting",
        {
            "reason": container.waiting_reason,
            "message": redact(text(container.waiting.get("message"))),
            "image": image,
        },
        f"{container} of pod {container.pod.name} waits: {container.waiting_reason}",
    )


def _message(scene: Scene, group: list[Container]) -> tuple[str, list[Fact]]:
    """The registry's words: the longest error among the waiting message and the kubelet's events."""
    best, facts = "", []
    for container in group[:3]:
        said = text(container.waiting.get("message"))
        if not said.startswith("Back-off"):
            best = best or said
        for event in scene.graph.events_about(container.pod):
            if (
                event.reason in ("Failed", "InspectFailed", "ErrImageNeverPull")
                and "pull" in event.message.lower()
            ):
                facts.append(evidence.event(container.pod, event))
                best = best or event.message
        if best:
            break
    return redact(best), facts[:2]


def _before(scene: Scene, workload: KubeObject, container: str) -> tuple[str, str]:
    """The image the previous revision ran, and a clause that says so."""
    rollout = scene.rollouts.of(workload)
    for change in rollout.changes if rollout else ():
        if rollout and f"[{container}].image" in change.path and change.before:
            return change.before, f"; changed from `{change.before}` by the rollout at {clock(rollout.at)}"
    return "", ""


def _pull_secrets(
    scene: Scene, pods: list[KubeObject], reason: str
) -> tuple[tuple[Blame, ...], str, list[str]]:
    """Which pull secrets apply, and those named that do not exist: none of them recorded, or the kubelet says so."""
    if reason != "ImagePullUnauthorized":
        return (), "", []
    pod = pods[0]
    names = [text(s.get("name")) for s in entries(pod.spec.get("imagePullSecrets"))]
    account = scene.graph.get(
        "ServiceAccount", pod.namespace, text(pod.spec.get("serviceAccountName")) or "default"
    )
    names += [text(s.get("name")) for s in entries(account.body.get("imagePullSecrets"))] if account else []
    if not names:
        return (), "; the pod names no imagePullSecrets", []
    found = [scene.graph.get("Secret", pod.namespace, n) for n in names]
    absent = [n for n, s in zip(names, found, strict=True) if s is None]
    told = " ".join(
        e.message
        for one in pods
        for e in scene.graph.events_about(one)
        if e.reason == "FailedToRetrieveImagePullSecret"
    )
    recorded = any(True for _ in scene.snapshot.of_kind("Secret", pod.namespace))
    absent = [n for n in absent if recorded or n in told]
    clause = f"; its imagePullSecrets: {listing(names)}"
    if absent:
        clause += f", of which {listing(absent)} does not exist"
    blames = [Blame(s, 0.7, "it holds the credentials for the registry") for s in found if s is not None]
    return tuple(blames), clause, absent


def _remedy(workload: KubeObject, container: Container, before: str, image: str) -> Remediation:
    if before and workload.kind != "Pod" and at(container.spec, "image") == image:
        return remedies.set_image(workload, container.name, before, image)
    return remedies.edit(workload, f"Name an image that exists and may be pulled for {container}.")
