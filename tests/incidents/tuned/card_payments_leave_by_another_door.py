"""The egress gateway's address was changed; one partner outside knows the old one only and refuses, others take any."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, daemon_set, deployment, from_secret, secret, service, system

INCIDENT = Incident(
    title="Traffic to partners leaves with 203.0.113.47 since an edit, and the card acquirer knows 203.0.113.12 only",
    half=Half.tuned,
    story=(
        "The egress policy for partners was given another gateway node and address an hour ago, as the old node is to be retired. The card acquirer lets known"
        " addresses in only and answers 403; the text message partner does not mind. Card payments fail, the shop two hops away burns its budget."
        " The card service had a release twenty minutes before."
    ),
    sources=[
        "https://docs.cilium.io/en/stable/network/egress-gateway/egress-gateway/",
        "https://docs.adyen.com/development-resources/livemode/domain-and-ip-addresses",
        "https://sre.google/workbook/alerting-on-slos/",
    ],
    labels={
        "alertname": "ErrorBudgetBurn",
        "namespace": "store",
        "service": "checkout",
        "slo": "checkout-availability",
        "long": "1h",
        "short": "5m",
        "severity": "critical",
    },
    annotations={"summary": "checkout burns its 30 days' error budget 14.4 times too fast."},
    causes=["CiliumEgressGatewayPolicy/_cluster/partners"],
    says=[["203.0.113.47", "egressIP"], ["403", "not_allowed", "refuse", "allow"]],
    innocent=["Deployment/store/checkout", "Service/store/checkout", "Deployment/money/cards", "Service/money/cards"],
    traits=frozenset({Trait.innocent}),
    authored=["cilium pods"],
)  # fmt: skip

GROUP = "cilium.io"
ACQUIRER, TEXTS = "api.acquirer.example", "gateway.texts.example"
OLD, NEW = "203.0.113.12", "203.0.113.47"


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v2", "CiliumEgressGatewayPolicy", "ciliumegressgatewaypolicies", namespaced=False)
    stage.kubectl("label", "node", "node-a", "door=old")
    stage.kubectl("label", "node", "node-c", "door=new")
    stage.apply(system())
    stage.apply([
        daemon_set("kube-system/cilium", container("cilium-agent", "cilium/cilium:v1.18.4"), pod={"hostNetwork": True, "tolerations": [{"operator": "Exists"}]}),
        deployment("kube-system/cilium-operator", container("cilium-operator", "cilium/operator-generic:v1.18.4"), replicas=1),
        {
            "apiVersion": f"{GROUP}/v2", "kind": "CiliumEgressGatewayPolicy", "metadata": {"name": "partners"},
            "spec": {
                "selectors": [{"podSelector": {"matchLabels": {"egress": "partners"}}}],
                "destinationCIDRs": ["0.0.0.0/0"], "excludedCIDRs": ["10.0.0.0/8"],
                "egressGateway": {"nodeSelector": {"matchLabels": {"door": "old"}}, "egressIP": OLD},
            },
        },
        secret("money/acquirer-key", {"key": "ak-22-91f0"}),
        _partnered("money/cards", container("cards", "money/cards:10.6.0", port=8080, ready="/ready", alive="/alive",
                                            env={"ACQUIRER_URL": f"https://{ACQUIRER}/v1", "ACQUIRER_KEY": from_secret("acquirer-key", "key")}), replicas=3),
        service("money/cards", 80, 8080),
        _partnered("notices/texts", container("texts", "notices/texts:4.1.1", port=8080, ready="/ready", env={"TEXTS_URL": f"https://{TEXTS}/send"}), replicas=2),
        service("notices/texts", 80, 8080),
        deployment("money/vouchers", container("vouchers", "money/vouchers:2.2.0", port=8080, ready="/ready")),
        service("money/vouchers", 80, 8080),
        deployment("store/checkout", container("checkout", "store/checkout:31.0.4", port=8080, ready="/ready", env={
            "CARDS_URL": "http://cards.money", "VOUCHERS_URL": "http://vouchers.money", "TEXTS_URL": "http://texts.notices"}), replicas=3),
        service("store/checkout", 80, 8080),
        deployment("store/shelves", container("shelves", "store/shelves:7.7.0", port=8080, ready="/ready")),
        service("store/shelves", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=27, hours=5)
    stage.kubectl(
        "set", "image", "deployment/cards", "cards=registry.example.com/money/cards:10.6.1", "-n", "money"
    )
    stage.calm()
    stage.wait(minutes=20)

    def other_door(body: Body) -> None:
        body["spec"]["egressGateway"] = {"nodeSelector": {"matchLabels": {"door": "new"}}, "egressIP": NEW}

    stage.edit("ciliumegressgatewaypolicies/_cluster/partners", other_door)
    edited = stage.now
    stage.wait(minutes=38)
    stage.kubectl("scale", "deployment/shelves", "--replicas=3", "-n", "store")
    stage.calm()
    stage.wait(minutes=6)
    stage.heartbeat()
    _logs(stage, edited)
    _metrics(stage)
    stage.fire(minutes_ago=36)


def _partnered(place: str, one: Body, *, replicas: int) -> Body:
    return deployment(place, one, replicas=replicas, labels={"egress": "partners"})


def _logs(stage: Stage, edited: datetime) -> None:
    well = (
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"authorised","amount":<5-300>,"ms":<120-340>}'
    )
    failed = (
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"ERROR","msg":"authorisation failed","url":"https://'
        + ACQUIRER
        + '/v1/authorisations","status":403,'
        '"body":"{\\"error\\":\\"source_address_not_allowed\\",\\"detail\\":\\"requests from '
        + NEW
        + ' are not allowed for merchant M-20417\\"}"}'
    )
    for n, pod in enumerate(stage.pods("money/cards")):
        shift = timedelta(seconds=3 * n)
        stage.log(f"money/{pod['metadata']['name']}", "\n".join([
            printed(edited - timedelta(minutes=18) + shift, [well] * 20, every_s=52),
            printed(edited + timedelta(seconds=6) + shift, [failed] * 60, every_s=43),
        ]))  # fmt: skip
    chatter(
        stage,
        "notices/texts",
        ['{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"text sent","status":202,"ms":<60-120>}'],
    )
    chatter(stage, "money/vouchers", ["INFO  voucher read <2-9>ms"])
    chatter(stage, "store/checkout", [
        "<%Y-%m-%d %H:%M:%S.%3> ERROR [http-nio-8080-exec-<1-9>] c.e.store.Pay - payment <7000000-7999999> failed: POST http://cards.money/authorisations answered 502",
        "<%Y-%m-%d %H:%M:%S.%3> INFO  [http-nio-8080-exec-<1-9>] c.e.store.Pay - payment <7000000-7999999> by voucher",
        "<%Y-%m-%d %H:%M:%S.%3> ERROR [http-nio-8080-exec-<1-9>] c.e.store.Pay - payment <7000000-7999999> failed: POST http://cards.money/authorisations answered 502",
    ], count=40, minutes=40)  # fmt: skip
    chatter(stage, "store/shelves", ["INFO  shelf read <2-9>ms"])
    chatter(
        stage,
        "kube-system/cilium-operator",
        ['time=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg="Garbage collected identities" count=<0-3>'],
        count=6,
        minutes=50,
    )


def _metrics(stage: Stage) -> None:
    """Once a minute for two hours; the address is another one for 44 minutes."""
    before, since = 76, 44
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total[2m]))', [
        ({"namespace": "money", "service": "cards"}, [*about(0.001, before, noise=0.8), *about(0.998, since, noise=0.001)]),
        ({"namespace": "store", "service": "checkout"}, [*about(0.0008, before, noise=0.8), *about(0.66, since)]),
        ({"namespace": "notices", "service": "texts"}, about(0.0006, before + since, noise=0.8)),
    ])  # fmt: skip
