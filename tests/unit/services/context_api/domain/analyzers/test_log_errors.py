"""Errors in the logs of workloads that look well."""

from __future__ import annotations

import pytest

from services.context_api.domain.logs import time_of
from tests.support.kube import (
    ago,
    config_map,
    container,
    crashing,
    deployment,
    edit,
    env,
    log,
    moment,
    pods_in,
    service,
    thing,
)
from tests.support.series import answered, recorded
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

API = deployment("api")
CRASHES = deployment("web", statuses=[crashing("web")])
WEB = deployment("web", containers=[container(env=env(API="http://api:80"))])


def lines(text: str, start: float = 10, count: int = 6) -> str:
    return "\n".join(f"{ago(start - i)} {text}" for i in range(count))


def test_an_alert_about_a_workload_that_looks_well_is_answered_by_its_log():
    answer = causes(
        WEB,
        target="Deployment/web".replace("/", "/shop/"),
        logs=[log(pods_in(WEB)[0], lines("ERROR cannot render page: template missing"))],
    )

    assert first(answer) == ("Deployment/shop/web", "ErrorsInLog")
    assert "template missing" in answer.ranked[0].text
    assert answer.ranked[0].confidence.value < 0.6


def test_errors_are_followed_to_the_dependency_that_writes_its_own():
    api = deployment("api")
    logs = [
        log(pods_in(WEB)[0], lines("ERROR POST http://api:80/pay failed: status 500")),
        log(pods_in(api)[0], lines("ERROR cannot charge: invoice table is read-only")),
    ]

    answer = causes(WEB, api, service("api", ready=2), target="Deployment/shop/web", logs=logs)

    assert first(answer) == ("Deployment/shop/api", "ErrorsInLog")
    assert answer.ranked[0].path == ["Deployment/shop/api", "Service/shop/api", "Deployment/shop/web"]


def test_an_edit_the_log_speaks_of_is_the_cause_though_every_pod_is_ready():
    spec = {"volumes": [{"name": "c", "configMap": {"name": "web-conf"}}]}
    web = deployment(
        "web", containers=[container(volumeMounts=[{"name": "c", "mountPath": "/etc/web"}])], spec=spec
    )
    config = config_map(
        "web-conf", data={"web.conf": "upstream_pool = 0x"}, edits=[edit(12, "data/web.conf")]
    )
    logs = [log(pods_in(web)[0], lines('ERROR reload failed: bad value for "upstream_pool": 0x'))]

    assert first(causes(web, config, target="Deployment/shop/web", logs=logs))[0] == "ConfigMap/shop/web-conf"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (lines("ERROR old trouble", start=90), "Deployment/shop/web"),
        (lines("INFO served a request"), "Deployment/shop/web"),
        (lines("ERROR once", count=1), "Deployment/shop/web"),
        ("ERROR without a time\n" * 20, "Deployment/shop/web"),
        (
            lines("ERROR x", count=3) + "\n" + "\n".join(f"{ago(2)} INFO served {i}" for i in range(100)),
            "Deployment/shop/web",
        ),
        (lines("ERROR x"), None),
    ],
    ids=["long ago", "no errors", "a single one", "no times", "few among many", "nobody asked"],
)
def test_logs_that_prove_nothing_are_no_cause(text: str, target):
    assert causes(WEB, target=target, logs=[log(pods_in(WEB)[0], text)]).no_cause


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-18T09:20:00Z ERROR x",
        '{"ts":"2026-11-18 09:20:00.000","level":"error"}',
        "2026/11/18 09:20:00 [error] x",
    ],
)
def test_times_of_lines_are_read(line: str):
    assert time_of(line) == moment(10)


def test_a_line_without_a_time_has_none():
    assert time_of("ERROR at 9 o'clock") is None


def test_the_trouble_began_with_the_first_line_of_the_kind_the_log_is_full_of_now():
    text = "\n".join(
        [
            lines("ERROR another thing broke", start=58, count=4),
            lines("ERROR cannot render page 7", start=40, count=39),
        ]
    )

    answer = causes(WEB, target="Deployment/shop/web", logs=[log(pods_in(WEB)[0], text)])

    assert answer.ranked[0].onset == moment(40)


def test_a_controller_that_cannot_reconcile_leads_to_the_resource_it_names():
    operator = deployment("operator", "operators")
    broken = thing(
        "Cache", "carts", api="caches.example.com/v1",
        status={"conditions": [{"type": "Ready", "status": "False", "reason": "BadSize", "message": "size 0"}]},
    )  # fmt: skip
    logs = [log(pods_in(operator)[0], lines("ERROR Reconciler error namespace=shop name=carts: size 0"))]

    answer = causes(operator, broken, API, target="Deployment/operators/operator", logs=logs)

    assert first(answer)[0] == "Cache/shop/carts"


def test_a_server_that_refuses_a_caller_leads_to_the_caller():
    store = deployment("store")
    logs = [
        log(pods_in(store)[0], lines('FATAL: password authentication failed for user "web"')),
        log(
            pods_in(CRASHES)[0],
            "FATAL: http://store:80: password authentication failed",
            container="web",
        ),
    ]

    answer = causes(CRASHES, store, service("store", ready=1), target="Deployment/shop/store", logs=logs)

    assert first(answer)[0] == "Deployment/shop/web"


def test_a_structured_line_is_an_error_by_what_it_says_and_not_by_its_fields_names():
    quiet = '{"log.level":"info","message":"waits for its turn","failed_predicates":{"error":[]}}'

    assert causes(WEB, target="Deployment/shop/web", logs=[log(pods_in(WEB)[0], lines(quiet))]).no_cause


def test_a_server_that_refuses_one_client_leads_to_it_though_it_names_nobody():
    refuses = lines('FATAL:  password authentication failed for user "stats"')
    refused = lines(
        'level=ERROR source=collector.go:196 err="pq: password authentication failed for user \\"stats\\""'
    )
    store, stats = (
        deployment("store"),
        deployment("stats", containers=[container(env=env(URI="store:5432/x"))]),
    )
    logs = [log(pods_in(store)[0], refuses), log(pods_in(stats)[0], refused)]

    answer = causes(
        store, stats, WEB, service("store", port=5432, ready=2), target="Deployment/shop/store", logs=logs
    )

    assert first(answer) == ("Deployment/shop/stats", "ErrorsInLog")


def test_what_the_pods_of_an_alerting_service_complain_of_is_followed_along_a_chain_of_calls():
    names = ["front", "orders", "stock"]
    chain = [deployment(name) for name in names]
    logs = [
        log(pods_in(one)[0], lines(f"ERROR POST http://{called}:80/x answered 502"))
        for one, called in zip(chain, names[1:], strict=False)
    ]
    logs.append(log(pods_in(chain[-1])[0], lines("ERROR cannot count: shelf table is read-only")))

    answer = causes(chain, [service(name, ready=2) for name in names], target="Service/shop/front", logs=logs)

    assert first(answer) == ("Deployment/shop/stock", "ErrorsInLog")


SHARE = 'sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'
DUPLICATE = "ERROR cannot keep upload: duplicate digest, the first one is answered"


@pytest.mark.parametrize(
    ("text", "before", "share", "told"),
    [
        (DUPLICATE, 0, [0.0003] * 50, False),
        (DUPLICATE, 0, [0.0003] * 30 + [0.2] * 20, True),
        (DUPLICATE, 10, [0.0003] * 50, True),
        ("ERROR POST http://store:80/put: connection refused", 0, [0.0003] * 50, True),
    ],
    ids=["as ever and not felt", "felt", "new", "complains of a call"],
)
def test_errors_as_old_as_their_log_that_nobody_feels_are_how_a_program_speaks(
    text: str, before: int, share: list[float], told: bool
):
    api = deployment("api")
    said = [f"{ago(14 - i / 2)} {'INFO  upload kept' if i < before or i % 2 else text}" for i in range(24)]
    logs = [log(pods_in(api)[0], "\n".join(said))]
    metrics = [recorded(SHARE, share, namespace="shop", service="api")]

    answer = answered("Deployment/shop/api", api, service("api", ready=2), metrics=metrics, logs=logs)

    assert any(c.reason == "ErrorsInLog" for c in answer.ranked) is told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("WARN  prices: price of quince is missing, article is left out", False),
        ("ERROR prices: price of quince is missing, article is left out", True),
        ("WARN  prices: GET http://store:80/quince failed: connection refused", True),
    ],
    ids=["a warning", "an error", "a warning about a call"],
)
def test_what_calls_itself_a_warning_and_complains_of_nobody_is_no_error(text: str, told: bool):
    api = deployment("api")

    answer = causes(api, target="Deployment/shop/api", logs=[log(pods_in(api)[0], lines(text))])

    assert any(c.reason == "ErrorsInLog" for c in answer.ranked) is told


def test_a_few_errors_in_each_of_several_pods_are_many_together_where_a_whole_cluster_is_asked_about():
    api = deployment("api", containers=[container(env=env(LDAP="ldaps://directory.example.com:636"))])
    few = "\n".join(
        f"{ago(9 - n)} {'ERROR dial tcp: lookup failed: directory.example.com:636: i/o timeout' if n < 2 else 'INFO served'}"
        for n in range(6)
    )
    logs = [log(one, few) for one in pods_in(api)[:2]]

    assert "OutsideHostFails" in {c.reason for c in causes(api, logs=logs).ranked}
    assert causes(api, logs=logs[:1]).ranked == []
    assert all(c.reason != "ErrorsInLog" for c in causes(api, target="Deployment/shop/api", logs=logs).ranked)


@pytest.mark.parametrize(
    "line",
    ["LOG:  could not receive data from client: Connection reset by peer", "ERROR client went away before the answer: context canceled"],
)  # fmt: skip
def test_that_clients_left_is_no_fault_of_who_served_them(line: str):
    api = deployment("api")

    assert causes(api, target="Deployment/shop/api", logs=[log(pods_in(api)[0], lines(line))]).ranked == []
    other = lines("ERROR client cache is corrupt: cannot render")
    assert causes(api, target="Deployment/shop/api", logs=[log(pods_in(api)[0], other)]).ranked


# -- how a program speaks ----------------------------------------------------------------------------

SHARE_OF_API = 'sum(rate(sent_total{outcome="failed"}[2m])) / sum(rate(sent_total[2m]))'
RETRIES = "WARN pushing to a handset timed out, it is sent again"


def speaks(text: str, *minutes: float) -> str:
    return "\n".join(f"{ago(m)} {text}" for m in minutes)


EVERY_FOUR, SERVES = (
    tuple(range(118, 0, -4)),
    "\n".join(f"{ago(120 - n)} INFO served {n}" for n in range(120)),
)


def test_warnings_of_tries_that_are_repeated_since_long_before_the_alert_are_how_a_program_speaks():
    ever = speaks(RETRIES, *EVERY_FOUR, *EVERY_FOUR)
    lately = f"{SERVES}\n{speaks(RETRIES, *(m / 2 for m in range(1, 40)))}"

    def named(text: str) -> bool:
        logs = [log(pods_in(API)[0], text)]
        return bool(causes(API, target="Deployment/shop/api", onset=moment(20), logs=logs).ranked)

    assert not named(ever)
    assert named(ever.replace("it is sent again", "it is lost"))
    assert named(ever.replace("WARN", "ERROR"))
    assert named(lately)


def test_they_are_told_where_harm_is_measured():
    failing = recorded(SHARE_OF_API, [0.2] * 40, namespace="shop", deployment="api")

    answer = answered(
        "Deployment/shop/api",
        API,
        logs=[log(pods_in(API)[0], speaks(RETRIES, *EVERY_FOUR, *EVERY_FOUR))],
        metrics=[failing],
        onset=moment(20),
    )

    assert "ErrorsInLog" in [cause.reason for cause in answer.ranked] + [f.reason for f in answer.findings]


@pytest.mark.parametrize(
    "line",
    [
        '10.0.0.9 - - [18/Nov/2026:09:21:00 +0000] "GET /wp-login.php?error=unknown HTTP/1.1" 404 153 "-" "curl/8"',
        "I1118 09:21:00.123456       1 leaderelection.go:271] failed to acquire lease shop/web",
        "ERROR rendering a page: context canceled",
        "DeprecationWarning: invalid escape sequence",
    ],
    ids=["scanners", "a standby", "callers that leave", "advice"],
)
def test_a_log_full_of_what_is_nobodys_fault_is_no_cause(line: str):
    text = lines(line)

    assert causes(WEB, target="Deployment/shop/web", logs=[log(pods_in(WEB)[0], text)]).no_cause


@pytest.mark.parametrize(
    "line",
    [
        '10.0.0.9 - - [18/Nov/2026:09:21:00 +0000] "GET /unknown HTTP/1.1" 500 153 "-" "curl/8"',
        "E1118 09:21:00.123456       1 leaderelection.go:271] failed to renew lease shop/web",
        "ERROR rendering a page: context deadline exceeded",
    ],
    ids=["a server's fault", "a leader", "what takes too long"],
)
def test_a_log_full_of_the_like_that_is_its_own_fault_is_told(line: str):
    answer = causes(API, target="Deployment/shop/api", logs=[log(pods_in(API)[0], lines(line))])

    assert first(answer) == ("Deployment/shop/api", "ErrorsInLog")
