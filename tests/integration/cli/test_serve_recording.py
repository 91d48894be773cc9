"""`./kubernaut serve-recording`, looked into with the real kubectl: what it prints is what was recorded.

The recordings' own files are read here as they lie on disk, not by the reader that the command uses.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests.support.ports import free_ports
from tests.support.served_recording import WITHIN_S, ServedRecording, serving
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-CAPI-006")

INCIDENT = ROOT / "examples" / "incidents" / "orders-database-config"
CERTIFICATES = ROOT / "tests" / "incidents" / "recordings" / "certificate_issuer_removed"
CRASHING = "checkout-567b89df9d-jc9pd"

needs_kubectl = pytest.mark.needs("testbed")

Doc = dict[str, Any]


def recorded(root: Path, kind: str | None = None) -> list[Doc]:
    """The objects in the files, in an API server's order."""
    items = [item for file in sorted((root / "objects").rglob("*.json")) for item in json.loads(file.read_text())["items"]]  # fmt: skip
    found = [item for item in items if kind is None or item["kind"] == kind]
    return sorted(found, key=lambda item: (item["metadata"].get("namespace", ""), item["metadata"]["name"]))


def named(items: Sequence[Doc]) -> list[str]:
    return [f"{item['metadata'].get('namespace')}/{item['metadata']['name']}" for item in items]


@pytest.fixture(scope="module")
def served() -> Iterator[ServedRecording]:
    with serving(INCIDENT) as one:
        yield one


@pytest.fixture(scope="module")
def certificates() -> Iterator[ServedRecording]:
    with serving(CERTIFICATES) as one:
        yield one


# --- what kubectl prints is what was recorded -------------------------------------------------------------------


@needs_kubectl
def test_pods_are_printed_as_they_were_recorded(served: ServedRecording):
    said = served.kubectl("get", "pods", "-A", "-o", "yaml", "--show-managed-fields")

    assert (said.code, said.err) == (0, "")
    assert yaml.safe_load(said.out)["items"] == recorded(INCIDENT, "Pod")


@needs_kubectl
@pytest.mark.parametrize("root", [INCIDENT, CERTIFICATES], ids=["incident", "certificates"])
def test_everything_recorded_comes_out_and_nothing_else(root: Path, request: pytest.FixtureRequest):
    one: ServedRecording = request.getfixturevalue("served" if root == INCIDENT else "certificates")
    listed = one.kubectl("api-resources", "-o", "name", "--verbs", "list").out.split()

    printed = one.get(",".join(listed), "-A")["items"]

    made_up = [
        item for item in printed if "kubernaut.ai/not-recorded" in item["metadata"].get("annotations", {})
    ]
    whole = {json.dumps(item, sort_keys=True) for item in printed if item not in made_up}
    assert whole == {json.dumps(item, sort_keys=True) for item in recorded(root)}
    assert {item["kind"] for item in made_up} <= {"Namespace"}


@needs_kubectl
def test_one_object_is_printed_as_it_was_recorded(served: ServedRecording):
    for kind in ("pod", "deployment.apps", "configmap", "node", "event", "secret"):
        item = recorded(INCIDENT, {"pod": "Pod", "deployment.apps": "Deployment", "configmap": "ConfigMap",
                                   "node": "Node", "event": "Event", "secret": "Secret"}[kind])[0]  # fmt: skip
        where = ["-n", item["metadata"]["namespace"]] if "namespace" in item["metadata"] else []
        assert served.get(kind, item["metadata"]["name"], *where) == item


@needs_kubectl
def test_pages_of_any_size_make_the_same_list(served: ServedRecording):
    whole = named(recorded(INCIDENT, "Pod"))

    for size in ("1", "3", "500", "0"):
        assert named(served.get("pods", "-A", f"--chunk-size={size}")["items"]) == whole


@needs_kubectl
def test_objects_are_selected_by_label(served: ServedRecording):
    key = "app.kubernetes.io/name"
    pods = [pod for pod in recorded(INCIDENT, "Pod") if pod["metadata"]["namespace"] == "shop"]

    def label(pod: Doc) -> str | None:
        value: str | None = pod["metadata"]["labels"].get(key)
        return value

    for words, wanted in {
        f"{key}=checkout": [p for p in pods if label(p) == "checkout"],
        f"{key}!=checkout": [p for p in pods if label(p) != "checkout"],
        f"{key} in (checkout, catalog)": [p for p in pods if label(p) in ("checkout", "catalog")],
        f"{key} notin (checkout),{key}": [p for p in pods if label(p) not in ("checkout", None)],
        f"!{key}": [p for p in pods if label(p) is None],
    }.items():
        assert named(served.get("pods", "-n", "shop", "-l", words)["items"]) == named(wanted)


@needs_kubectl
def test_events_are_selected_by_what_they_are_about(served: ServedRecording):
    wanted = [event for event in recorded(INCIDENT, "Event") if event["involvedObject"]["name"] == CRASHING and event["type"] == "Warning"]  # fmt: skip

    found = served.get("events", "-A", "--field-selector", f"involvedObject.name={CRASHING},type=Warning")[
        "items"
    ]

    assert wanted
    assert found == wanted


@needs_kubectl
def test_logs_are_the_recorded_files(served: ServedRecording):
    files = sorted((INCIDENT / "logs").rglob("*.log"))

    for file in files:
        namespace, pod = file.parts[-3:-1]
        previous = ["--previous"] if file.stem.endswith(".previous") else []
        container = file.stem.removesuffix(".previous")
        said = served.kubectl("logs", "-n", namespace, pod, "-c", container, *previous)
        assert (said.code, said.out) == (0, file.read_text())
    assert [file for file in files if ".previous" in file.name]


@needs_kubectl
def test_the_end_of_a_log_can_be_asked_for(served: ServedRecording):
    text = (INCIDENT / "logs" / "shop" / CRASHING / "checkout.log").read_text()

    said = served.kubectl("logs", "-n", "shop", CRASHING, "--tail", "2")

    assert said.out == "".join(text.splitlines(keepends=True)[-2:])


@needs_kubectl
def test_a_log_that_was_not_recorded_says_so(served: ServedRecording):
    pod = next(
        p["metadata"]["name"]
        for p in recorded(INCIDENT, "Pod")
        if p["metadata"]["name"].startswith("storefront")
    )

    said = served.kubectl("logs", "-n", "shop", pod)

    assert said.code == 1
    assert "was not recorded" in said.err


@needs_kubectl
def test_a_pod_is_described_with_its_events(served: ServedRecording):
    said = served.kubectl("describe", "pod", "-n", "shop", CRASHING)

    assert (said.code, said.err) == (0, "")
    about = [event for event in recorded(INCIDENT, "Event") if event["involvedObject"]["name"] == CRASHING]
    assert about
    for event in about:
        assert event["message"] in said.out
    assert "Reason:       CrashLoopBackOff" in said.out
    assert "Exit Code:    1" in said.out


@needs_kubectl
@pytest.mark.parametrize(
    "what",
    [
        ("deployment", "-n", "shop", "checkout"),
        ("node", "worker-1"),
        ("namespace", "shop"),
        ("service", "-n", "shop", "checkout"),
        ("secret", "-n", "shop", "checkout-orders-db"),
    ],
)
def test_other_kinds_are_described_too(served: ServedRecording, what: tuple[str, ...]):
    said = served.kubectl("describe", *what)

    assert said.code == 0
    assert said.out.startswith("Name: ")
    assert what[-1] in said.out


@needs_kubectl
def test_the_kinds_of_the_recording_are_listed_by_the_names_people_know(served: ServedRecording):
    said = served.kubectl("api-resources", "--no-headers")

    listed = {line.split()[-1]: line.split() for line in said.out.splitlines()}
    assert {item["kind"] for item in recorded(INCIDENT)} <= set(listed)
    assert listed["Deployment"] == ["deployments", "deploy", "apps/v1", "true", "Deployment"]
    assert listed["Node"] == ["nodes", "no", "v1", "false", "Node"]


@needs_kubectl
def test_custom_resources_are_called_as_their_definition_says(certificates: ServedRecording):
    definition = next(item for item in recorded(CERTIFICATES, "CustomResourceDefinition") if item["spec"]["names"]["kind"] == "Certificate")  # fmt: skip
    names = definition["spec"]["names"]

    for word in (names["plural"], names["singular"], f"{names['plural']}.{definition['spec']['group']}"):
        assert certificates.get(word, "-A")["items"] == recorded(CERTIFICATES, "Certificate")
    assert certificates.get("clusterissuers")["items"] == recorded(CERTIFICATES, "ClusterIssuer")


@needs_kubectl
def test_tables_have_the_columns_people_know(served: ServedRecording):
    said = served.kubectl("get", "pods", "-n", "shop")
    wide = served.kubectl("get", "pods", "-n", "shop", "-o", "wide", "--no-headers")

    assert said.out.splitlines()[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    row = next(line for line in said.out.splitlines() if line.startswith(CRASHING))
    assert row.split() == [CRASHING, "0/1", "CrashLoopBackOff", "8", "(22s", "ago)", "43h"]
    assert "worker-1" in next(line for line in wide.out.splitlines() if line.startswith(CRASHING))


@needs_kubectl
def test_a_watch_shows_what_there_is_and_then_nothing(served: ServedRecording):
    said = served.kubectl("get", "pods", "-n", "shop", "--watch", "--no-headers", "--request-timeout=2s")
    waited = served.kubectl(
        "wait",
        "-n",
        "shop",
        "--for=condition=Ready",
        "pod",
        "-l",
        "app.kubernetes.io/name=catalog",
        "--timeout=5s",
    )

    pods = [
        pod["metadata"]["name"] for pod in recorded(INCIDENT, "Pod") if pod["metadata"]["namespace"] == "shop"
    ]
    assert [line.split()[0] for line in said.out.splitlines()] == pods
    assert waited.out.count("condition met") == 2


@needs_kubectl
@pytest.mark.parametrize(
    "command",
    [
        ("delete", "pod", "-n", "shop", CRASHING),
        ("scale", "-n", "shop", "deploy/checkout", "--replicas=3"),
        ("label", "-n", "shop", "pod", CRASHING, "a=b"),
        ("create", "namespace", "new"),
        ("apply", "-f", str(INCIDENT / "objects" / "shop" / "service.json")),
        ("taint", "node", "worker-1", "a=b:NoSchedule"),
        ("rollout", "restart", "-n", "shop", "deploy/checkout"),
        ("exec", "-n", "shop", CRASHING, "--", "true"),
        ("port-forward", "-n", "shop", CRASHING, "0:80"),
        ("debug", "-n", "shop", CRASHING, "--image=registry.example.com/debug:1"),
    ],
    ids=lambda command: command[0],
)
def test_nothing_can_be_done_to_a_recording(served: ServedRecording, command: tuple[str, ...]):
    said = served.kubectl(*command)

    assert said.code != 0
    assert "this is a recorded cluster, served read-only" in said.err


@needs_kubectl
def test_who_asks_what_they_may_is_told_the_truth(served: ServedRecording):
    assert served.kubectl("auth", "can-i", "get", "pods").out == "yes\n"
    assert served.kubectl("auth", "can-i", "list", "secrets", "-n", "shop").out == "yes\n"
    assert served.kubectl("auth", "can-i", "delete", "pods").out.startswith("no")
    assert "recording-reader" in served.kubectl("auth", "whoami").out
    assert "[get list watch]" in served.kubectl("auth", "can-i", "--list").out


@needs_kubectl
def test_a_kind_of_which_nothing_was_recorded_is_no_claim_that_there_was_none(served: ServedRecording):
    said = served.kubectl("get", "ingresses", "-A")

    assert said.code == 0
    assert "Warning: the recording holds no ingresses.networking.k8s.io" in said.err


@needs_kubectl
def test_a_must_gather_is_served_like_any_recording(tmp_path: Path):
    """Its folders, its YAML, its kubelet-stamped logs, and a Namespace that only its objects tell of."""
    core = tmp_path / "registry-example-com-sha256" / "namespaces" / "shop"
    pods = [pod for pod in recorded(INCIDENT, "Pod") if pod["metadata"]["namespace"] == "shop"]
    (core / "core").mkdir(parents=True)
    (core / "core" / "pods.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v1", "kind": "PodList", "items": pods})
    )
    log = core / "pods" / CRASHING / "checkout" / "checkout" / "logs" / "current.log"
    log.parent.mkdir(parents=True)
    log.write_text("2026-11-18T09:23:33.418000000Z starting\n2026-11-18T09:23:48.030000000Z exiting\n")

    with serving(tmp_path) as one:
        assert one.get("pods", "-n", "shop")["items"] == pods
        assert one.kubectl("logs", "-n", "shop", CRASHING).out == log.read_text()
        since = one.kubectl(
            "logs", "-n", "shop", CRASHING, "--since-time=2026-11-18T09:23:40Z", "--timestamps"
        )
        assert since.out == log.read_text().splitlines(keepends=True)[1]
        namespace = one.get("namespace", "shop")
    assert "not recorded" in namespace["metadata"]["annotations"]["kubernaut.ai/not-recorded"]


def test_recorded_again_it_is_the_same_recording(tmp_path: Path):
    """Through the reader of live clusters: discovery, pages, logs, and the server's clock."""
    with serving(INCIDENT, "--kubeconfig", tmp_path / "config"):
        done = kubernaut(
            "record", "--out", tmp_path / "again", "--kubeconfig", tmp_path / "config", "--name", "testbed"
        )
        live = kubernaut("triage", "--live", "--kubeconfig", tmp_path / "config", "--json")

    assert done.returncode == 0, done.stderr
    for part in ("objects", "logs"):
        files = {
            file.relative_to(INCIDENT): file.read_text()
            for file in (INCIDENT / part).rglob("*")
            if file.is_file()
        }
        again = {
            file.relative_to(tmp_path / "again"): file.read_text()
            for file in (tmp_path / "again" / part).rglob("*")
            if file.is_file()
        }
        assert again == files
    facts, before = (
        yaml.safe_load((root / "snapshot.yaml").read_text()) for root in (tmp_path / "again", INCIDENT)
    )
    assert facts["captured_at"] == before["captured_at"]
    first = json.loads(live.stdout)["ranked"][0]
    assert (first["kind"], first["namespace"], first["name"]) == ("ConfigMap", "data", "orders-db-config")


# --- how it starts and ends -------------------------------------------------------------------------------------


def kubernaut(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "kubernaut"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S)


def test_ctrl_c_ends_it_though_somebody_watches(tmp_path: Path):
    config = tmp_path / "config"
    with serving(INCIDENT, "--kubeconfig", config) as one:
        assert str(config) in one.greeting
        address = urlsplit(one.url)
        watching = http.client.HTTPConnection(address.hostname or "", address.port, timeout=WITHIN_S)
        watching.request("GET", "/api/v1/pods?watch=true&resourceVersion=0")
        answer = watching.getresponse()
        assert json.loads(answer.readline())["type"] == "ADDED"

        code, err = one.stop()

        assert (code, err) == (0, "")
        assert answer.read().count(b'"ADDED"') == len(recorded(INCIDENT, "Pod")) - 1  # ended, not cut off
        watching.close()
        assert not config.exists()


@needs_kubectl
def test_a_kubeconfig_leads_there(tmp_path: Path):
    config = tmp_path / "config"
    with serving(INCIDENT, "--kubeconfig", config) as one:
        said = one.kubectl("get", "pods", "-A", "-o", "name", kubeconfig=config)

    assert len(said.out.splitlines()) == len(recorded(INCIDENT, "Pod"))


def test_a_taken_port_is_named_with_who_has_it():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = kubernaut("serve-recording", INCIDENT, "--port", str(port))

    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is taken by pid" in done.stderr


@pytest.mark.parametrize("what", ["nowhere", "empty", "file"])
def test_what_triage_cannot_read_this_cannot_either_and_says_so_alike(tmp_path: Path, what: str):
    place = tmp_path / what
    if what == "empty":
        place.mkdir()
    elif what == "file":
        place.write_text("no cluster")

    served, triaged = kubernaut("serve-recording", place, "--port", "0"), kubernaut("triage", place)

    assert served.returncode == triaged.returncode == 2
    assert served.stderr.replace("serve-recording", "triage") == triaged.stderr
    assert served.stdout == ""


def test_somebodys_kubeconfig_is_not_overwritten(tmp_path: Path):
    config = tmp_path / "config"
    config.write_text("mine")

    done = kubernaut("serve-recording", INCIDENT, "--port", "0", "--kubeconfig", config)

    assert (done.returncode, config.read_text()) == (2, "mine")
    assert "name a new file" in done.stderr


def test_only_this_machine_is_answered(served: ServedRecording):
    address = urlsplit(served.url)
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = {
        row[1].partition(":")[0]
        for row in rows
        if row[3] == "0A" and int(row[1].partition(":")[2], 16) == address.port
    }

    assert local == {"0100007F"}


# --- what comes in ----------------------------------------------------------------------------------------------

BAD = [
    b"GET /../../etc/passwd HTTP/1.1", b"GET /api/v1/namespaces/..%2f..%2fetc/pods/passwd HTTP/1.1", b"GET /api/v1/pods/%00 HTTP/1.1",
    b"GET /api/v1/namespaces/shop/pods/%ff/log HTTP/1.1", b"GET /api/v1/pods?labelSelector=%27%3BDROP HTTP/1.1",
    b"GET /api/v1/pods?fieldSelector=a%3Db%00 HTTP/1.1", b"GET /api/v1/pods?limit=1e9 HTTP/1.1", b"GET /api/v1/pods?continue=../.. HTTP/1.1",
    b"GET /api/v1/pods?" + b"a=1&" * 500 + b" HTTP/1.1", b"GET /" + b"a" * 40_000 + b" HTTP/1.1", b"GET /api/v1/pods\xff HTTP/1.1",
    b"GET //api//v1//pods HTTP/1.1", b"GET http://evil.example.com/api/v1/pods%0d%0a HTTP/1.1", b"TRACE / HTTP/1.1", b"DELETE /api/v1/pods HTTP/1.1",
    b"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews HTTP/1.1\r\nContent-Length: 3\r\n\r\n{{{",
    b"GET /api/v1/namespaces/shop/pods/x%0d%0aSet-Cookie:a HTTP/1.1", b"GET / HTTP/9.9", b"nonsense",
]  # fmt: skip


@pytest.mark.requirement("API-BR-SEC-006")
@pytest.mark.parametrize("request_line", BAD)
def test_what_nobody_means_is_refused_and_is_no_fault(served: ServedRecording, request_line: bytes):
    address = urlsplit(served.url)
    with socket.create_connection(
        (address.hostname or "", address.port or 0), timeout=WITHIN_S
    ) as connection:
        head, _, body = request_line.partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" + body)
        answer = b""
        while part := connection.recv(65_536):
            answer += part

    status = int(answer.split()[1])
    assert 400 <= status < 500, answer[:300]
    assert b"Traceback" not in answer
    assert served.process.poll() is None


@pytest.mark.requirement("API-BR-CAPI-013")
def test_many_may_look_at_once(served: ServedRecording):
    wanted = len(recorded(INCIDENT, "Pod"))
    counts: list[int] = []

    def look() -> None:
        with httpx.Client(base_url=served.url, timeout=WITHIN_S) as client:
            counts.extend(len(client.get("/api/v1/pods").json()["items"]) for _ in range(5))

    threads = [threading.Thread(target=look) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == [wanted] * 100


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_when_it_is_told_to(number: signal.Signals):
    with serving(INCIDENT) as one:
        one.process.send_signal(number)

        assert one.process.wait(WITHIN_S) == 0


def test_a_port_can_be_chosen():
    (port,) = free_ports(1)
    with serving(INCIDENT, "--port", str(port)) as one:
        assert httpx.get(f"http://127.0.0.1:{port}/version").status_code == 200
        assert one.url.endswith(f":{port}")
