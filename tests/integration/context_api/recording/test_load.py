"""Recordings as people have them, and recordings as enemies make them."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.context_api.adapters.recording import Limits, UnreadableRecording, load_recording
from services.context_api.adapters.recording.limits import MIB
from services.context_api.domain.snapshot import Snapshot
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "INF-BR-REL-008", "API-BR-SEC-006")

BOMB = "\n".join(
    [
        'a: &a ["lol"]',
        *(f"{c}: &{c} [{','.join([f'*{b}'] * 9)}]" for b, c in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
)


def pod(name: str = "api-0", namespace: str = "shop", **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T10:00:00Z", **rest}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def write(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def names(snapshot: Snapshot) -> list[str]:
    return [str(item) for item in snapshot.objects]


def reasons(snapshot: Snapshot) -> dict[str, str]:
    return {note.what: note.why for note in snapshot.not_read}


def test_a_tree_of_yaml_and_json_is_read(tmp_path: Path):
    write(
        tmp_path,
        {
            "a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\n---\n"
            "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n",
            "b/list.json": {"apiVersion": "v1", "kind": "List", "items": [pod("b")]},
            "c.yml.gz": gzip.compress(b"apiVersion: acme.io/v1\nkind: Rocket\nmetadata: {name: c}\n"),
            "alert.json": {"version": "4", "alerts": []},
            "README.md": "about",
            "picture.png": b"\x89PNG",
        },
    )

    snapshot = load_recording(tmp_path)

    assert names(snapshot) == ["Pod/shop/a", "Node/_cluster/n", "Rocket/_cluster/c", "Pod/shop/b"]
    assert [str(note) for note in snapshot.not_read] == ["1 file: neither YAML, JSON nor a container's log"]


def test_a_must_gather_is_read_from_one_directory_above(tmp_path: Path):
    base = "must-gather.local.1/quay-io-openshift-sha256-1/"
    write(
        tmp_path,
        {
            base + "namespaces/shop/core/pods.yaml": {
                "apiVersion": "v1",
                "kind": "PodList",
                "items": [pod(resourceVersion="5")],
            },
            base + "namespaces/shop/pods/api-0/api-0.yaml": pod(resourceVersion="7"),
            base + "namespaces/shop/core/events.yaml": {
                "apiVersion": "v1",
                "kind": "EventList",
                "items": [
                    {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop"}}
                ],
            },
            base + "namespaces/shop/pods/api-0/web/web/logs/current.log": "2026-01-01T11:00:00Z up\n",
            base + "namespaces/shop/pods/api-0/web/web/logs/previous.log": "died\n",
            base + "cluster-scoped-resources/core/nodes/n.yaml": {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": "n"},
            },
        },
    )

    snapshot = load_recording(tmp_path)

    found = snapshot.get("Pod", "shop", "api-0")
    assert found is not None
    assert found.metadata["resourceVersion"] == "7"
    assert [event.name for event in snapshot.events] == ["e"]
    assert [(log.previous, log.text) for log in snapshot.logs_of("shop", "api-0")] == [
        (False, "2026-01-01T11:00:00Z up\n"),
        (True, "died\n"),
    ]
    assert snapshot.captured_at == datetime(2026, 1, 1, 11, tzinfo=UTC)


def test_a_cluster_info_dump_is_read(tmp_path: Path):
    typed = {
        "kind": "PodList",
        "apiVersion": "v1",
        "metadata": {},
        "items": [{"metadata": pod()["metadata"]}],
    }
    write(
        tmp_path,
        {
            "nodes.json": {"kind": "NodeList", "apiVersion": "v1", "items": [{"metadata": {"name": "n"}}]},
            "shop/pods.json": typed,
            "shop/api-0/logs.txt": "==== START logs for container web of pod shop/api-0 ====\nup\n"
            "==== END logs for container web of pod shop/api-0 ====\n",
        },
    )

    snapshot = load_recording(tmp_path)

    assert names(snapshot) == ["Node/_cluster/n", "Pod/shop/api-0"]
    assert [(log.container, log.text) for log in snapshot.logs_of("shop", "api-0")] == [("web", "up\n")]


def test_a_log_without_a_namespace_finds_its_pod(tmp_path: Path):
    write(
        tmp_path,
        {
            "pods.yaml": [pod("api-0", "shop"), pod("db-0", "a"), pod("db-0", "b")],
            "pods/api-0/web/current.log": "up\n",
            "pods/db-0/db/current.log": "whose?\n",
        },
    )

    snapshot = load_recording(tmp_path)

    assert [(log.namespace, log.pod) for log in snapshot.logs] == [("shop", "api-0")]
    assert "belongs to no pod we know" in reasons(snapshot)["pods/db-0/db/current.log"]


def test_metrics_are_read_and_broken_ones_named(tmp_path: Path):
    data = {"resultType": "vector", "result": []}
    write(
        tmp_path,
        {
            "pods.json": pod(),
            "metrics/up.json": {
                "query": "up",
                "kind": "instant",
                "asked_at": "2026-01-01T12:00:00Z",
                "data": data,
            },
            "metrics/down.json": {"kind": "instant"},
        },
    )

    snapshot = load_recording(tmp_path)

    assert [metric.query for metric in snapshot.metrics] == ["up"]
    assert "query" in reasons(snapshot)["metrics/down.json"]
    assert snapshot.captured_at == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_recording_says_itself_when_it_was_made(tmp_path: Path):
    write(tmp_path, {"pods.json": pod(), "snapshot.yaml": 'captured_at: "2025-12-31T00:00:00Z"\n'})

    assert load_recording(tmp_path).captured_at == datetime(2025, 12, 31, tzinfo=UTC)


def test_without_a_word_about_it_now_is_the_newest_time(tmp_path: Path):
    write(tmp_path, {"pods.json": pod(), "snapshot.yaml": "captured_at: soon\n"})

    snapshot = load_recording(tmp_path)

    assert snapshot.captured_at == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert "captured_at" in reasons(snapshot)["snapshot.yaml"]


def test_a_recording_without_any_time_gives_the_same_now_every_year(tmp_path: Path):
    write(tmp_path, {"n.yaml": "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n"})

    snapshot = load_recording(tmp_path)

    assert snapshot.captured_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert "ages cannot be told" in reasons(snapshot)["the time of the recording"]


def test_of_several_copies_the_newest_stays_whatever_their_order(tmp_path: Path):
    write(
        tmp_path,
        {"1.json": pod(resourceVersion="9", uid="new"), "2.json": pod(resourceVersion="8", uid="old")},
    )

    assert [item.uid for item in load_recording(tmp_path).objects] == ["new"]


def test_one_broken_file_costs_only_itself(tmp_path: Path):
    write(
        tmp_path,
        {
            "a.yaml": "a: [1, 2\n",
            "b.json": "{",
            "c.yaml": b"\x00\x01\x02" * 100,
            "d.yaml": "",
            "e.yaml": "replicaCount: 2\n",
            "f.json": [pod("ok"), pod("../evil"), 7, {"apiVersion": "v1", "kind": "Pod"}],
            "g.yaml.gz": b"no gzip",
        },
    )

    snapshot = load_recording(tmp_path)

    assert names(snapshot) == ["Pod/shop/ok"]
    assert set(reasons(snapshot)) == {
        "a.yaml", "b.json", "c.yaml", "d.yaml", "e.yaml", "g.yaml.gz",
        "f.json (object 2)", "f.json (object 3)", "f.json (object 4)",
    }  # fmt: skip


def test_the_same_files_have_the_same_id_and_others_another(tmp_path: Path):
    first = load_recording(write(tmp_path / "a", {"p.json": pod(), "logs/shop/api-0/web.log": "up"})).id
    same = load_recording(write(tmp_path / "b", {"p.json": pod(), "logs/shop/api-0/web.log": "up"})).id
    other_log = load_recording(write(tmp_path / "c", {"p.json": pod(), "logs/shop/api-0/web.log": "down"})).id
    other_pod = load_recording(
        write(tmp_path / "d", {"p.json": pod(uid="2"), "logs/shop/api-0/web.log": "up"})
    ).id

    assert first == same
    assert len({first, other_log, other_pod}) == 3


@pytest.mark.requirement("INF-BR-SEC-005")
def test_no_secret_value_is_in_the_snapshot(tmp_path: Path):
    canary = "c2VjcmV0LWNhbmFyeQ=="
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"password": canary}}
    applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(secret)}
    write(
        tmp_path,
        {
            "s.json": secret | {"metadata": {"name": "db", "namespace": "shop", "annotations": applied}},
            "p.json": pod(),
        },
    )

    snapshot = load_recording(tmp_path)

    assert canary not in repr(snapshot.objects) + repr([item.body for item in snapshot.objects])
    found = snapshot.get("Secret", "shop", "db")
    assert found is not None
    assert found.body["dataSummary"] == {"password": {"bytes": 13}}


# --- what must end with a clear word, soon and in little memory -------------------------------------------------


@contextmanager
def bounded(seconds: float = 2, megabytes: int = 64) -> Iterator[None]:
    """CPU time and growth of the process's peak memory stay below these."""
    start, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - start < seconds
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024 < megabytes


def refusal(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(UnreadableRecording) as refused:
        load_recording(path, limits)
    return refused.value.reason


def test_an_empty_directory_is_refused(tmp_path: Path):
    assert "holds no file" in refusal(tmp_path)


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path):
    assert "no such file" in refusal(tmp_path / "nowhere")


def test_a_directory_of_broken_yaml_is_refused_and_names_examples(tmp_path: Path):
    write(tmp_path, {f"{n}.yaml": "a: [1\n" for n in range(300)})

    assert "0.yaml: is no YAML" in refusal(tmp_path)


def test_an_object_of_fifty_megabytes_is_refused(tmp_path: Path):
    write(
        tmp_path,
        {
            "huge.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: "
            + "x" * 50_000_000
        },
    )

    with bounded():
        reason = refusal(tmp_path)

    assert "48 MiB large, over the limit of 32 MiB" in reason


def test_an_object_that_no_api_server_stores_is_named(tmp_path: Path):
    huge = pod() | {"data": "x" * 5_000_000}
    write(tmp_path, {"huge.json": huge, "ok.json": pod("ok")})

    snapshot = load_recording(tmp_path)

    assert names(snapshot) == ["Pod/shop/ok"]
    assert "4 MiB" in reasons(snapshot)["huge.json"]


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        "- " * 100_000 + "x",
        "[" * 100_000,
        '{"a":' * 100_000,
        "a: &x " + "y" * 900_000 + "\nb:\n" + "- *x\n" * 1000,
        os.urandom(1_000_000),
        b"\0" * 1_000_000,
        gzip.compress(b"\0" * 200_000_000),
    ],
    ids=["aliases", "compact", "brackets", "json", "large-alias", "random", "nul", "gzip"],
)
def test_a_bomb_is_refused_soon_and_in_little_memory(tmp_path: Path, content: str | bytes):
    for name in ("a.yaml", "b.json", "c.yaml.gz"):
        write(tmp_path, {name: content})

    with bounded(megabytes=128):
        assert refusal(tmp_path)


def test_ten_million_empty_lists_are_refused_before_they_are_made(tmp_path: Path):
    write(tmp_path, {"a.json": "[" + "[]," * 10_000_000 + "[]]"})

    with bounded(megabytes=128):
        assert "values in all" in refusal(tmp_path)


def test_a_loop_of_links_is_refused(tmp_path: Path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "up").symlink_to(".")

    assert "links" in refusal(tmp_path)


def test_the_total_size_is_bounded(tmp_path: Path):
    write(tmp_path, {f"{n}.json": pod(f"p{n}", note="x" * 900_000) for n in range(5)})

    snapshot = load_recording(tmp_path, Limits(total_bytes=2 * MIB))

    assert len(snapshot.objects) == 2
    assert "over the limit of 2 MiB in all" in reasons(snapshot)["4.json"]


def test_the_number_of_objects_is_bounded(tmp_path: Path):
    write(tmp_path, {"a.json": [pod(f"p{n}") for n in range(10)]})

    snapshot = load_recording(tmp_path, Limits(objects=7))

    assert len(snapshot.objects) == 7
    assert "more than 7 objects" in reasons(snapshot)["3 objects"]


def test_only_the_end_of_a_log_is_read(tmp_path: Path):
    write(tmp_path, {"p.json": pod()})
    log = write(tmp_path, {"logs/shop/api-0/web.log": ""}) / "logs/shop/api-0/web.log"
    with log.open("wb") as stream:
        stream.seek(20 * 1024 * MIB)
        stream.write(b"\nthe last words\n")

    with bounded():
        snapshot = load_recording(tmp_path)

    assert snapshot.logs[0].text.endswith("the last words\n")
    assert snapshot.logs[0].truncated
    assert len(snapshot.logs[0].text) <= Limits().log_tail_bytes + 1


def test_a_file_we_may_not_read_is_named():
    # Root may read everything, so this runs as nobody, in a directory nobody can reach.
    with tempfile.TemporaryDirectory() as directory:
        root = write(Path(directory), {"a.json": pod("a"), "b.json": pod("b"), "c/d.json": pod("d")})
        root.chmod(0o755)
        (root / "b.json").chmod(0o000)
        (root / "c").chmod(0o000)
        with as_nobody():
            snapshot = load_recording(root)
        (root / "c").chmod(0o755)

    assert names(snapshot) == ["Pod/shop/a"]
    assert reasons(snapshot) == dict.fromkeys(("b.json", "c"), "cannot be read: permission denied")


@contextmanager
def as_nobody() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_stack_of_an_ordinary_thread_is_enough_for_the_deepest_file_we_take(tmp_path: Path):
    """In a process of its own: when this fails, it ends with SIGSEGV."""
    write(tmp_path, {"deep.yaml": "- " * (Limits().indent_columns // 2 - 1) + "[" * 200 + "x" + "]" * 200})
    code = (
        "import sys, threading; from pathlib import Path; threading.stack_size(1 << 20)\n"
        "from services.context_api.adapters.recording import load_recording, UnreadableRecording\n"
        "def go():\n    try: load_recording(Path(sys.argv[1]))\n    except UnreadableRecording as e: print(e.reason)\n"
        "t = threading.Thread(target=go); t.start(); t.join()"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "no Kubernetes object" in done.stdout
