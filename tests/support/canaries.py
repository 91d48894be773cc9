"""A cluster in which every place has a word of its own, so that a byte that went astray is known by it.

The same objects by the same names in each namespace: whoever may read one asks for the others by addresses that are
right. What is foreign to a caller is told by the words in the answer, and by nothing else.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.kube import NOW, Doc, ago, container, crashing, deployment, edit, thing

CLUSTER = "_cluster"
"""Stands for what lies in no namespace."""

NOBODY = "nobody"
"""Whose words nobody may see: values of secrets."""

NAMESPACES = ("bills", "mail", "orders", "stock", "upkeep")
TENANTS = ("acme", "umbra")
POD = "web-7c9d5b6f8-x2k9d"
"""The first pod of Deployment `web`, in every namespace."""

_WORD = re.compile(r"zq[a-p]{14}zq")


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Whose word it is: of a namespace (or CLUSTER, NOBODY), and where it is told of the past of a tenant too."""

    namespace: str
    tenant: str = ""


@dataclass
class Words:
    """Hands out words, and knows them again."""

    owners: dict[str, Owner] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def word(self, namespace: str, place: str, tenant: str = "") -> str:
        """The word of that place; the same each time."""
        digest = hashlib.sha256(f"{tenant}/{namespace}/{place}".encode()).digest()
        made = "zq" + "".join("abcdefghijklmnop"[byte & 15] for byte in digest[:14]) + "zq"
        self.owners[made] = Owner(namespace, tenant)
        self.places[made] = place
        return made

    def told(self, data: bytes) -> Iterator[str]:
        """Words that stand in what was sent, however it was packed or written; each once for each way."""
        for text in _unpacked(data):
            yield from set(_WORD.findall(text))

    def foreign(self, data: bytes, may_see: Callable[[Owner], bool]) -> list[str]:
        """Where those words in it come from that must not be there."""
        return sorted(
            {
                f"{self.owners[word]} {self.places[word]}"
                for word in self.told(data)
                if not may_see(self.owners[word])
            }
        )


def _unpacked(data: bytes) -> Iterator[str]:
    """The text of it, and that of it unpacked: of an archive the names and contents of its files."""
    yield data.decode("utf-8", "replace").casefold()
    if data[:2] == b"\x1f\x8b":
        try:
            plain = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise AssertionError("an answer that is packed and cannot be unpacked") from error
        yield plain.decode("utf-8", "replace").casefold()
        with contextlib.suppress(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            yield " ".join(member.name for member in archive).casefold()  # long names are split in the bytes


WORDS = Words()


def _namespace(name: str, others: Sequence[str]) -> Iterator[Doc]:
    def word(place: str) -> str:
        return WORDS.word(name, place)

    yield thing("Namespace", name, None, annotations={"note": word("the namespace itself")})
    image = f"registry.example.com/{name}/web:{word('image')}"
    envs = [
        {"name": "MODE", "value": word("environment")},
        *({"name": f"{other.upper()}_URL", "value": f"http://web.{other}.svc:80/"} for other in others),
        {"name": "SETTINGS", "valueFrom": {"configMapKeyRef": {"name": "web-conf", "key": "settings"}}},
    ]
    up = crashing(
        "web", message=f"cannot reach web.{others[0]}: refused {word('termination message')}", restarts=9
    )
    made = deployment(
        "web",
        name,
        containers=[container("web", image, env=envs)],
        before=[container("web", f"registry.example.com/{name}/web:1")],
        statuses=[up],
        rolled_out=30,
        spec={"volumes": [{"name": "conf", "configMap": {"name": "web-conf"}}], "serviceAccountName": "web"},
    )
    made[0]["metadata"]["annotations"]["note"] = word("annotation")
    made[0]["metadata"]["labels"]["mark"] = word("label")
    yield from made
    yield thing(
        "Service",
        "web",
        name,
        annotations={"note": word("service")},
        spec={"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    )
    yield thing(
        "ConfigMap",
        "web-conf",
        name,
        data={"settings": word("configuration"), "file": f"x={word('second line')}"},
        edits=[edit(32, "data/settings")],
    )
    yield thing("ConfigMap", f"notes-{word('a name')}", name, data={"text": "nothing"})
    yield thing(
        "Secret", "web-key", name, type="Opaque", data={"key": WORDS.word(NOBODY, f"secret of {name}")}
    )
    yield thing("ServiceAccount", "web", name, annotations={"note": word("account")})
    yield _event(name, "Pod", POD, name, "BackOff", f"Back-off restarting web {word('event')}")
    yield _event(name, "Deployment", "web", name, "Hidden", f"told elsewhere {word('event that names a neighbour')}", {
        "related": {"kind": "Pod", "namespace": others[0], "name": f"web-{WORDS.word(others[0], 'event of a neighbour')}"}
    })  # fmt: skip
    # Kept here, and about somebody else: told to whoever may read both.
    yield _event(
        name, "Pod", POD, others[0], "Elsewhere", f"seen from {name}: {WORDS.word(others[0], 'event about')}"
    )


def _event(
    place: str, kind: str, about: str, of: str, reason: str, message: str, more: Doc | None = None
) -> Doc:
    return thing(
        "Event",
        f"{about}.{reason.lower()}.{of}",
        place,
        age=25,
        involvedObject={"kind": kind, "namespace": of, "name": about, "apiVersion": "v1"},
        reason=reason,
        message=message,
        type="Warning",
        count=4,
        firstTimestamp=ago(25),
        lastTimestamp=ago(2),
        source={"component": "kubelet"},
        **(more or {}),
    )


def _cluster() -> Iterator[Doc]:
    def word(place: str) -> str:
        return WORDS.word(CLUSTER, place)

    ready = {"type": "Ready", "status": "False", "reason": word("node"), "lastTransitionTime": ago(20)}
    yield thing("Node", "node-1", None, labels={"mark": word("label of a node")}, status={"conditions": [ready]})  # fmt: skip
    yield thing("Node", f"node-{word('name of a node')}", None, status={"conditions": []})
    yield thing(
        "PersistentVolume",
        "pv-1",
        None,
        spec={"claimRef": {"namespace": "bills", "name": f"web-{word('volume')}"}},
    )
    yield thing(
        "ClusterRoleBinding",
        "readers",
        None,
        api="rbac.authorization.k8s.io/v1",
        subjects=[{"kind": "ServiceAccount", "name": "web", "namespace": "bills"}],
        roleRef={"kind": "ClusterRole", "name": word("role"), "apiGroup": "rbac.authorization.k8s.io"},
    )
    yield {
        **_event(
            "orders", "Node", "node-1", "", "NodeNotReady", f"kubelet stopped {word('event of a node')}"
        ),
        "involvedObject": {"kind": "Node", "name": "node-1", "apiVersion": "v1"},
    }


def _metric(query: str, *series: Mapping[str, str]) -> Doc:
    now = int(NOW.timestamp())
    values = [[now - 60 * minute, str(30 - minute)] for minute in range(30, -1, -1)]
    return {
        "query": query,
        "kind": "range",
        "asked_at": ago(0),
        "data": {
            "resultType": "matrix",
            "result": [{"metric": dict(labels), "values": values} for labels in series],
        },
    }


def _metrics() -> Iterator[Doc]:
    restarts = "kube_pod_container_status_restarts_total"
    for name in NAMESPACES:
        own = {"__name__": restarts, "namespace": name, "pod": POD, "container": "web"}
        yield _metric(f'{restarts}{{namespace="{name}"}}', {**own, "mark": WORDS.word(name, "metric")})
    # One answer for all: it may be told to nobody who may not read each of them.
    yield _metric(
        "sum by (namespace, pod) (rate(http_requests_total[5m]))",
        *({"namespace": name, "pod": POD, "mark": WORDS.word(name, "metric of many")} for name in NAMESPACES),
    )
    # Scraped by what lies in `upkeep`, about somebody else: honor_labels is off, so theirs is `exported_namespace`.
    for name in NAMESPACES:
        about = {"namespace": "upkeep", "exported_namespace": name, "exported_pod": POD, "job": "kube-state"}
        yield _metric(
            f'kube_pod_status_ready{{exported_namespace="{name}"}}',
            {**about, "mark": WORDS.word(name, "metric kept elsewhere")},
        )
    # A mesh tells of both ends.
    for name, other in zip(NAMESPACES, NAMESPACES[1:] + NAMESPACES[:1], strict=True):
        ends = {"namespace": name, "source_workload_namespace": name, "destination_service_namespace": other}
        yield _metric(
            f'istio_requests_total{{namespace="{name}"}}',
            {**ends, "pod": POD, "destination_workload": WORDS.word(other, "other end of a call")},
        )


def _logs() -> Iterator[tuple[str, str]]:
    for name in NAMESPACES:
        lines = [
            f"{ago(m)} ERROR cannot reach upstream: {WORDS.word(name, 'log line')} attempt {m}"
            for m in range(3)
        ]
        yield f"logs/{name}/{POD}/web.log", "\n".join(lines)
        yield f"logs/{name}/{POD}/web.previous.log", f"{ago(9)} FATAL {WORDS.word(name, 'log before')}\n"


def write(root: Path) -> Path:
    """Write the recording; its folder."""
    for name in NAMESPACES:
        others = [other for other in NAMESPACES if other != name]
        _list(root / f"objects/{name}/all.json", list(_namespace(name, others)))
    _list(root / "objects/_cluster/all.json", list(_cluster()))
    for number, document in enumerate(_metrics()):
        _json(root / f"metrics/{number:02}.json", document)
    for path, text in _logs():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    gaps = [
        {"what": f"objects/{name}/{WORDS.word(CLUSTER, f'file of {name}')}.yaml", "why": "no permission"}
        for name in NAMESPACES
    ]
    _json(root / "snapshot.yaml", {"captured_at": ago(0), "not_read": gaps})
    return root


def _list(path: Path, items: Sequence[Doc]) -> None:
    _json(path, {"apiVersion": "v1", "kind": "List", "items": items})


def _json(path: Path, document: Doc) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


@cache
def known() -> Words:
    """The words, also before anything was written."""
    for name in NAMESPACES:
        list(_namespace(name, [other for other in NAMESPACES if other != name]))
    list(_cluster())
    list(_metrics())
    list(_logs())
    for name in NAMESPACES:
        WORDS.word(CLUSTER, f"file of {name}")
    return WORDS
