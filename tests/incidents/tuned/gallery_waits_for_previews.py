"""A service leaks sockets since a release six days ago, and today its pods take no further connection."""

from __future__ import annotations

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Since release 1.22.0 previews does not close its connections, and has all of its 1024 descriptors open",
    half=Half.tuned,
    story=(
        "previews asks the originals for an image and since 1.22.0 does not close the answer when the image has not changed. Some six sockets"
        " an hour stay open for each pod; after six days accept() fails. Its TCP probes succeed, as the kernel still completes the handshake. The"
        " gallery two hops in front of it is slow and gets the alert. Its own release an hour ago changed a colour."
    ),
    sources=[
        "https://pkg.go.dev/net/http#Server.Serve",
        "https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics",
        "https://man7.org/linux/man-pages/man2/accept.2.html",
    ],
    labels={
        "alertname": "LatencyP99High",
        "namespace": "photos",
        "service": "gallery",
        "severity": "warning",
        "job": "gallery",
    },
    annotations={"summary": "p99 of gallery is above 2 s."},
    causes=["Deployment/photos/previews"],
    says=[["open files", "descriptors", "open_fds"], ["1024", "limit", "1.22.0"]],
    innocent=["Deployment/photos/gallery", "Service/photos/gallery", "Deployment/photos/albums", "StatefulSet/photos/originals"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)  # fmt: skip

MOST = 1024.0


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        config_map("photos/gallery-look", {"theme.css": ":root { --accent: #1d6fa5; }"}),
        stateful_set("photos/originals", container("originals", "photos/originals:3.8.0", port=9000, ready="/minio/health/ready", memory=("1Gi", "2Gi")), replicas=2),
        service("photos/originals", 9000, headless=True),
        deployment("photos/previews", container("previews", "photos/previews:1.21.4", port=8080, memory=("256Mi", "1Gi"), readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 10},
                                                command=["sh", "-c", "ulimit -n 1024 && exec /previews"],
                                                env={"ORIGINALS_URL": "http://originals.photos.svc:9000"}), replicas=3),
        service("photos/previews", 80, 8080),
        deployment("photos/albums", container("albums", "photos/albums:6.0.7", port=8080, ready="/readyz", alive="/livez", env={"PREVIEWS_URL": "http://previews.photos.svc", "TAGS_URL": "http://tags.photos.svc"}), replicas=3),
        service("photos/albums", 80, 8080),
        deployment("photos/tags", container("tags", "photos/tags:2.2.2", port=8080, ready="/readyz")),
        service("photos/tags", 80, 8080),
        deployment("photos/gallery", container("gallery", "photos/gallery:17.3.0", port=3000, ready="/up", env={"ALBUMS_URL": "http://albums.photos.svc"}, mounts={"look": "/srv/look"}),
                   pod={"volumes": [{"name": "look", "configMap": {"name": "gallery-look"}}]}),
        service("photos/gallery", 80, 3000),
        deployment("photos/prints", container("prints", "photos/prints:4.4.0", port=8080, ready="/readyz"), replicas=1),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=24, hours=5)
    stage.kubectl(
        "set",
        "image",
        "deployment/previews",
        "previews=registry.example.com/photos/previews:1.22.0",
        "-n",
        "photos",
    )
    stage.calm()
    stage.wait(days=6, hours=1, minutes=10)
    stage.kubectl(
        "set",
        "image",
        "deployment/gallery",
        "gallery=registry.example.com/photos/gallery:17.3.1",
        "-n",
        "photos",
    )
    stage.calm()
    stage.wait(minutes=58)
    stage.heartbeat()
    chatter(stage, "photos/previews", [
        "<%Y/%m/%d %H:%M:%S> http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 1s",
        "<%Y/%m/%d %H:%M:%S> http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 1s",
        '<%Y/%m/%d %H:%M:%S> preview 0x<100000-999999>: Get "http://originals.photos.svc:9000/o/<100000-999999>": dial tcp: lookup originals.photos.svc: dial udp 10.96.0.10:53: socket: too many open files',
        "<%Y/%m/%d %H:%M:%S> preview served bytes=<4000-90000> cached=true",
    ], count=60, minutes=18)  # fmt: skip
    chatter(stage, "photos/albums", [
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=WARN msg="preview late" err="Get \\"http://previews.photos.svc/p/<100000-999999>?w=640\\": net/http: timeout awaiting response headers" elapsed=3.00<0-9>s',
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="album read" id=<1000-9999> elapsed=<18-60>ms',
    ], count=40)  # fmt: skip
    chatter(stage, "photos/gallery", [
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/a/<1000-9999>"},"res":{"statusCode":200},"responseTime":<3050-3900>,"msg":"request completed"}',
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/a/<1000-9999>"},"res":{"statusCode":200},"responseTime":<40-140>,"msg":"request completed"}',
        '{"level":40,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"album answered late","url":"http://albums.photos.svc/albums/<1000-9999>","ms":<3010-3400>}',
    ], count=40)  # fmt: skip
    chatter(stage, "photos/tags", ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="tags read" elapsed=<2-9>ms'])
    chatter(stage, "photos/prints", ["INFO  o.e.prints.Queue - nothing to print"], count=6)
    chatter(
        stage,
        "photos/originals",
        [
            "API: GET object bucket=o duration=<2-30>ms status=304",
            "API: GET object bucket=o duration=<2-30>ms status=200",
        ],
    )
    _metrics(stage)
    stage.fire(minutes_ago=17)


def _metrics(stage: Stage) -> None:
    """Once an hour for nearly six days; latencies once a minute."""
    hours = 144
    opened, most, memory = [], [], []
    for name, level in (("previews", 0), ("albums", 61), ("gallery", 44), ("tags", 23)):
        for n, pod in enumerate(stage.pods(f"photos/{name}-")):
            labels = {"namespace": "photos", "pod": pod["metadata"]["name"], "container": name, "job": name}
            full = [min(MOST, value) for value in slope(150, 1040 - 9 * n, hours, of=labels["pod"])]
            opened.append(
                (
                    labels,
                    whole(full if name == "previews" else about(level, hours, noise=0.2, of=labels["pod"])),
                )
            )
            most.append((labels, [1048576.0 if name != "previews" else MOST] * hours))
            memory.append((labels, about((90 + level) * 2.0**20, hours, noise=0.05, of=labels["pod"])))
    stage.metric("open-descriptors", 'process_open_fds{namespace="photos"}', opened, step_s=3600)
    stage.metric("most-descriptors", 'process_max_fds{namespace="photos"}', most, step_s=3600)
    stage.metric("memory", 'process_resident_memory_bytes{namespace="photos"}', memory, step_s=3600)
    stage.metric("p99", 'histogram_quantile(0.99, sum by (le, namespace, service) (rate(http_request_duration_seconds_bucket{namespace="photos"}[5m])))', [
        ({"namespace": "photos", "service": "gallery"}, [*about(0.16, 34), *slope(0.4, 3.6, 6), *about(3.7, 20)]),
        ({"namespace": "photos", "service": "albums"}, [*about(0.09, 34), *slope(0.3, 3.0, 6), *about(3.05, 20, noise=0.01)]),
        ({"namespace": "photos", "service": "previews"}, about(0.031, 60)),
        ({"namespace": "photos", "service": "tags"}, about(0.009, 60)),
        ({"namespace": "photos", "service": "originals"}, about(0.025, 60)),
    ])  # fmt: skip
