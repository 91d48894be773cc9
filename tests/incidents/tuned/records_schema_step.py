"""A password in a Secret was changed before the database's; the first new pods, weeks later, fail in their init container."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="A rotated password that the database never got stops the schema step of the next release",
    half=Half.tuned,
    story=(
        "Somebody patches the Secret records-store-app with a new password and forgets ALTER ROLE. The running pods"
        " keep the old one in their environment; 70 minutes later a release makes new pods, whose init container"
        " migrate is refused by the database. The release itself is well."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/pods/init-containers/",
        "https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-environment-variables",
        "https://www.postgresql.org/docs/current/client-authentication-problems.html",
    ],
    labels={
        "alertname": "KubeDeploymentRolloutStuck",
        "namespace": "clinic",
        "deployment": "records",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["Secret/clinic/records-store-app"],
    says=[["password authentication failed"], ["records-store-app"]],
    innocent=["Deployment/clinic/records", "StatefulSet/clinic/store"],
    traits=frozenset({Trait.innocent}),
)

SCRAM = '"host all all all scram-sha-256"'


def play(stage: Stage) -> None:
    stage.apply(system())
    entries: dict[str, str | Body] = {
        "DATABASE_HOST": "store.clinic.svc.cluster.local",
        "DATABASE_USER": from_secret("records-store-app", "username"),
        "DATABASE_PASSWORD": from_secret("records-store-app", "password"),
    }
    migrate = container(
        "migrate", "clinic/records:8.1.3", env=entries, command=["bundle", "exec", "rake", "db:migrate"]
    )
    stage.apply([
        secret("clinic/records-store-app", {"username": "records", "password": "as-first-issued"}),
        stateful_set("clinic/store", container("postgres", "postgres:16.4", port=5432, memory=("1Gi", "2Gi"))),
        service("clinic/store", 5432, headless=True),
        deployment(
            "clinic/records",
            container("records", "clinic/records:8.1.3", port=3000, ready="/up", memory=("384Mi", "512Mi"), env=entries),
            replicas=3, pod={"initContainers": [migrate]}, progressDeadlineSeconds=300,
            strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        ),
        service("clinic/records", 80, 3000),
        deployment("clinic/appointments", container("appointments", "clinic/appointments:3.3.0", port=8080, ready="/ready")),
        service("clinic/appointments", 80, 8080),
        deployment("clinic/letters", container("letters", "clinic/letters:1.0.14", port=8000, ready="/healthz"), replicas=1),
    ])  # fmt: skip
    stage.calm()
    _init_done(stage)
    stage.wait(days=41, hours=5)
    stage.kubectl(
        "patch", "secret", "records-store-app", "-n", "clinic", "-p", '{"stringData":{"password":"rotated-this-quarter"}}'
    )  # fmt: skip
    stage.wait(minutes=70)
    stage.heartbeat()
    image = "registry.example.com/clinic/records:8.1.4"
    before = {p["metadata"]["name"] for p in stage.pods("clinic/records")}
    stage.hold("clinic/records")
    stage.kubectl(
        "set", "image", "deployment/records", f"records={image}", f"migrate={image}", "-n", "clinic"
    )
    (fresh,) = [p for p in stage.placed("clinic/records", 4) if p["metadata"]["name"] not in before]
    name = fresh["metadata"]["name"]
    stage.wait(minutes=5, seconds=4)
    stage.cluster.until(
        "the deadline was noticed",
        lambda: any(
            c["reason"] == "ProgressDeadlineExceeded"
            for c in stage.get("deployments/clinic/records")["status"]["conditions"]
        ),
    )
    stage.wait(minutes=19, seconds=56)
    (fresh,) = [p for p in stage.pods("clinic/records") if p["metadata"]["name"] == name]
    server = stage.pod("clinic/store")["status"]["podIP"]
    refused = (
        "rake aborted!\n"
        "ActiveRecord::DatabaseConnectionError: There is an issue connecting to your database with your username/password, username: records.\n"
        "\n"
        "Caused by:\n"
        f'PG::ConnectionBad: connection to server at "{server}", port 5432 failed: FATAL:  password authentication failed for user "records"\n'
        "\n"
        "Tasks: TOP => db:migrate\n"
        "(See full trace by running task with --trace)"
    )
    _init_crash(stage, fresh, image)
    for previous in (False, True):
        stage.log(
            f"clinic/{name}", printed(stage.ago(minutes=3, seconds=26), [refused]), container="migrate", previous=previous,
        )  # fmt: skip
    tries = [stage.ago(minutes=m) for m in (24.8, 24.5, 24.1, 23.3, 21.9, 19.1, 13.9, 8.7, 3.5)]
    refusals = (
        "<%Y-%m-%d %H:%M:%S.%3> UTC [<3000-3999>] FATAL:  password authentication failed for user \"records\"\n"
        f"<%Y-%m-%d %H:%M:%S.%3> UTC [<3000-3999>] DETAIL:  Connection matched file \"/var/lib/postgresql/data/pg_hba.conf\" line 128: {SCRAM}"
    )  # fmt: skip
    stage.log("clinic/store", "\n".join([
        printed(stage.ago(minutes=52), ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <40-90> buffers (0.3%); 0 WAL file(s) added, 0 removed, 1 recycled"] * 5, every_s=300),
        *[printed(at, [refusals]) for at in tries],
    ]))  # fmt: skip
    old = sorted(before)
    for pod in old:
        chatter(stage, f"clinic/{pod}", [
            "I, [<%Y-%m-%dT%H:%M:%S.%3>000 #1]  INFO -- : Completed 200 OK in <18-90>ms (Views: 4.1ms | ActiveRecord: <2-19>.3ms)",
        ])  # fmt: skip
    chatter(
        stage,
        "clinic/appointments",
        [
            "<%Y-%m-%d %H:%M:%S.%3>  INFO 1 --- [nio-8080-exec-<1-9>] c.a.SlotController : <3-40> slots offered"
        ],
    )
    stage.fire(minutes_ago=4)


def _init_crash(stage: Stage, pod: Body, image: str) -> None:
    """The kubelet's report of a pod whose init container ends with 1 again and again."""
    meta, node = pod["metadata"], pod["spec"]["nodeName"]
    ended, began = stage.ago(minutes=3, seconds=24), stage.ago(minutes=3, seconds=31)
    full = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
    identity = "containerd://" + meta["uid"].replace("-", "").ljust(64, "5")
    end = {
        "exitCode": 1, "reason": "Error", "startedAt": stage.stamp(at=began), "finishedAt": stage.stamp(at=ended), "containerID": identity,
    }  # fmt: skip
    since = stage.stamp(at=stage.now - timedelta(minutes=25))
    unready = {
        "reason": "ContainersNotReady",
        "message": "containers with unready status: [records]",
        "status": "False",
    }
    address = f"10.244.{list(stage.kubelets).index(node)}.9"
    rest = {"lastProbeTime": None, "lastTransitionTime": since}
    stage.cluster.ask(
        "PATCH", f"/api/v1/namespaces/clinic/pods/{meta['name']}/status?fieldManager=kubelet",
        {"status": {
            "phase": "Pending", "startTime": since, "hostIP": stage.get(f"nodes/_cluster/{node}")["status"]["addresses"][0]["address"],
            "podIP": address, "podIPs": [{"ip": address}],
            "conditions": [
                {"type": "PodReadyToStartContainers", "status": "True", **rest},
                {"type": "Initialized", "status": "False", "reason": "ContainersNotInitialized", "message": "containers with incomplete status: [migrate]", **rest},
                {"type": "Ready", **unready, **rest},
                {"type": "ContainersReady", **unready, **rest},
            ],
            "initContainerStatuses": [{
                "name": "migrate", "image": image, "imageID": "registry.example.com/clinic/records@sha256:" + "7c" * 32, "containerID": identity,
                "ready": False, "started": False, "restartCount": 8, "lastState": {"terminated": end},
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off 5m0s restarting failed container=migrate pod={full}"}},
            }],
            "containerStatuses": [{
                "name": "records", "image": image, "imageID": "", "ready": False, "started": False, "restartCount": 0,
                "lastState": {}, "state": {"waiting": {"reason": "PodInitializing"}},
            }],
        }},
        kind="application/strategic-merge-patch+json",
    )  # fmt: skip
    about = {
        "apiVersion": "v1", "kind": "Pod", "namespace": "clinic", "name": meta["name"], "uid": meta["uid"], "fieldPath": "spec.initContainers{migrate}",
    }  # fmt: skip
    for n, (reason, words, kind, count) in enumerate((
        ("Pulled", f'Container image "{image}" already present on machine and can be accessed by the pod', "Normal", 9),
        ("Created", "Container created", "Normal", 9),
        ("Started", "Container started", "Normal", 9),
        ("BackOff", f"Back-off restarting failed container migrate in pod {full}", "Warning", 71),
    )):  # fmt: skip
        stage.cluster.ask("POST", "/api/v1/namespaces/clinic/events?fieldManager=kubelet", {
            "metadata": {"name": f"{meta['name']}.18a{n}c07f5d21e{n}", "namespace": "clinic"}, "involvedObject": about,
            "reason": reason, "message": words, "type": kind, "count": count,
            "firstTimestamp": since, "lastTimestamp": stage.stamp(at=ended),
            "source": {"component": "kubelet", "host": node}, "reportingComponent": "kubelet", "reportingInstance": node,
        })  # fmt: skip


def _init_done(stage: Stage) -> None:
    """What kubelets say of the init containers of pods that have long been running."""
    for pod in stage.pods("clinic/records"):
        meta, spec = pod["metadata"], pod["spec"]["initContainers"][0]
        identity = "containerd://" + meta["uid"].replace("-", "").ljust(64, "3")
        at = pod["status"]["startTime"]
        stage.cluster.ask(
            "PATCH", f"/api/v1/namespaces/clinic/pods/{meta['name']}/status?fieldManager=kubelet",
            {"status": {"initContainerStatuses": [{
                "name": "migrate", "image": spec["image"], "imageID": "registry.example.com/clinic/records@sha256:" + "4e" * 32,
                "containerID": identity, "ready": True, "started": False, "restartCount": 0, "lastState": {},
                "state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at, "containerID": identity}},
            }]}},
            kind="application/strategic-merge-patch+json",
        )  # fmt: skip
