"""Copies of an authority's certificate that were left behind when the authority was renewed.

Sees workloads whose logs say that they do not trust the certificate of a Service, the Secrets with certificates that they
mount, and those that stand behind that Service use: where the server's is valid only from after the caller's was written
last, the caller trusts what was before. Tells which other copies were renewed along with it.
Cannot see the certificates themselves, only from when they are valid; so a renewed certificate of the same authority
looks alike where no log complains. Authorities in ConfigMaps have no recorded dates.

Rests on: RFC 5280 (validity, path validation); kubernetes.io/docs, "Secrets";
strimzi.io/docs, "Renewing your own CA certificates" and "Configuring internal clients to trust the cluster CA".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import first_seen_change
from services.context_api.domain.dependencies import Spoken
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import listing, mapping
from services.context_api.domain.logs import last_lines, quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.uses import used_by
from services.context_api.domain.wording import clock, name_of

NAME = "stale_trust"
_DISTRUST = re.compile(
    r"unknown authority|PKIX path|valid certification path|trust anchor|certificate[_ ]unknown|unknown[_ ]ca\b|"
    r"self[- ]signed certificate|unable to get (?:local )?issuer|certificate verify failed|unable to verify the first certificate",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?:^|[^a-z])ca(?:[^a-z]|$)|trust|root|bundle|authority", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Held:
    """A certificate in a Secret."""

    secret: KubeObject
    key: str
    begins: datetime

    @property
    def is_authority(self) -> bool:
        return _AUTHORITY.search(self.key) is not None


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one observation per workload that does not trust a Service any more."""
    for top in concerned(scene, seen):
        said = _distrusts(scene, top)
        if said is None or said.found is None:
            continue
        mine = [h for h in _held(scene, top) if h.is_authority]
        theirs = [h for other in scene.deps.behind(said.found) for h in _held(scene, other)]
        pairs = [
            (old, new)
            for old in mine
            for new in theirs
            if old.secret is not new.secret and old.begins < new.begins and _written(old) < new.begins
        ]
        if pairs:
            old, new = max(pairs, key=lambda p: (p[1].is_authority, p[1].begins, p[0].secret.name))
            yield _observation(scene, top, said, old, new)


def _distrusts(scene: Scene, top: KubeObject) -> Spoken | None:
    """What its log says about a Service whose certificate it does not trust."""
    spoken = [s for s in scene.deps.spoken(top) if s.trouble == "tls" and s.found is not None]
    if not spoken:
        return None
    pods = {id(s.pod): s.pod for s in spoken}
    lines = (
        line
        for pod in pods.values()
        for log in scene.snapshot.logs_of(pod.namespace, pod.name)
        for line in last_lines(log.text)
    )
    return spoken[0] if any(_DISTRUST.search(line) for line in lines) else None


def _held(scene: Scene, top: KubeObject) -> list[_Held]:
    """Certificates in the Secrets that its pods use."""
    found: dict[tuple[int, str], _Held] = {}
    for user in (*scene.graph.workloads_of(top), *scene.graph.pods_of(top)[:1]):
        for use, secret in used_by(scene.graph, user, "Secret"):
            for key, summary in mapping(secret.body.get("dataSummary")).items():
                begins = parse_time(mapping(summary).get("not_before"))
                if begins is not None and use.key in (None, key):
                    found[id(secret), str(key)] = _Held(secret, str(key), begins)
    return list(found.values())


def _written(held: _Held) -> datetime:
    return first_seen_change(held.secret) or held.begins


def _renewed(scene: Scene, old: _Held, new: _Held) -> list[str]:
    """Other Secrets of the copy's name that were renewed: somebody carries the change there."""
    return [
        str(other.namespace)
        for other in scene.graph.of_kind("Secret")
        if other.name == old.secret.name
        and other is not old.secret
        and parse_time(mapping(mapping(other.body.get("dataSummary")).get(old.key)).get("not_before"))
        == new.begins
    ]


def _observation(scene: Scene, top: KubeObject, said: Spoken, old: _Held, new: _Held) -> Observation:
    line = quote(said.line)
    words = (
        f"{name_of(old.secret)}, by which {name_of(top)} trusts {name_of(said.found) if said.found else 'it'}, still holds the certificate"
        f" `{old.key}` valid from {clock(old.begins)} (written at {clock(_written(old))}), while the server's {name_of(new.secret)}"
        f" was renewed at {clock(new.begins)}; its log: `{line}`"
    )
    copies = _renewed(scene, old, new)
    words += f"; the copy in namespace {listing(copies)} was renewed along with it" if copies else ""
    both = new.is_authority
    return Observation(
        about=old.secret,
        reason="TrustOutdated",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.87 if both else 0.65,
        facts=(
            evidence.log_line(said.pod, said.container, line, said.count),
            *(
                evidence.field(
                    held.secret,
                    f"data.{held.key}",
                    {"not_before": clock(held.begins)},
                    f"{name_of(held.secret)}: {held.key} is valid from {clock(held.begins)}",
                )
                for held in (old, new)
            ),
        ),
        basis=(
            "its log says that it does not trust the server's certificate",
            "the server's certificate is newer than anything that its own Secret was ever told",
        ),
        onset=new.begins,
        remediation=remedies.edit(
            old.secret,
            f"Copy the certificate of {name_of(new.secret)} into {name_of(old.secret)}, and let something keep them alike.",
            restart=scene.graph.workloads_of(top)[0] if scene.graph.workloads_of(top) else None,
        ),
        explains=(Explains(top, 0.92, "it trusts an authority that is no more"),),
    )
