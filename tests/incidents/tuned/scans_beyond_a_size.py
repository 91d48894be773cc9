"""A server of scans takes smaller messages since its release, and the clients' larger scans are refused."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

INCIDENT = Incident(
    title="archive takes messages of 2 MiB only since a flag of it was set anew, and scanners cannot store larger scans",
    half=Half.tuned,
    story=(
        "The archive's flag --grpc-max-recv-bytes was cut from 16777216 to 2097152 in a change of its memory settings. Small scans are stored as before, larger"
        " ones are refused with RESOURCE_EXHAUSTED; the scanners' queue grows. A release of the catalogue is unrelated."
    ),
    sources=[
        "https://pkg.go.dev/google.golang.org/grpc#MaxRecvMsgSize",
        "https://github.com/grpc/grpc-go/blob/master/rpc_util.go",
    ],
    labels={"alertname": "UploadsFailing", "severity": "warning", "namespace": "records", "deployment": "scanner"},
    annotations={"summary": "Uploads of scanner fail."},
    causes=["Deployment/records/archive"],
    says=[["grpc-max-recv-bytes"], ["2097152"], ["16777216"], ["larger than max", "RESOURCE_EXHAUSTED", "ResourceExhausted"]],
    innocent=["Deployment/records/scanner", "Deployment/records/catalogue"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip


def play(stage: Stage) -> None:
    def archive(most: int):
        return deployment(
            "records/archive",
            container(
                "archive",
                "records/archive:4.4.0",
                port=9000,
                args=["--listen=:9000", f"--grpc-max-recv-bytes={most}", "--keep-days=3650"],
                memory=("512Mi", "1Gi"),
            ),
        )

    stage.apply([
        *system(), archive(16777216), service("records/archive", 9000),
        deployment("records/catalogue", container("catalogue", "records/catalogue:1.18.0", port=8080, ready="/ready")),
        service("records/catalogue", 8080),
        deployment("records/scanner", container("scanner", "records/scanner:2.9.7", port=8080, ready="/ready", env={"ARCHIVE": "archive.records.svc:9000", "CATALOGUE_URL": "http://catalogue:8080"})),
        service("records/scanner", 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=9, hours=6)
    stage.apply([archive(2097152)])
    stage.calm()
    stage.wait(minutes=12)
    stage.kubectl(
        "set", "image", "deployment/catalogue", "catalogue=registry.example.com/records/catalogue:1.18.1", "-n", "records"
    )  # fmt: skip
    stage.calm()
    stage.wait(minutes=19)
    stage.heartbeat()
    for pod in stage.pods("records/scanner"):
        stage.log(f"records/{pod['metadata']['name']}", printed(stage.ago(minutes=30), [
            '{"level":"info","msg":"scan stored","pages":<1-4>,"ms":<20-90>}',
            '{"level":"error","msg":"store scan","addr":"archive.records.svc:9000","err":"rpc error: code = ResourceExhausted desc = grpc: received message larger than max (<4100000-9900000> vs. 2097152)"}',
        ] * 18, every_s=48))  # fmt: skip
    chatter(stage, "records/archive", ["I archive: scan stored bytes=<100000-1900000>"])
    chatter(stage, "records/catalogue", ["INFO catalogue: GET /sets 200 <2-9>ms"])
    stage.fire(minutes_ago=14)
