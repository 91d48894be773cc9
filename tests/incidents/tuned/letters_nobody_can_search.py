"""Two faults at once: a database runs as another user than the owner of its files, and a fetcher's image is for other machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents import crons
from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
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
    title="The store of letters runs as user 10001 and may not read its own files, so nobody can search; and the feeds' fetcher was built for another architecture",
    half=Half.tuned,
    story=(
        "A new rule of the house wants high user ids, so the StatefulSet of the letters' database was edited to run as 10001. Its files belong to 999 and it ends at once."
        " Search and two others in front of it fail; the alert is about search, which had a release an hour before. Since yesterday evening the hourly fetcher of feeds has had an"
        " image for arm64 only, and the nodes are amd64. Neither has to do with the other."
    ),
    sources=[
        "https://kubernetes.io/docs/tasks/configure-pod-container/security-context/",
        "https://github.com/docker-library/docs/blob/master/postgres/README.md#arbitrary---user-notes",
        "https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy",
        "https://docs.docker.com/build/building/multi-platform/",
    ],
    labels={
        "alertname": "ErrorBudgetBurn",
        "severity": "critical",
        "namespace": "letters",
        "service": "search",
        "long": "1h",
        "short": "5m",
    },
    annotations={"summary": "search burns its error budget 14 times too fast."},
    causes=["StatefulSet/letters/store"],
    says=[["10001", "runAsUser"], ["Permission denied", "not permitted", "permission"]],
    innocent=["Deployment/letters/search", "Service/letters/search", "Deployment/letters/index", "Deployment/web/hall"],
    second=["CronJob/feeds/fetch"],
    traits=frozenset({Trait.two_faults, Trait.innocent}),
    authored=["cronjob-controller"],
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "shares"}, "provisioner": "nfs.example.com/shares"},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pvc-7e0c1f6b-90aa-4b0e-8a55-2f6f6f0f2d55"},
         "spec": {"capacity": {"storage": "40Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "shares", "persistentVolumeReclaimPolicy": "Retain",
                  "claimRef": {"namespace": "letters", "name": "data-store-0"}, "nfs": {"server": "10.30.0.9", "path": "/volumes/7e0c1f6b"}}},
        secret("letters/store-login", {"password": ""}),
        stateful_set("letters/store", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"), mounts={"data": "/var/lib/postgresql/data"},
                                                env={"PGDATA": "/var/lib/postgresql/data/pgdata", "POSTGRES_PASSWORD": from_secret("store-login", "password")}), claims={"data": ("shares", "40Gi")}),
        service("letters/store", 5432, headless=True),
        *(deployment(f"letters/{name}", container(name, f"letters/{name}:{version}", port=8080, ready="/ready", env={"DB_HOST": "store.letters.svc.cluster.local", "DB_PASSWORD": from_secret("store-login", "password")}), replicas=n)
          for name, version, n in (("search", "6.5.0", 3), ("index", "2.2.2", 1), ("cards", "1.30.1", 2))),
        *(service(f"letters/{name}", 8080) for name in ("search", "index", "cards")),
        deployment("web/hall", container("hall", "web/hall:19.0.3", port=3000, ready="/up", env={"SEARCH_URL": "http://search.letters.svc:8080", "CARDS_URL": "http://cards.letters.svc:8080"}), replicas=3),
        service("web/hall", 80, 3000),
        deployment("feeds/pages", container("pages", "feeds/pages:5.5.0", port=8080, ready="/ready")), service("feeds/pages", 8080),
        cron_job("feeds/fetch", "5 * * * *", container("fetch", "feeds/fetch:2.8.3", command=["/usr/local/bin/fetch", "--all"], env={"PAGES_URL": "http://pages.feeds.svc:8080"}), failedJobsHistoryLimit=1, successfulJobsHistoryLimit=1),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 19, 20, 5, 1, tzinfo=UTC))
    stage.log(f"feeds/{_fetched(stage)}", printed(stage.ago(seconds=30), ["fetch 2.8.3: 41 feeds, 12 new pages, done"]))  # fmt: skip
    stage.wait(minutes=25)
    stage.kubectl("set", "image", "cronjob/fetch", "fetch=registry.example.com/feeds/fetch:2.9.0", "-n", "feeds")  # fmt: skip
    for hour in (0, 12, 13):
        stage.clock.until(datetime(2026, 11, 19, 21, 5, 1, tzinfo=UTC) + timedelta(hours=hour))
        _failed(stage)
    stage.wait(minutes=2)
    stage.kubectl("set", "image", "deployment/search", "search=registry.example.com/letters/search:6.5.1", "-n", "letters")  # fmt: skip
    stage.calm()
    stage.wait(minutes=31)

    def as_another(body: Body) -> None:
        body["spec"]["template"]["spec"]["securityContext"] = {"runAsUser": 10001, "runAsGroup": 10001, "runAsNonRoot": True}  # fmt: skip

    old = stage.pods("letters/store")[0]["metadata"]["uid"]
    stage.edit("statefulsets/letters/store", as_another)
    stage.cluster.until("the old pod is to go", lambda: any(p["metadata"].get("deletionTimestamp") for p in stage.pods("letters/store")))  # fmt: skip
    stage.hold("letters/store")
    stage.calm(unfinished=["letters/store"])
    stage.cluster.until("there is another", lambda: any(p["metadata"]["uid"] != old for p in stage.pods("letters/store")))  # fmt: skip
    stage.crash("letters/store", code=1, restarts=6, lives_s=1, log=(
        "chmod: changing permissions of '/var/lib/postgresql/data/pgdata': Operation not permitted\n"
        "find: '/var/lib/postgresql/data/pgdata': Permission denied\n"
        'postgres: could not access the server configuration file "/var/lib/postgresql/data/pgdata/postgresql.conf": Permission denied\n'))  # fmt: skip
    stage.wait(minutes=5)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=13)


def _fetched(stage: Stage) -> str:
    done = crons.complete(stage, "feeds/fetch", crons.start(stage, "feeds/fetch", stage.now), lasts_s=38)
    name: str = done["metadata"]["name"]
    return name


def _failed(stage: Stage) -> None:
    """A run whose two pods cannot be executed; the run that failed before is cleaned away."""
    for old in stage.cluster.ask("GET", "/apis/batch/v1/namespaces/feeds/jobs")["items"]:
        if old.get("status", {}).get("failed"):
            stage.delete(f"jobs/feeds/{old['metadata']['name']}")
            gone = old["metadata"]["name"]
            stage.logs = {key: text for key, text in stage.logs.items() if not key[1].startswith(f"{gone}-")}
    stage.calm()
    name = crons.start(stage, "feeds/fetch", stage.now)
    for pods in (1, 2):
        stage.placed(f"feeds/{name}", pods)
        stage.wait(seconds=12)
        stage.failed(f"feeds/{name}", code=255, log="exec /usr/local/bin/fetch: exec format error", lives_s=1)
        stage.wait(seconds=12)
    stage.cluster.until(
        "the run failed",
        lambda: any(c["type"] == "Failed" for c in stage.get(f"jobs/feeds/{name}").get("status", {}).get("conditions", [])),
    )  # fmt: skip
    stage.status("cronjobs/feeds/fetch", {"active": []}, manager=crons.MANAGER)


def _logs(stage: Stage) -> None:
    lost = {
        "search": "<%Y-%m-%d %H:%M:%S.%3> ERROR search: GET /find: connection to server at \"store.letters.svc.cluster.local\" (10.244.<0-2>.<2-19>), port 5432 failed: Connection refused",
        "index": "<%Y-%m-%d %H:%M:%S.%3> ERROR index: batch put back: connection to server at \"store.letters.svc.cluster.local\" (10.244.<0-2>.<2-19>), port 5432 failed: Connection refused",
        "cards": "<%Y-%m-%d %H:%M:%S.%3> ERROR cards: GET /cards: connection to server at \"store.letters.svc.cluster.local\" (10.244.<0-2>.<2-19>), port 5432 failed: Connection refused",
    }  # fmt: skip
    for name, line in lost.items():
        chatter(stage, f"letters/{name}", [line, f"<%Y-%m-%d %H:%M:%S.%3> INFO  {name}: GET /ready 200"], count=26, minutes=15)  # fmt: skip
    chatter(stage, "web/hall", [
        '{"level":50,"req":{"method":"GET","url":"/find"},"res":{"statusCode":502},"err":{"message":"http://search.letters.svc:8080 answered 500"},"msg":"request errored"}',
        '{"level":30,"req":{"method":"GET","url":"/"},"res":{"statusCode":200},"responseTime":<4-20>,"msg":"request completed"}',
    ], count=26, minutes=15)  # fmt: skip
    chatter(stage, "feeds/pages", ["INFO pages: GET /pages 200 <4-20>ms"])


def _metrics(stage: Stage) -> None:
    """Once a minute for an hour and a half."""
    count, since = 90, 17
    rows = [
        ({"namespace": "letters", "service": name}, [*about(0.0005, count - since, noise=0.8), *about(share, since)])
        for name, share in (("search", 0.97), ("cards", 0.9))
    ]  # fmt: skip
    rows.append(({"namespace": "web", "service": "hall"}, [*about(0.0004, count - since, noise=0.8), *about(0.41, since)]))  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total[2m]))', rows)  # fmt: skip
