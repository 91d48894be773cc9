"""Tell from a file's path what it holds.

Pure. Knows four layouts: a must-gather (`oc adm must-gather`, `oc adm inspect`), `kubectl cluster-info dump`,
the plain one that `write` makes (`objects/<namespace>/`, `logs/<namespace>/<pod>/<container>.log`,
`metrics/*.json`), and any tree of YAML and JSON.
Everything is found from the end of the path, so the root may be any number of directories deeper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    objects = "objects"
    metrics = "metrics"
    log = "log"
    dump_log = "dump-log"
    """`<namespace>/<pod>/logs.txt` of a cluster-info dump: all containers, each between two marker lines."""
    about = "about"
    """`snapshot.yaml`: facts about the recording itself."""
    prose = "prose"
    """Written for people about the recording: no evidence, and no gap either."""
    other = "other"


@dataclass(frozen=True, slots=True)
class Place:
    """What a file holds, and for a log whose it is. `namespace` is None where the path does not say."""

    role: Role
    namespace: str | None = None
    pod: str = ""
    container: str = ""
    previous: bool = False


OTHER, PROSE = Place(Role.other), Place(Role.prose)
_OBJECTS = (".yaml", ".yml", ".json")
_GATHERED_LOGS = {"current.log": False, "previous.log": True, "previous.insecure.log": True}


def place_of(path: str) -> Place:
    """What the file at `path` (inside the recording, `/` between its parts) holds. `.gz` changes nothing."""
    parts = path.removesuffix(".gz").split("/")
    name = parts[-1]
    if name.endswith(".log"):
        return _log(parts)
    if name == "logs.txt" and len(parts) >= 3:
        return Place(Role.dump_log, namespace=parts[-3], pod=parts[-2])
    if not name.endswith(_OBJECTS):
        return PROSE if name.endswith(".md") else OTHER
    # `objects/metrics/`: a namespace may be called so.
    if parts[-2:-1] == ["metrics"] and parts[-3:-2] != ["objects"] and name.endswith(".json"):
        return Place(Role.metrics)
    if name in ("snapshot.yaml", "snapshot.yml") and len(parts) <= 2:
        return Place(Role.about)
    return Place(Role.objects)


def _log(parts: Sequence[str]) -> Place:
    return _gathered_log(parts) or _plain_log(parts) or OTHER


def _gathered_log(parts: Sequence[str]) -> Place | None:
    """`[namespaces/<namespace>/]pods/<pod>/<container>/**/{current,previous,previous.insecure}.log`"""
    previous = _GATHERED_LOGS.get(parts[-1])
    if previous is None:
        return None
    # With room for a pod and a container behind it: those may be called `pods` themselves.
    candidates = [i for i, part in enumerate(parts) if part == "pods" and len(parts) - i >= 4]
    gathered = [i for i in candidates if i >= 2 and parts[i - 2] == "namespaces"]
    if not candidates:
        return None
    at = (gathered or candidates)[0]
    namespace = parts[at - 1] if gathered else None
    return Place(Role.log, namespace, parts[at + 1], parts[at + 2], previous)


def _plain_log(parts: Sequence[str]) -> Place | None:
    """`logs/<namespace>/<pod>/<container>[.previous].log`"""
    if len(parts) < 4 or parts[-4] != "logs":
        return None
    container = parts[-1].removesuffix(".log")
    return Place(
        Role.log, parts[-3], parts[-2], container.removesuffix(".previous"), container.endswith(".previous")
    )
