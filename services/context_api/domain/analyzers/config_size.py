"""ConfigMaps that have reached what the API server stores in one object.

Sees the size of a ConfigMap's data against the limit of 1 MiB, and of its last-applied annotation against 256 KiB.
Latent: what is stored works; the next write, or `kubectl apply`, is refused. Counts for an alert about the ConfigMap.
Cannot see who will write, nor the size of Secrets (their data is never read).

Rests on: https://kubernetes.io/docs/concepts/configuration/configmap/#motivation (1 MiB),
https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/ (256 KiB for all annotations).
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import LAST_APPLIED
from services.context_api.domain.kube import flat, mapping, text
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of, size

NAME = "config_size"
LARGEST = 2**20
ANNOTATIONS = 2**18
NEAR = 0.95


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per ConfigMap."""
    for config in scene.graph.of_kind("ConfigMap"):
        held, noted = _data(config), len(text(config.annotations.get(LAST_APPLIED)).encode())
        if held >= NEAR * LARGEST:
            yield _observation(config, held, f"holds {size(held)} of the 1Mi one object may hold")
        elif noted >= NEAR * ANNOTATIONS:
            words = f"carries a last-applied annotation of {size(noted)}, of the 256Ki annotations may have: `kubectl apply` will be refused"
            yield _observation(config, noted, words)


def _data(config: KubeObject) -> int:
    data = flat(config.body.get("data"))
    # base64 writes three bytes as four characters; the limit is on what it holds.
    binary = sum(len(text(v)) * 3 // 4 for v in mapping(config.body.get("binaryData")).values())
    return binary + sum(len(k.encode()) + len(v.encode()) for k, v in data.items())


def _observation(config: KubeObject, held: int, words: str) -> Observation:
    return Observation(
        about=config,
        reason="ConfigMapTooLarge",
        text=f"{name_of(config)} {words}",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.7,
        facts=(evidence.field(config, "size", held, f"{name_of(config)} {words}"),),
        basis=("the size of what it holds",),
        remediation=remedies.look(config, f"Split {config.name}, or keep large files in an image or a volume (apply with --server-side)."),
        latent=True,
    )  # fmt: skip
