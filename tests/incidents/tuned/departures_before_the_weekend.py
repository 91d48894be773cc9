"""An application differs from its repository on a Saturday evening, in a window in which its project lets nothing be synced."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="ArgoCdAppOutOfSync of departures on a Saturday: its project denies automated syncs from Friday at six until Monday, and what runs is well",
    half=Half.tuned,
    story=(
        "Project rail has a sync window that denies syncs from Friday 18:00 for sixty hours. Somebody merged 4.3.0 of departures on Saturday evening; Argo CD sees the difference and"
        " leaves it until Monday, as it is told. 4.2.1 serves as it did all week. platforms was synced on Friday at noon. The pods of delays were restarted last week."
    ),
    sources=[
        "https://argo-cd.readthedocs.io/en/stable/user-guide/sync_windows/",
        "https://github.com/grafana/jsonnet-libs/tree/master/argocd-mixin",
        "https://github.com/argoproj/argo-cd/blob/master/controller/appcontroller.go",
    ],
    labels={
        "alertname": "ArgoCdAppOutOfSync", "severity": "warning", "job": "argocd-metrics", "namespace": "argocd", "project": "rail", "name": "departures",
        "dest_server": "https://kubernetes.default.svc", "sync_status": "OutOfSync",
    },
    annotations={
        "summary": "An ArgoCD Application is Out Of Sync.",
        "description": "The application rail/departures is out of sync with the sync status OutOfSync for the past 15m.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["argocd status"],
)  # fmt: skip

GROUP = "argoproj.io"
LAST_WEEK = "8c1f0e27b4d96a35f7d08e21c59b6a4430d1e7f2"
THURSDAY = "2d74b9e0a1c85f36d90b7e14f2a6c3581b0e9d47"
SATURDAY = "f03a6d518e7c2b94ad10c6e85f37b92041dce86a"
PARTS = {"departures": "4.2.1", "platforms": "2.8.4", "delays": "1.15.0"}


def _application(name: str) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "project": "rail", "source": {"repoURL": "https://git.example.com/rail/live.git", "path": name, "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "station"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }  # fmt: skip


def _part(name: str, version: str) -> list[Body]:
    env = {"departures": {"DELAYS_URL": "http://delays.station.svc", "DB": "timetable.station.svc:5432"}, "platforms": {"DB": "timetable.station.svc:5432"}}  # fmt: skip
    body = deployment(f"station/{name}", container(name, f"station/{name}:{version}", port=8080, ready="/ready", alive="/alive", env=env.get(name)), replicas=3 if name == "departures" else 2)  # fmt: skip
    address = service(f"station/{name}", 80, 8080)
    body["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": f"{name}:apps/Deployment:station/{name}"
    }
    address["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": f"{name}:/Service:station/{name}"}
    return [body, address]


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1alpha1", "Application", "applications")
    stage.crd(GROUP, "v1alpha1", "AppProject", "appprojects")
    stage.apply([
        *system(),
        {"apiVersion": f"{GROUP}/v1alpha1", "kind": "AppProject", "metadata": {"name": "rail", "namespace": "argocd"}, "spec": {
            "sourceRepos": ["https://git.example.com/rail/*"], "destinations": [{"server": "https://kubernetes.default.svc", "namespace": "station"}],
            "syncWindows": [{"kind": "deny", "schedule": "0 18 * * 5", "duration": "60h", "timeZone": "Etc/UTC", "applications": ["*"], "manualSync": True}],
        }},
        *(_application(name) for name in PARTS),
        stateful_set("argocd/argocd-application-controller", container("argocd-application-controller", "argoproj/argocd:v3.2.1", port=8082, memory=("512Mi", "1Gi"))),
        deployment("argocd/argocd-repo-server", container("argocd-repo-server", "argoproj/argocd:v3.2.1", port=8081), replicas=1), service("argocd/argocd-repo-server", 8081),
        deployment("argocd/argocd-server", container("argocd-server", "argoproj/argocd:v3.2.1", port=8080, ready="/healthz"), replicas=1), service("argocd/argocd-server", 80, 8080),
        stateful_set("station/timetable", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("station/timetable", 5432, headless=True),
        config_map("town/notices", {"banner": "Works on line 4"}),
        deployment("town/signboard", container("signboard", "town/signboard:9.0.2", port=3000, ready="/up", env={"DEPARTURES_URL": "http://departures.station.svc"})), service("town/signboard", 80, 3000),
    ])  # fmt: skip
    stage.apply([one for name, version in PARTS.items() for one in _part(name, version)], manager="argocd-controller")  # fmt: skip
    stage.calm()
    for name in PARTS:
        _synced(stage, name, LAST_WEEK)
    stage.wait(days=16, hours=5)
    stage.recovered("station/delays", restarts=2, code=2, lived_s=71000, waited_s=11)
    stage.calm()
    stage.wait(days=7, hours=22)
    # Friday at noon, before the window.
    stage.kubectl("set", "image", "deployment/platforms", "platforms=registry.example.com/station/platforms:2.8.5", "-n", "station", "--field-manager=argocd-controller")  # fmt: skip
    stage.calm()
    for name in PARTS:
        _synced(stage, name, THURSDAY)
    stage.wait(days=1, hours=6, minutes=50)
    stage.edit("configmaps/town/notices", lambda body: body["data"].update(banner="Works on lines 4 and 7"))
    stage.wait(minutes=41)
    _differs(stage)
    seen = stage.now
    stage.wait(minutes=46)
    for name in PARTS:
        stage.status(f"applications.{GROUP}/argocd/{name}", {"reconciledAt": stage.stamp(minutes_ago=1)}, manager="argocd-application-controller")  # fmt: skip
    stage.heartbeat()
    front = 'time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg='
    stage.log("argocd/argocd-application-controller", printed(seen, [
        *([
            f'{front}"Refreshing app status (comparison expired, requesting refresh. reconciledAt: <%Y-%m-%d %H:%M:%S> +0000 UTC, expiry: 3m0s), level (2)" app-namespace=argocd application=departures project=rail',
            f'{front}"Comparing app state (cluster: https://kubernetes.default.svc, namespace: station)" app-namespace=argocd application=departures project=rail',
            f'{front}"Sync prevented by sync window" app-namespace=argocd application=departures project=rail',
            f'{front}"No status changes. Skipping patch" app-namespace=argocd application=platforms project=rail',
        ] * 14),
    ], every_s=48))  # fmt: skip
    chatter(stage, "argocd/argocd-repo-server", [
        f'{front}"manifest cache hit: &ApplicationSource{{RepoURL:https://git.example.com/rail/live.git,Path:departures,TargetRevision:main}}/{SATURDAY}"',
        f'{front}"finished call" grpc.code=OK grpc.method=GenerateManifest grpc.time_ms=<3-40>',
        'time="<%Y-%m-%dT%H:%M:%SZ>" level=warning msg="finished call" grpc.code=Canceled grpc.error="context canceled" grpc.method=GetRevisionMetadata',
    ], count=20, minutes=50)  # fmt: skip
    chatter(stage, "argocd/argocd-server", [f'{front}"finished unary call" grpc.code=OK grpc.method=List grpc.service=application.ApplicationService'], count=6, minutes=50)  # fmt: skip
    chatter(stage, "station/departures-", ["INFO  departures - GET /departures 200 <6-20>ms", "WARN  departures - train <100-900> has no platform yet"], count=36, minutes=60)  # fmt: skip
    chatter(
        stage,
        "station/platforms-",
        ["INFO  platforms - GET /platforms/<1-14> 200 <2-9>ms"],
        count=20,
        minutes=60,
    )
    chatter(stage, "station/delays-", ["INFO  delays - GET /delays 200 <2-9>ms", "ERROR delays - message <1000-9999> of the control centre refused: unknown line, dropped"], count=20, minutes=60)  # fmt: skip
    chatter(stage, "station/timetable", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=5, minutes=60)  # fmt: skip
    chatter(stage, "town/signboard", ["GET /board/central 200 <10-40>ms"], minutes=60)
    _metrics(stage)
    stage.fire(minutes_ago=31)


def _synced(stage: Stage, name: str, revision: str) -> None:
    resources = [
        {"group": group, "version": "v1", "kind": kind, "namespace": "station", "name": name, "status": "Synced"}
        for group, kind in (("apps", "Deployment"), ("", "Service"))
    ]  # fmt: skip
    now = stage.stamp()
    stage.status(f"applications.{GROUP}/argocd/{name}", {
        "sync": {"status": "Synced", "revision": revision}, "health": {"status": "Healthy", "lastTransitionTime": now}, "reconciledAt": now, "resources": resources,
        "history": [{"id": 0, "revision": revision, "deployStartedAt": now, "deployedAt": now, "initiatedBy": {"automated": True}}],
        "operationState": {
            "phase": "Succeeded", "message": "successfully synced (all tasks run)", "startedAt": now, "finishedAt": now,
            "operation": {"initiatedBy": {"automated": True}, "retry": {"limit": 5}, "sync": {"revision": revision, "prune": True}},
            "syncResult": {"revision": revision, "resources": [{**one, "message": "configured", "syncPhase": "Sync", "hookPhase": "Running"} for one in resources]},
        },
        "summary": {"images": [f"registry.example.com/station/{name}:{'2.8.5' if name == 'platforms' and revision == THURSDAY else PARTS[name]}"]},
    }, manager="argocd-application-controller")  # fmt: skip


def _differs(stage: Stage) -> None:
    """The next comparison after the merge; the two others have nothing new in their paths."""
    for name in PARTS:
        status: Body = {"sync": {"status": "OutOfSync" if name == "departures" else "Synced", "revision": SATURDAY}, "reconciledAt": stage.stamp()}  # fmt: skip
        if name == "departures":
            status["resources"] = [
                {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "station", "name": name, "status": "OutOfSync"},
                {"group": "", "version": "v1", "kind": "Service", "namespace": "station", "name": name, "status": "Synced"},
            ]  # fmt: skip
        stage.status(f"applications.{GROUP}/argocd/{name}", status, manager="argocd-application-controller")
    words = "Updated sync status: Synced -> OutOfSync"
    stage.event(stage.get(f"applications.{GROUP}/argocd/departures"), "ResourceUpdated", words, kind="Normal", component="argocd-application-controller")  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every five minutes for two days."""
    count, since = 576, 9
    one = {
        "namespace": "argocd",
        "job": "argocd-metrics",
        "project": "rail",
        "dest_server": "https://kubernetes.default.svc",
    }
    stage.metric("synced", 'sum by (namespace, job, project, name, dest_server) (argocd_app_info{sync_status="Synced"})', [
        ({**one, "name": name}, [*[1.0] * (count - since), *[0.0 if name == "departures" else 1.0] * since]) for name in PARTS
    ], step_s=300)  # fmt: skip
    stage.metric("well", 'sum by (namespace, job, project, name, dest_server) (argocd_app_info{health_status="Healthy"})', [({**one, "name": name}, [1.0] * count) for name in PARTS], step_s=300)  # fmt: skip
    for called, level in (("failed", 0.0003), ("seconds", 0.018)):
        query = {
            "failed": 'sum by (namespace, service) (rate(http_requests_total{namespace="station",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{namespace="station"}[5m]))',
            "seconds": 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{namespace="station"}[5m])))',
        }[called]
        stage.metric(called, query, [({"namespace": "station", "service": name}, about(level, count, noise=0.4, of=name)) for name in PARTS], step_s=300)  # fmt: skip
