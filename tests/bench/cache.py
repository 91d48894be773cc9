"""`make bench-cache`: what 50,000 pods of 3 KB cost the watching cache, beside a cache of parsed dictionaries.

Each way runs in a process of its own and reads the pods from the same server, page by page and over HTTP, so that
what reading costs counts as well. Writes its own part of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from services.context_api.adapters.live import Access, Gathering, KubeApi, LiveLimits, Watching
from services.context_api.adapters.live.connect import connect
from services.context_api.adapters.live.discovery import Resource
from services.context_api.adapters.live.feed import Feed, Phase
from services.context_api.adapters.live.lists import Listed, Room, fill
from services.context_api.adapters.recording.limits import MIB
from tests.bench.document import with_part
from tests.bench.table import machine
from tests.fakes.kube_api import kubeconfig, serving
from tests.support.feeds import Notebook, until
from tests.support.stack import ROOT

COMMAND = "make bench-cache"
REPORT = ROOT / "docs" / "benchmarks.md"
PODS = 50_000
CHANGES = 20_000
READY_WITHIN_S = 300.0
LIMITS = replace(LiveLimits(), total_bytes=1024 * MIB, call=timedelta(seconds=60))
RESOURCE = Resource("", "pods", "v1", "Pod", True)

Figures = dict[str, float]


def pod(number: int, version: int) -> dict[str, Any]:
    """One as the API server prints it, managedFields and all; of 200 namespaces and 5,000 workloads."""
    workload, space = number // 10, number // 10 % 200
    name, app = f"service-{workload:05}-7d9f8b6c5d-{number:05x}", f"service-{workload:05}"
    started = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=number)
    moment = started.strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = [
        {
            "lastProbeTime": None,
            "lastTransitionTime": moment,
            "observedGeneration": 1,
            "status": "True",
            "type": kind,
        }
        for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    owned = {"f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}},
             "f:ownerReferences": {".": {}, f'k:{{"uid":"5f1e3a52-0000-4000-8000-{workload:012}"}}': {}}},
             "f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:env": {}, "f:image": {}, "f:imagePullPolicy": {},
             "f:name": {}, "f:ports": {}, "f:resources": {".": {}, "f:limits": {}, "f:requests": {}}}},
             "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:terminationGracePeriodSeconds": {}}}  # fmt: skip
    return {
        "metadata": {
            "name": name, "generateName": f"{app}-7d9f8b6c5d-", "namespace": f"team-{space:03}",
            "uid": f"0b8c5d1e-0000-4000-9000-{number:012}", "resourceVersion": str(version), "creationTimestamp": moment,
            "labels": {"app": app, "pod-template-hash": "7d9f8b6c5d", "team": f"team-{space:03}"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{app}-7d9f8b6c5d",
                                 "uid": f"5f1e3a52-0000-4000-8000-{workload:012}", "controller": True, "blockOwnerDeletion": True}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                               "time": moment, "fieldsType": "FieldsV1", "fieldsV1": owned}],
        },
        "spec": {
            "volumes": [{"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}],
            "containers": [{"name": "app", "image": f"registry.example.com/{app}:1.4.{number % 30}",
                            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                            "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "DB_HOST", "value": f"db.team-{space:03}.svc"}],
                            "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
                            "volumeMounts": [{"name": "kube-api-access", "readOnly": True, "mountPath": "/var/run/secrets"}],
                            "imagePullPolicy": "IfNotPresent"}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "nodeName": f"node-{number % 500:03}", "schedulerName": "default-scheduler",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        },
        "status": {
            "phase": "Running", "conditions": ready, "hostIP": f"10.1.{number % 250}.{number % 199}", "podIP": f"10.2.{number % 250}.{number % 251}",
            "startTime": moment, "qosClass": "Burstable",
            "containerStatuses": [{"name": "app", "state": {"running": {"startedAt": moment}}, "lastState": {}, "ready": True,
                                   "restartCount": 0, "image": f"registry.example.com/{app}:1.4.{number % 30}", "started": True,
                                   "imageID": f"registry.example.com/{app}@sha256:{number:064x}",
                                   "containerID": f"containerd://{number:064x}"}],
        },
    }  # fmt: skip


# --- the server ---------------------------------------------------------------------------------------------------


async def serve() -> None:
    """Pods only: lists in pages, and a watch that changes every second pod or so as fast as it is read."""

    async def answered(request: web.Request) -> web.StreamResponse:
        if request.path in ("/api", "/apis"):
            return web.json_response(_discovery(request.path))
        if request.query.get("watch"):
            return await _changes(request)
        if request.path != RESOURCE.path():
            return web.json_response({"major": "1"})
        start, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "500"))
        end = min(PODS, start + limit)
        metadata = {"resourceVersion": str(PODS), "continue": str(end) if end < PODS else ""}
        items = [pod(number, number + 1) for number in range(start, end)]
        body = orjson.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items})
        return web.Response(body=body, content_type="application/json")

    async with serving(answered) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


async def _changes(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for number in range(CHANGES):
        changed = {"apiVersion": "v1", "kind": "Pod", **pod(number * 7 % PODS, PODS + 1 + number)}
        await response.write(orjson.dumps({"type": "MODIFIED", "object": changed}) + b"\n")
    await asyncio.Event().wait()
    return response


def _discovery(path: str) -> dict[str, Any]:
    resource = {
        "resource": "pods",
        "responseKind": {"kind": "Pod"},
        "scope": "Namespaced",
        "verbs": ["get", "list", "watch"],
    }
    version = {"version": "v1", "freshness": "Current", "resources": [resource]}
    items = [{"metadata": {}, "versions": [version]}] if path == "/api" else []
    return {"kind": "APIGroupDiscoveryList", "items": items}


# --- the ways to keep them ----------------------------------------------------------------------------------------


async def hold_bytes(api: KubeApi) -> Figures:
    """The watching cache as the service has it."""
    base, began = rss(), time.monotonic()
    notebook = Notebook()
    cache = Watching(Gathering(api, LIMITS), telling=notebook, stale_limit=timedelta(minutes=5))
    cache.start()
    try:
        await cache.feeds.ready()
        (feed,) = cache.feeds.all
        filled = time.monotonic() - began
        await until(lambda: feed.phase is Phase.watching, within_s=READY_WITHIN_S)
        watched, cpu = time.monotonic(), time.process_time()
        await until(lambda: feed.table.version == PODS + CHANGES, within_s=READY_WITHIN_S)
        applied, worked = time.monotonic() - watched, time.process_time() - cpu
        figures = {
            "base": base,
            "rss": rss(),
            "fill_s": filled,
            "json": feed.table.bytes / MIB,
            "objects": len(feed.table),
        }
        figures |= {"changes_s": CHANGES / applied, "change_us": 1e6 * worked / CHANGES}
        first, second = await _snapshot_s(cache), await _snapshot_s(cache)
        figures |= {"snapshot_s": first, "again_s": second, "rss_snapshot": rss()}
        figures |= {"decode_us": _walk(feed), "rss_walked": rss(), "peak": rss("VmHWM")}
        return figures | _compressed(feed)
    finally:
        await cache.stop()


async def _snapshot_s(cache: Watching) -> float:
    began = time.monotonic()
    await cache.read()
    return time.monotonic() - began


def _walk(feed: Feed) -> float:
    """Look into every object; microseconds for each."""
    began = time.perf_counter()
    for item in feed.table:
        item.spec.get("nodeName")
    return 1e6 * (time.perf_counter() - began) / len(feed.table)


def _compressed(feed: Feed) -> Figures:
    """What compressing each object would save, and cost."""
    some = [item.raw for item in feed.table][::50]
    began = time.perf_counter()
    packed = [zlib.compress(raw, 1) for raw in some]
    packing, began = time.perf_counter() - began, time.perf_counter()
    for raw in packed:
        zlib.decompress(raw)
    unpacking, began = time.perf_counter() - began, time.perf_counter()
    for raw in some:
        orjson.loads(raw)
    parsing = time.perf_counter() - began
    return {
        "ratio": sum(map(len, some)) / sum(map(len, packed)),
        "pack_us": 1e6 * packing / len(some),
        "unpack_us": 1e6 * unpacking / len(some),
        "parse_us": 1e6 * parsing / len(some),
    }


async def hold_dicts(api: KubeApi) -> Figures:
    """The same objects as parsed dictionaries, from the same pages."""
    base, began = rss(), time.monotonic()
    listed = Listed(RESOURCE, None)
    await fill(listed, api, LIMITS, Room(LIMITS.total_bytes, LIMITS.objects))
    kept = {(item.namespace, item.name): item for item in listed.items}
    listed.items, listed.digests = [], []
    return {
        "base": base,
        "rss": rss(),
        "peak": rss("VmHWM"),
        "objects": len(kept),
        "fill_s": time.monotonic() - began,
    }


async def hold(way: str, url: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        access = Access(str(kubeconfig(Path(place) / "config", url)))
        api = KubeApi(lambda: connect(access), LIMITS)
        try:
            print(json.dumps(await (hold_bytes(api) if way == "bytes" else hold_dicts(api))))
        finally:
            await api.close()


def rss(field: str = "VmRSS") -> float:
    """Of this process, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


# --- the report ---------------------------------------------------------------------------------------------------

PART = """
## Watching cache

Written by `{command}`: {objects:,.0f} pods, {mean:,.0f} bytes of JSON each, read in pages of {page} over HTTP; each way in a
process of its own. Machine: {machine}; load average {load:.1f} when it began.

| | bytes and index (what the service keeps) | parsed dictionaries |
|---|--:|--:|
| resident, objects alone (without the {base:.0f} MiB of the process before) | **{own:,.0f} MiB** | {dicts:,.0f} MiB |
| a pod | {each:,.0f} B | {dict_each:,.0f} B |
| resident in all, after the list and {changes:,} changes | {rss:,.0f} MiB | {dict_rss:,.0f} MiB |
| after two snapshots of everything | {rss_snapshot:,.0f} MiB | |
| after a look into every pod (`EVIDENCE_DECODED_BYTES` {decoded:.0f} MiB) | {rss_walked:,.0f} MiB | |
| most at any time (wanted: < 1,024 MiB) | **{peak:,.0f} MiB** | {dict_peak:,.0f} MiB |
| listing them | {fill:.1f} s | {dict_fill:.1f} s |

Changes through a watch: {rate:,.0f} a second, {change_us:.0f} µs of processor time each (10,000 a minute are 167 a
second). A snapshot of all: {snapshot:.2f} s, the next {again:.2f} s. Looking into a pod that is not decoded: {decode_us:.0f} µs.
Compressing each object (zlib, level 1) would make the JSON {ratio:.1f} times smaller, {saved:.0f} MiB less, for {pack_us:.0f} µs
with each change and {unpack_us:.0f} µs beside the {parse_us:.0f} µs of parsing: left out, as the whole fits without.
"""


def report(kept: Figures, dicts: Figures, load: float) -> str:
    return PART.format(
        command=COMMAND, machine=machine(), load=load, objects=kept["objects"], page=LIMITS.page,
        mean=kept["json"] * MIB / kept["objects"], base=kept["base"], own=kept["rss"] - kept["base"],
        dicts=dicts["rss"] - dicts["base"], each=(kept["rss"] - kept["base"]) * MIB / kept["objects"],
        dict_each=(dicts["rss"] - dicts["base"]) * MIB / dicts["objects"], changes=CHANGES, rss=kept["rss"],
        dict_rss=dicts["rss"], rss_snapshot=kept["rss_snapshot"], decoded=LIMITS.decoded_bytes / MIB,
        rss_walked=kept["rss_walked"], peak=kept["peak"], dict_peak=dicts["peak"], fill=kept["fill_s"],
        dict_fill=dicts["fill_s"], rate=kept["changes_s"], change_us=kept["change_us"], snapshot=kept["snapshot_s"],
        again=kept["again_s"], decode_us=kept["decode_us"], ratio=kept["ratio"],
        saved=kept["json"] * (1 - 1 / kept["ratio"]), pack_us=kept["pack_us"], unpack_us=kept["unpack_us"],
        parse_us=kept["parse_us"],
    )  # fmt: skip


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The server in a process of its own; yields its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.cache", "--serve"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def measured(way: str, url: str) -> Figures:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.cache", "--hold", way, "--url", url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * READY_WITHIN_S,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the watching cache's memory.")
    parser.add_argument("--dry", action="store_true", help="print the part, do not write it")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--hold", choices=("bytes", "dicts"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve())
    elif chosen.hold:
        asyncio.run(hold(chosen.hold, chosen.url))
    else:
        load = os.getloadavg()[0]
        with server() as url:
            text = report(measured("bytes", url), measured("dicts", url), load)
        print(text)
        if not chosen.dry:
            REPORT.write_text(with_part(REPORT.read_text(), COMMAND, text))


if __name__ == "__main__":
    main()
