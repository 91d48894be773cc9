"""How long triage takes: by the command line, over a must-gather of 20,000 objects, and over objects already loaded.

The must-gather has the layout of `oc adm must-gather`, managedFields as a kubelet and a controller leave them, and a
log for every container; all is well in it but one Deployment.
"""

from __future__ import annotations

import gc
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import orjson
import yaml

from libs.contracts.target import Target
from services.context_api.adapters.recording import load_recording
from services.context_api.domain.graph import Graph
from services.context_api.domain.triage import find_causes
from tests.support.recordings import BROKEN, namespace_objects, write_cluster
from tests.support.stack import ROOT

Format = Literal["yaml", "json"]
SPACES = 833
"""Namespaces of 24 objects each, which makes 20,000 with the nodes."""

LOG_LINES = 40
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Took:
    """One run of the command line."""

    seconds: float
    rss_mib: float


@dataclass(frozen=True, slots=True)
class TriageRun:
    """Medians."""

    small_objects: int
    small: float
    gathered_objects: int
    gathered: dict[Format, Took]
    gathered_mib: dict[Format, float]
    loaded_objects: int
    loaded_first: float
    """Seconds of the first `find_causes` with the graph, the alert's target given: nothing has been read of the objects."""
    loaded: float
    """Of those after it, which find what the first one has read."""
    loaded_graph: float
    """Seconds of these for the graph alone."""
    load: float
    """The machine's load average when it began."""


def write_gather(root: Path, form: Format, spaces: int = SPACES) -> int:
    """Write a must-gather; returns the number of objects."""
    model = _namespace_files(form)
    count = 0
    for number in range(spaces):
        name = f"team-{number:03}"
        for path, (content, objects) in model[name == BROKEN_SPACE].items():
            place = root / path.replace(MODEL, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.replace(MODEL.encode(), name.encode()))
            count += objects
    return count


MODEL, BROKEN_SPACE = "team-xyz", "team-003"


def _namespace_files(form: Format) -> tuple[dict[str, tuple[bytes, int]], dict[str, tuple[bytes, int]]]:
    """Files of a healthy namespace and of one with a broken Deployment, all named after the model."""
    return _files(form, broken=False), _files(form, broken=True)


def _files(form: Format, *, broken: bool) -> dict[str, tuple[bytes, int]]:
    objects = list(namespace_objects(MODEL, broken=BROKEN[1] if broken else None))
    groups: dict[tuple[str, str], list[Any]] = {}
    for item in objects:
        item["metadata"]["managedFields"] = _managed(item)
        group = item["apiVersion"].rpartition("/")[0] or "core"
        groups.setdefault((group, item["kind"].lower() + "s"), []).append(item)
    files: dict[str, tuple[bytes, int]] = {}
    for (group, kind), items in groups.items():
        document = {"apiVersion": "v1", "kind": "List", "items": items}
        content = orjson.dumps(document, option=orjson.OPT_INDENT_2) if form == "json" else yaml.dump(document, Dumper=yaml.CSafeDumper).encode()  # fmt: skip
        files[f"namespaces/{MODEL}/{group}/{kind}.{form}"] = content, len(items)
    for pod in (item for item in objects if item["kind"] == "Pod"):
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
        log = "".join(
            f"2026-01-01T09:{n % 60:02}:00.000000000Z level=info msg=\"GET /orders/{n} 200\"\n" for n in range(LOG_LINES)
        )  # fmt: skip
        files[f"namespaces/{MODEL}/pods/{name}/{container}/{container}/logs/current.log"] = log.encode(), 0
    return files


def _managed(item: Any) -> list[Any]:
    """Who owns which field: as long as the object has fields."""

    def fields(value: Any) -> Any:
        if isinstance(value, dict):
            return {f"f:{key}": fields(below) for key, below in value.items()}
        if isinstance(value, list) and value and isinstance(value[0], dict):
            key = next((k for k in ("name", "type", "containerPort", "mountPath") if k in value[0]), None)
            return {f'k:{{"{key}":"{v.get(key)}"}}': {".": {}, **fields(v)} for v in value} if key else {}
        return {}

    about = {
        "apiVersion": item["apiVersion"],
        "fieldsType": "FieldsV1",
        "operation": "Update",
        "time": "2026-01-01T08:00:00Z",
    }
    owned = {k: fields(v) for k, v in item.items() if k in ("spec", "data", "status")}
    parts = [
        ("kube-controller-manager", owned.get("spec") or owned.get("data"), "f:spec"),
        ("kubelet", owned.get("status"), "f:status"),
    ]
    return [{**about, "manager": who, "fieldsV1": {place: what}} for who, what, place in parts if what]


def command(folder: Path, *options: str) -> Took:
    """One `kubernaut triage`, start-up included, and the memory it took at most."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(ROOT / "kubernaut"), "triage", str(folder), "--json", *options], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        raise RuntimeError(f"triage ended with {process.returncode}")
    return Took(took, usage.ru_maxrss / 1024)


def _middle(runs: Sequence[Took]) -> Took:
    return Took(median(r.seconds for r in runs), max(r.rss_mib for r in runs))


def in_memory(folder: Path, target: Target, times: int = 9) -> tuple[int, float, float, float]:
    """Objects; seconds of the graph, of everything, and of everything the first time."""
    taken = load_recording(folder)
    graphs, wholes = [], []
    gc.collect()
    gc.disable()
    try:
        for _ in range(times):
            began = time.perf_counter()
            graph = Graph(taken)
            built = time.perf_counter()
            answer = find_causes(taken, target=target, graph=graph)
            wholes.append(time.perf_counter() - began)
            graphs.append(built - began)
            if str(answer.ranked[0].target) != str(target):
                raise RuntimeError(f"{target} is broken, and {answer.ranked[0].target} was named")
    finally:
        gc.enable()
    return len(taken.objects) + len(taken.events), median(graphs), median(wholes[1:]), wholes[0]


def measure(base: Path, times: int = 5) -> TriageRun:
    load = os.getloadavg()[0]
    small, ten = base / "small", base / "ten"
    small.mkdir()
    ten.mkdir()
    small_objects = write_cluster(small, namespaces=41)
    write_cluster(ten, namespaces=416)
    gathered: dict[Format, Took] = {}
    sizes: dict[Format, float] = {}
    count = 0
    forms: tuple[Format, ...] = ("yaml", "json")
    for form in forms:
        place = base / f"gather-{form}"
        count = write_gather(place, form)
        sizes[form] = sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) / MIB
        gathered[form] = _middle([command(place) for _ in range(3)])
    objects, graph, whole, first = in_memory(ten, Target.parse(f"Deployment/{BROKEN[0]}/{BROKEN[1]}"))
    return TriageRun(
        small_objects, _middle([command(small) for _ in range(times)]).seconds, count, gathered, sizes, objects, first, whole, graph, load
    )  # fmt: skip


TABLE = """
`kubernaut triage`, start-up included; load average at the start of these {load:.1f}.

| | measured | wanted |
|---|--:|--:|
| a recording with {small_objects:,} objects | {small:.2f} s | < 2 s |
| a must-gather with {gathered_objects:,} objects, YAML ({yaml_mib:.0f} MiB with logs) | {yaml:.1f} s | < 15 s |
| its memory at most | {yaml_rss:.0f} MiB | < 1,024 MiB |
| the same, JSON ({json_mib:.0f} MiB) | {json:.1f} s | < 15 s |
| its memory at most | {json_rss:.0f} MiB | < 1,024 MiB |
| causes over {loaded_objects:,} objects and events already loaded, the alert's target given | {loaded:.0f} ms | < 300 ms |
| the first answer about them | {loaded_first:.0f} ms | < 300 ms |
| of these, building the graph | {loaded_graph:.0f} ms | |
"""


def table(run: TriageRun) -> str:
    return TABLE.format(
        load=run.load, small_objects=run.small_objects, small=run.small, gathered_objects=run.gathered_objects,
        yaml=run.gathered["yaml"].seconds, yaml_rss=run.gathered["yaml"].rss_mib, yaml_mib=run.gathered_mib["yaml"],
        json=run.gathered["json"].seconds, json_rss=run.gathered["json"].rss_mib, json_mib=run.gathered_mib["json"],
        loaded_objects=run.loaded_objects, loaded=1000 * run.loaded, loaded_first=1000 * run.loaded_first, loaded_graph=1000 * run.loaded_graph,
    )  # fmt: skip
