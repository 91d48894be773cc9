"""The watching cache on a real control plane: what it holds is what the server lists, whatever happens to the server."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.context_api.adapters.live import (
    Access,
    Gathering,
    KubeApi,
    LiveCluster,
    LiveLimits,
    Pauses,
    Scope,
    Times,
    Watching,
)
from services.context_api.adapters.live.connect import connect
from services.context_api.adapters.live.feed import Feed, Phase
from services.context_api.adapters.live.store import Change
from services.context_api.adapters.live.verdicts import Reason
from services.context_api.domain.ports import Connectivity
from services.context_api.domain.snapshot import Snapshot
from services.context_api.domain.triage import find_causes
from tests.chaos.churn import Churn, differences, listed
from tests.support.feeds import Notebook, until
from tests.support.line import Line
from tests.testbed.cluster import Cluster

pytestmark = [
    pytest.mark.needs("testbed"),
    pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008", "INT-BR-TEST-005"),
]

LIMITS = replace(LiveLimits(), call=timedelta(seconds=5))
CHURNED = "configmaps"


@asynccontextmanager
async def watching(
    kubeconfig: Path,
    namespace: str = "",
    *,
    limits: LiveLimits = LIMITS,
    notebook: Notebook | None = None,
    discovery: timedelta = timedelta(minutes=10),
    pauses: Pauses | None = None,
) -> AsyncIterator[Watching]:
    access = Access(str(kubeconfig))
    gathering = Gathering(
        KubeApi(lambda: connect(access), limits), limits, Scope((namespace,) if namespace else ())
    )
    made = Watching(
        gathering,
        telling=notebook or Notebook(),
        stale_limit=timedelta(minutes=5),
        discovery=discovery,
        pauses=pauses,
    )
    made.start()
    try:
        async with asyncio.timeout(60):
            await made.feeds.ready()
        yield made
    finally:
        await made.stop()


def feed_of(cache: Watching, what: str) -> Feed:
    return next(feed for feed in cache.feeds.all if str(feed.resource) == what)


def on_demand(cluster: Cluster, namespace: str = "") -> Snapshot:
    async def read() -> Snapshot:
        access = Access(str(cluster.kubeconfig))
        api = KubeApi(lambda: connect(access), LIMITS)
        try:
            return await Gathering(api, LIMITS, Scope((namespace,) if namespace else ())).snapshot()
        finally:
            await api.close()

    return asyncio.run(read())


def bodies(snapshot: Snapshot) -> dict[str, Any]:
    """Everything but leases, which nodes renew every few seconds."""
    return {
        f"{item.api_version} {item}": item.body
        for item in (*snapshot.objects, *snapshot.events)
        if item.kind not in ("Lease", "Node")
    }


async def test_every_change_is_counted_once_and_the_end_is_what_the_server_lists(
    cluster: Cluster, namespace: str
):
    notebook = Notebook()
    async with watching(cluster.kubeconfig, namespace, notebook=notebook) as cache:
        feed = feed_of(cache, CHURNED)
        await until(lambda: feed.phase is Phase.watching)
        before = dict(notebook.changes)
        churn = Churn(cluster, namespace)

        await churn.run(2_000, a_minute=60_000)
        truth = await asyncio.to_thread(listed, cluster, feed.path)
        await until(lambda: not differences(feed, truth), "the cache and the list are equal")

    told = {change: notebook.changes[CHURNED, change] - before.get((CHURNED, change), 0) for change in Change}
    assert {change.value: count for change, count in told.items()} == dict(churn.done)
    assert notebook.reasons_of(CHURNED) == [Reason.first]


async def test_a_snapshot_from_the_cache_is_the_one_that_lists_give(cluster: Cluster, namespace: str):
    cluster.kubectl(
        "create", "deployment", "web", "--image=registry.example.com/web:1", "--replicas=3", "-n", namespace
    )
    cluster.kubectl("create", "secret", "generic", "db", "--from-literal=password=x", "-n", namespace)
    cluster.kubectl("wait", "--for=condition=Available", "deployment/web", "-n", namespace, "--timeout=60s")

    async with watching(cluster.kubeconfig, namespace) as cache:
        by_lists = await asyncio.to_thread(on_demand, cluster, namespace)
        await until(lambda: feed_of(cache, "pods").phase is Phase.watching)
        reading = await cache.read()

    seen = reading.snapshot
    assert bodies(seen) == bodies(by_lists)
    assert (reading.trouble, [str(gap) for gap in seen.not_read]) == (
        "",
        [str(gap) for gap in by_lists.not_read],
    )
    assert abs(seen.captured_at - datetime.now(UTC)) < timedelta(seconds=5)
    assert all(item.created_at is None or item.created_at <= seen.captured_at for item in seen.objects)
    (web,) = [item for item in seen.of_kind("Deployment") if item.name == "web"]
    assert find_causes(seen, target=web.target()).ranked == find_causes(by_lists, target=web.target()).ranked


async def test_an_unchanged_object_is_the_same_in_the_next_snapshot_and_decoded_once(
    cluster: Cluster, namespace: str
):
    cluster.kubectl("create", "configmap", "stays", "--from-literal=a=1", "-n", namespace)
    cluster.kubectl("create", "configmap", "changes", "--from-literal=a=1", "-n", namespace)
    async with watching(cluster.kubeconfig, namespace) as cache:
        feed = feed_of(cache, CHURNED)
        await until(lambda: feed.phase is Phase.watching)
        first = (await cache.read()).snapshot
        version = feed.table.version
        cluster.kubectl("label", "configmap", "changes", "x=y", "-n", namespace)
        await until(lambda: feed.table.version != version)
        second = (await cache.read()).snapshot

    stays, changes = (
        [shot.get("ConfigMap", namespace, name) for shot in (first, second)] for name in ("stays", "changes")
    )
    assert stays[0] is stays[1]
    assert stays[0] is not None
    assert stays[0].body is stays[0].body
    assert changes[1] is not None
    assert changes[1].labels == {"x": "y"}
    assert first.id != second.id


async def test_a_kind_that_appears_is_kept_and_one_that_goes_is_let_go(cluster: Cluster, namespace: str):
    """Discovery is asked every ten minutes here: it is the definition's change that tells."""
    group = f"g{secrets.token_hex(4)}.example.com"
    loop = asyncio.get_running_loop()
    async with watching(cluster.kubeconfig, namespace) as cache:
        await until(
            lambda: feed_of(cache, "customresourcedefinitions.apiextensions.k8s.io").phase is Phase.watching
        )
        began = loop.time()
        await asyncio.to_thread(cluster.apply, definition(group))
        await until(
            lambda: any(feed.resource.group == group for feed in cache.feeds.all), "the kind is found"
        )
        found_after = loop.time() - began
        feed = feed_of(cache, f"widgets.{group}")
        widget = {
            "apiVersion": f"{group}/v1",
            "kind": "Widget",
            "metadata": {"name": "w"},
            "spec": {"size": 3},
        }
        await asyncio.to_thread(cluster.apply, widget, namespace=namespace)
        await until(lambda: len(feed.table) == 1, "its object is there")
        assert [orjson.loads(item.raw)["spec"] for item in feed.table] == [{"size": 3}]
        await asyncio.to_thread(cluster.kubectl, "delete", "crd", f"widgets.{group}")
        await until(lambda: not any(f.resource.group == group for f in cache.feeds.all), "and gone")

    assert found_after < 15, "a second after the definition, and once more; the rest is a busy machine's"
    assert len(feed.table) == 0


def definition(group: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


@pytest.mark.parametrize("verbs", [["get", "list", "watch"], ["get", "list"]])
async def test_what_may_not_be_read_is_named_once_and_what_may_only_be_listed_is_polled(
    cluster: Cluster, namespace: str, verbs: list[str]
):
    api = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": verbs}]
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer"}},
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": {"name": "viewer"}, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "viewer"},
            "roleRef": {"apiGroup": api, "kind": "Role", "name": "viewer"},
            "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": namespace}],
        },
        namespace=namespace,
    )
    kubeconfig = cluster.kubeconfig_for(namespace, "viewer")
    notebook = Notebook()
    pauses = Pauses(poll=timedelta(milliseconds=300))
    async with watching(kubeconfig, namespace, notebook=notebook, pauses=pauses) as cache:
        cluster.kubectl("create", "configmap", "new", "-n", namespace)
        feed = feed_of(cache, CHURNED)
        await until(lambda: "new" in {item.name for item in feed.table}, "the change was seen")
        seen = (await cache.read()).snapshot
        asked = len(notebook.asked_at)
        await asyncio.sleep(3)
        asked = len(notebook.asked_at) - asked

    gaps = {gap.what: gap.why for gap in seen.not_read}
    assert "cannot list resource" in gaps[f"secrets in {namespace}"]
    assert f"system:serviceaccount:{namespace}:viewer" in gaps["nodes"]
    assert {"Pod", "ConfigMap"} >= set(seen.kinds)
    # Two lists are polled, thrice a second at the most, each with the question whether it may be watched now.
    assert asked <= (0 if "watch" in verbs else 2 * 2 * 12)


async def test_a_server_that_hangs_costs_its_age_and_nothing_else(cluster: Cluster, namespace: str):
    """The process is stopped, not killed: connections stay open and nobody answers."""
    cluster.kubectl("create", "configmap", "settings", "-n", namespace)
    access, server = Access(str(cluster.kubeconfig)), cluster.pids["kube-apiserver"]
    gathering = Gathering(KubeApi(lambda: connect(access), LIMITS), LIMITS, Scope((namespace,)))
    stale_limit = timedelta(minutes=5)
    source = LiveCluster(
        Watching(gathering, telling=Notebook(), stale_limit=stale_limit),
        Times(max_age=timedelta(milliseconds=1), stale_limit=stale_limit),
    )
    source.start()
    try:
        fresh = await source.snapshot(timedelta(seconds=30))
        os.kill(server, signal.SIGSTOP)
        try:
            stale = await source.snapshot(timedelta(seconds=30))
            during = source.state
        finally:
            os.kill(server, signal.SIGCONT)
        back = await _until(source, lambda s: not any("as it is now" in gap.what for gap in s.not_read))
        after = source.state
    finally:
        await source.stop()

    assert "as it is now" in stale.not_read[0].what
    assert stale.get("ConfigMap", namespace, "settings") is fresh.get("ConfigMap", namespace, "settings")
    assert (during.connectivity, during.serves) == (Connectivity.unhealthy, True)
    assert back.id not in (fresh.id, stale.id)
    assert after.connectivity is Connectivity.healthy


async def _until(source: LiveCluster, holds: Callable[[Snapshot], bool]) -> Snapshot:
    async with asyncio.timeout(60):
        while True:
            found = await source.snapshot(timedelta(seconds=30))
            if holds(found):
                return found
            await asyncio.sleep(0.1)


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """One that the test may kill and let forget. What acts by itself has ended: only the test changes things."""
    with Cluster() as running:
        running.halt()
        yield running


async def test_a_restarted_server_and_a_forgetful_store_leave_no_gap(own_cluster: Cluster):
    """Changes go on while the cache is cut off; the server is killed meanwhile, and etcd forgets all that was."""
    cluster, notebook = own_cluster, Notebook()
    churn = Churn(cluster, "default", objects=100)
    port = int(cluster.url.rpartition(":")[2])
    async with Line(port) as line:
        kubeconfig = cluster.kubeconfig_at(f"https://127.0.0.1:{line.port}")
        async with watching(kubeconfig, notebook=notebook) as cache:
            feed = feed_of(cache, CHURNED)
            await until(lambda: all(f.phase in (Phase.watching, Phase.polled) for f in cache.feeds.all))
            await churn.run(600, a_minute=60_000)
            before = await asyncio.to_thread(listed, cluster, feed.path)
            await until(lambda: not differences(feed, before))

            await line.cut()
            await until(lambda: feed.phase is Phase.behind and feed.failures > 0)
            await churn.run(500, a_minute=60_000)
            assert not differences(feed, before), "what was there is still served"
            cluster.restart("kube-apiserver", meanwhile=cluster.compact)
            await asyncio.to_thread(cluster.until, "the server answers", cluster.answers)
            await line.mend()
            truth = await asyncio.to_thread(listed, cluster, feed.path)
            await until(lambda: not differences(feed, truth), "the cache and the list are equal", within_s=60)
            reading = await cache.read()

    assert Reason.expired in notebook.reasons_of(CHURNED), "the server had forgotten the cache's version"
    assert reading.trouble == ""
    assert not [gap for gap in reading.snapshot.not_read if CHURNED in gap.what]
