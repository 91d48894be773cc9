"""A release changes the liveness probe's path to one that the program does not answer."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Every pod of the new release is restarted because its liveness probe asks for a path that is not served",
    half=Half.blind,
    story="Release 1.19.0 of seat-api brings a manifest whose liveness probe asks /livez; the program serves /healthz. "
    "Readiness is fine, so the rollout completes, and then the kubelets stop each container after three failures. "
    "It ends well each time: exit code 0.",
    sources=[
        "https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes",
    ],
    labels={
        "alertname": "KubePodCrashLooping",
        "namespace": "booking",
        "pod": "{pod:booking/seat-api-}",
        "container": "api",
        "reason": "CrashLoopBackOff",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "Pod is crash looping.",
        "description": 'Pod booking/{pod:booking/seat-api-} (api) is in waiting state (reason: "CrashLoopBackOff") on cluster .',
    },
    causes=["Deployment/booking/seat-api"],
    says=[["/livez"], ["404"], ["/healthz"]],
)


def play(stage: Stage) -> None:
    api = container(
        "api", "booking/seat-api:1.18.4", port=8080, ready="/readyz", alive="/healthz", memory=("256Mi", "512Mi"),
        env={"REDIS_ADDR": "holds.booking.svc:6379"},
    )  # fmt: skip
    stage.apply([
        *system(),
        deployment("booking/seat-api", api, replicas=3),
        service("booking/seat-api", 80, 8080),
        stateful_set("booking/holds", container("redis", "library/redis:8.2.2", port=6379)),
        service("booking/holds", 6379, headless=True),
        deployment("booking/box-office", container("web", "booking/box-office:2026.46", port=3000, ready="/up")),
        service("booking/box-office", 80, 3000),
        deployment("venues/venue-api", container("api", "venues/venue-api:12.1", port=8000, ready="/health")),
        service("venues/venue-api", 80, 8000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=13)
    stage.kubectl("set", "image", "deployment/venue-api", "api=registry.example.com/venues/venue-api:12.2", "-n", "venues")  # fmt: skip
    stage.calm()
    stage.wait(days=4, hours=7)

    def release(body: Body) -> None:
        first = body["spec"]["template"]["spec"]["containers"][0]
        first["image"] = "registry.example.com/booking/seat-api:1.19.0"
        first["livenessProbe"]["httpGet"]["path"] = "/livez"

    stage.edit("deployment/booking/seat-api", release, manager="argocd-controller")
    stage.calm()
    stage.wait(seconds=20)
    stage.crash("booking/seat-api", code=0, restarts=8, lives_s=32, count=3)
    for pod in stage.pods("booking/seat-api"):
        name = f"booking/{pod['metadata']['name']}"
        stage.told(
            pod, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404", kind="Warning",
            count=27, container="api", minutes_ago=0.25,
        )  # fmt: skip
        stage.told(
            pod,
            "Killing",
            "Container api failed liveness probe, will be restarted",
            count=9,
            container="api",
            minutes_ago=0.25,
        )
        front = '{"level":"{}","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","caller":"{}","msg":"{}"'

        def line(caller: str, message: str, more: str = "", level: str = "info", front: str = front) -> str:
            for word in (level, caller, message):
                front = front.replace("{}", word, 1)
            return f"{front}{more}}}"

        def access(path: str, status: int) -> str:
            return line(
                "server/access.go:44",
                "request",
                f',"method":"GET","path":"{path}","status":{status},"dur_ms":0.<100-900>,"ua":"kube-probe/1.36"',
            )

        for previous in (False, True):
            stage.log(name, printed(stage.ago(seconds=44), [
                line("seat-api/main.go:61", "starting seat-api", ',"version":"1.19.0"'),
                line("store/redis.go:38", "connected", ',"addr":"holds.booking.svc:6379"'),
                line("server/server.go:90", "listening", ',"addr":":8080","routes":["/v1/seats","/v1/holds","/healthz","/readyz","/metrics"]'),
                access("/readyz", 200), access("/livez", 404), access("/readyz", 200), access("/livez", 404),
                access("/readyz", 200), access("/livez", 404),
                line("seat-api/main.go:97", "signal received, shutting down", ',"signal":"terminated"'),
                line("server/server.go:121", "drained", ',"open":0'),
            ], every_s=3.0), previous=previous)  # fmt: skip
    chatter(stage, "booking/box-office", [
        'I, [<%Y-%m-%dT%H:%M:%S.%3>221 #1]  INFO -- : [<100000-999999>] Completed 200 OK in <20-140>ms (Views: 8.1ms | ActiveRecord: 4.0ms)',
        'E, [<%Y-%m-%dT%H:%M:%S.%3>187 #1] ERROR -- : [<100000-999999>] Faraday::ConnectionFailed (Failed to open TCP connection to seat-api.booking.svc:80 (Connection refused - connect(2) for "seat-api.booking.svc" port 80))',
    ])  # fmt: skip
    chatter(stage, "booking/holds", ["1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving...", "1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success"], count=8)  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=6)
