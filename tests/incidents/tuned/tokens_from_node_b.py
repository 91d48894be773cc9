"""One node's clock runs ahead: tokens that its pod issues are not yet valid to everybody else."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The NTP service of node-b stopped; its clock is minutes ahead, and a third of the tokens are refused",
    half=Half.tuned,
    story=(
        "chronyd on node-b is not running since yesterday and the clock has gained seven minutes. The issuer's pod there"
        " writes iat in the future; members on the other two nodes refuses such tokens with 401. Unrelated: a release of the"
        " reports renderer lacks an environment variable and crashes."
    ),
    sources=[
        "https://github.com/kubernetes/node-problem-detector/blob/master/config/custom-plugin-monitor.json",
        "https://runbooks.prometheus-operator.dev/runbooks/node/nodeclockskewdetected/",
        "https://www.rfc-editor.org/rfc/rfc7519#section-4.1.5",
    ],
    labels={
        "alertname": "UnauthorizedRatioHigh",
        "namespace": "accounts",
        "service": "members",
        "severity": "critical",
    },
    annotations={"summary": "members answers more than 15 % of its requests with 401."},
    causes=["Node/_cluster/node-b"],
    says=[["node-b"], ["NTP"]],
    innocent=["Deployment/accounts/members", "Service/accounts/members", "Deployment/accounts/issuer"],
    second=["Deployment/reports/renderer"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
    authored=["node-problem-detector"],
)


SKEW = timedelta(minutes=7, seconds=12)


def play(stage: Stage) -> None:
    stage.apply(system())
    apart = {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "issuer"}},
    }]}  # fmt: skip
    stage.apply([
        deployment("accounts/issuer", container("issuer", "accounts/issuer:3.3.0", port=8080, ready="/readyz", alive="/livez"), replicas=3, pod=apart),
        service("accounts/issuer", 80, 8080),
        deployment("accounts/members", container("members", "accounts/members:12.0.3", port=8080, ready="/readyz", env={"ISSUER": "http://issuer.accounts.svc.cluster.local"}), replicas=3),
        service("accounts/members", 80, 8080),
        stateful_set("accounts/profiles", container("postgres", "postgres:16.4", port=5432, memory=("512Mi", "1Gi"))),
        service("accounts/profiles", 5432, headless=True),
        deployment("reports/renderer", container("renderer", "reports/renderer:0.21.0", port=8000, ready="/healthz", env={"OUTPUT": "s3://reports"})),
        service("reports/renderer", 80, 8000),
        deployment("reports/index", container("index", "reports/index:1.2.2", port=8080, ready="/ready"), replicas=1),
    ])  # fmt: skip
    stage.calm()
    for node in stage.kubelets:
        stage.node_condition(node, "NTPProblem", "False", "NTPIsUp", "ntp service is up")
    stage.wait(days=29, hours=7)
    stage.node_condition("node-b", "NTPProblem", "True", "NTPIsDown", "NTP service is not running")
    stage.wait(hours=22)
    before = {p["metadata"]["name"] for p in stage.pods("reports/renderer")}
    stage.hold("reports/renderer")
    stage.kubectl(
        "set",
        "image",
        "deployment/renderer",
        "renderer=registry.example.com/reports/renderer:0.22.0",
        "-n",
        "reports",
    )
    (fresh,) = [
        p["metadata"]["name"]
        for p in stage.placed("reports/renderer", 3)
        if p["metadata"]["name"] not in before
    ]
    stage.release("reports/renderer")
    stage.hold(f"reports/{fresh}")
    stage.stuck(f"reports/{fresh}", "ContainerCreating", "")
    stage.crash(
        f"reports/{fresh}",
        restarts=9,
    )
    fails = (
        "Traceback (most recent call last):\n"
        '  File "/app/renderer/__main__.py", line 41, in <module>\n'
        "    main()\n"
        '  File "/app/renderer/__main__.py", line 22, in main\n'
        '    fonts = os.environ["FONT_BUCKET"]\n'
        '  File "<frozen os>", line 717, in __getitem__\n'
        "KeyError: 'FONT_BUCKET'"
    )
    for previous in (False, True):
        stage.log(f"reports/{fresh}", printed(stage.ago(seconds=13), [fails]), previous=previous)
    stage.wait(minutes=3)
    stage.heartbeat()
    ahead = next(
        p["metadata"]["name"] for p in stage.pods("accounts/issuer") if p["spec"]["nodeName"] == "node-b"
    )
    good = 'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="request" method=GET path=/me status=200 ms=<4-21>'
    bad = (
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=WARN msg="token refused" status=401 err="token is not valid yet: iat is '
        f'7m<10-14>s in the future" issued_by={ahead} kid=2026-11'
    )
    for n, pod in enumerate(stage.pods("accounts/members")):
        # The kubelet's prefix comes from the same clock as the program's own time; to itself node-b is right.
        there = pod["spec"]["nodeName"] == "node-b"
        lines = [good] * 48 if there else [good, good, bad, good, good, bad] * 8
        first = stage.ago(minutes=28, seconds=7 * n) + (SKEW if there else timedelta())
        stage.log(f"accounts/{pod['metadata']['name']}", printed(first, lines, every_s=34))
    issued = 'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="token issued" kid=2026-11 lifetime=15m sub=u-<100000-999999>'
    for pod in stage.pods("accounts/issuer"):
        name = pod["metadata"]["name"]
        skew = SKEW if name == ahead else timedelta()
        stage.log(f"accounts/{name}", printed(stage.ago(minutes=20) + skew, [issued] * 24, every_s=48))
    chatter(
        stage,
        "accounts/profiles",
        ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"],
        count=5,
        minutes=25,
    )
    chatter(stage, "reports/index", ["[<%Y-%m-%d %H:%M:%S> +0000] [7] [INFO] indexed <3-20> reports"])
    stage.metric("node_clock_offset_seconds", "node_time_seconds - timestamp(node_time_seconds)", [
        ({"instance": "10.20.0.11:9100", "nodename": "node-a"}, [0.00002, 0.00001, -0.00001] * 8),
        ({"instance": "10.20.0.12:9100", "nodename": "node-b"}, [19.6 * n for n in range(-1, 23)]),
        ({"instance": "10.20.0.13:9100", "nodename": "node-c"}, [-0.00001, 0.00003, 0.00001] * 8),
    ], step_s=3600)  # fmt: skip
    stage.metric("members_401_ratio", 'sum(rate(http_requests_total{service="members",code="401"}[5m])) / sum(rate(http_requests_total{service="members"}[5m]))', [
        ({"service": "members", "namespace": "accounts"}, [0.01] * 6 + [0.02, 0.04, 0.07, 0.11, 0.16, 0.2] + [0.22, 0.21, 0.23] * 6),
    ], step_s=300)  # fmt: skip
    stage.fire(minutes_ago=11)
