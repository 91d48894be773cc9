"""Workers end after so many messages and are started anew, which is how they are run; on a busy evening that is more often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="RestartsWithinAnHour of the newsroom's workers, which end with 0 after 5000 messages each and get them faster on the evening of an election",
    half=Half.tuned,
    story=(
        "worker is run with --limit=5000, as its framework advises: it ends well after so many messages, and the kubelet starts it anew within a second. On other evenings that is twice an hour, tonight"
        " almost five times, as more than twice as many articles are pushed. The queue stays empty and no message is lost. The rule counts restarts without looking at how they ended. A push"
        " that times out is sent again. The headlines' layout was edited for the evening."
    ),
    sources=[
        "https://symfony.com/doc/current/messenger.html#deploying-to-production",
        "https://github.com/symfony/symfony/blob/7.3/src/Symfony/Component/Messenger/EventListener/StopWorkerOnMessageLimitListener.php",
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy",
    ],
    labels=kube_prometheus("RestartsWithinAnHour", namespace="newsroom", pod="{pod:newsroom/worker-}", container="worker"),
    annotations={"summary": "Container worker of {pod:newsroom/worker-} was restarted more than 4 times within an hour."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

SO_FAR = (1291, 1302, 1288)


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("newsroom/worker", container("worker", "newsroom/site:41.2.0", command=["php", "bin/console"], args=["messenger:consume", "async", "--limit=5000", "--memory-limit=192M", "-v"], env={"MESSENGER_TRANSPORT_DSN": "amqp://mill.newsroom.svc:5672/%2f/async"}), replicas=3),
        deployment("newsroom/site", container("site", "newsroom/site:41.2.0", port=8080, ready="/up", alive="/up", env={"MESSENGER_TRANSPORT_DSN": "amqp://mill.newsroom.svc:5672/%2f/async", "DB_HOST": "articles.newsroom.svc"}, envFrom=[{"configMapRef": {"name": "layout"}}]), replicas=3), service("newsroom/site", 80, 8080),
        config_map("newsroom/layout", {"HEADLINES": "5", "TICKER": "off"}),
        stateful_set("newsroom/mill", container("rabbitmq", "rabbitmq:4.1.4", port=5672, memory=("512Mi", "1Gi"))), service("newsroom/mill", 5672, headless=True),
        stateful_set("newsroom/articles", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("newsroom/articles", 5432, headless=True),
        deployment("readers/comments", container("comments", "readers/comments:6.8.0", port=8080, ready="/ready")), service("readers/comments", 80, 8080),
        deployment("readers/front", container("front", "readers/front:52.0.1", port=3000, ready="/up", env={"SITE_URL": "http://site.newsroom.svc", "COMMENTS_URL": "http://comments.readers.svc"}), replicas=3), service("readers/front", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 24, 9, 40, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/comments", "comments=registry.example.com/readers/comments:6.8.1", "-n", "readers")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 29, 17, 12, tzinfo=UTC))
    stage.edit(
        "configmaps/newsroom/layout", lambda body: body["data"].update({"HEADLINES": "9", "TICKER": "on"})
    )
    stage.restart("deployments/newsroom/site")
    stage.calm()
    stage.clock.until(datetime(2026, 11, 29, 20, 31, tzinfo=UTC))
    started: dict[str, tuple[datetime, int]] = {}
    for n, pod in enumerate(stage.pods("newsroom/worker-")):
        name, lived = pod["metadata"]["name"], 756 + 17 * n
        stage.recovered(f"newsroom/{name}", restarts=SO_FAR[n], code=0, reason="Completed", lived_s=lived)
        started[name] = (stage.now, lived)
        stage.wait(minutes=3, seconds=10 + 9 * n)
    stage.wait(seconds=50)
    stage.heartbeat()
    _logs(stage, started)
    _metrics(stage)
    stage.fire(minutes_ago=46)


BEGIN = ' [OK] Consuming messages from transport "async".'
TAKEN = "<%H:%M:%S> INFO      [messenger] App\\Message\\PushArticle was handled successfully (acknowledging to transport)."
AGAIN = '<%H:%M:%S> WARNING   [messenger] Error thrown while handling message App\\Message\\PushArticle. Sending for retry #1 using 1000 ms delay. Error: "Idle timeout reached for "https://push.example.net/v2/send"."'  # fmt: skip
LIMIT = "<%H:%M:%S> INFO      [messenger] Worker stopped due to maximum count of 5000 messages processed"
STOPS = "<%H:%M:%S> INFO      [messenger] Stopping worker."


def _logs(stage: Stage, started: dict[str, tuple[datetime, int]]) -> None:
    for name, (at, lived) in started.items():
        since = int((stage.now - at).total_seconds())
        stage.log(f"newsroom/{name}", printed(at, [BEGIN, *([TAKEN, TAKEN, TAKEN, AGAIN, TAKEN] * (since // 60))], every_s=11))  # fmt: skip
        # The last line is printed as it ends, a second before the new start.
        stage.log(f"newsroom/{name}", "\n".join([
            printed(at - timedelta(seconds=lived), [BEGIN, *([TAKEN, TAKEN, AGAIN, TAKEN, TAKEN, TAKEN] * 10)], every_s=12),
            printed(at - timedelta(seconds=2), [LIMIT, STOPS], every_s=0.2),
        ]), previous=True)  # fmt: skip
    chatter(stage, "newsroom/mill", [
        "<%Y-%m-%d %H:%M:%S.%3>000+00:00 [info] <0.<1000-9999>.0> closing AMQP connection (10.244.<0-2>.<4-19>:<30000-60000> -> 10.244.1.5:5672 - worker)",
        "<%Y-%m-%d %H:%M:%S.%3>000+00:00 [info] <0.<1000-9999>.0> connection 10.244.<0-2>.<4-19>:<30000-60000> -> 10.244.1.5:5672 - worker: user 'site' authenticated and granted access to vhost '/'",
    ], count=28, minutes=58)  # fmt: skip
    chatter(stage, "newsroom/site", ["INFO site: POST /articles 201 <40-120>ms", "INFO site: GET /live 200 <6-20>ms"], minutes=58)  # fmt: skip
    chatter(stage, "newsroom/articles", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=10, minutes=58)  # fmt: skip
    chatter(stage, "readers/comments", ["INFO  comments: POST /comments 201 <9-30>ms", "WARN  comments: comment <100000-999999> refused by the word list"], minutes=58)  # fmt: skip
    chatter(stage, "readers/front", ["GET / 200 <8-30>ms", "GET /live 200 <5-20>ms"], minutes=58)


def _metrics(stage: Stage) -> None:
    """Every half an hour for ten days; the polls closed at six, two hours and forty minutes ago."""
    count, step, busy = 480, 1800, 6
    here: Body = {"namespace": "newsroom"}
    # Three workers; 5000 messages each, so that one restart follows on every 5000.
    rate = [*about(8.3, count - busy, noise=0.12), 15.0, *about(19.4, busy - 1, noise=0.03)]
    stage.metric("handled", 'sum by (namespace, container) (rate(messenger_messages_handled_total{namespace="newsroom"}[30m]))', [
        ({**here, "container": "worker"}, rate),
    ], step_s=step)  # fmt: skip
    stage.metric("restarts", 'sum by (namespace, container) (increase(kube_pod_container_status_restarts_total{namespace="newsroom",container="worker"}[1h]))', [
        ({**here, "container": "worker"}, whole([r * 3600 / 5000 for r in rate])),
    ], step_s=step)  # fmt: skip
    stage.metric("ended", 'sum by (namespace, container, reason) (kube_pod_container_status_last_terminated_reason{namespace="newsroom",container="worker"})', [
        ({**here, "container": "worker", "reason": "Completed"}, [3.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("queued", 'sum by (namespace, queue) (rabbitmq_queue_messages{namespace="newsroom"})', [
        ({**here, "queue": "async"}, whole(about(4, count, noise=0.9))),
        ({**here, "queue": "failed"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("memory", 'max by (namespace, container) (container_memory_working_set_bytes{namespace="newsroom",container="worker"})', [
        ({**here, "container": "worker"}, about(121e6, count, noise=0.1)),
    ], step_s=step)  # fmt: skip
