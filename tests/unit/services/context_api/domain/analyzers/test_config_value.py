"""Settings a program complains about, found where they are set."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import config_value
from tests.support.kube import (
    ago,
    config_map,
    container,
    crashing,
    deployment,
    edit,
    env,
    log,
    pod,
    pods_in,
    service,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def crash(text: str, **spec):
    objects = deployment("api", containers=[container(**spec)], statuses=[crashing()])
    return objects, [log(pods_in(objects)[0], text)]


def test_a_variable_from_a_configmap_is_found_by_its_name():
    objects, logs = crash("ERROR invalid LOG_LEVEL: verbos", envFrom=[{"configMapRef": {"name": "api-conf"}}])

    (found,) = seen(config_value, objects, config_map("api-conf", LOG_LEVEL="verbos"), logs=logs)

    assert said([found]) == [("ConfigMap/shop/api-conf", "BadConfigValue")]
    assert "LOG_LEVEL=verbos" in found.text


def test_a_row_of_a_mounted_file_is_found_by_the_setting_the_log_quotes():
    spec = {"volumes": [{"name": "c", "configMap": {"name": "api-conf"}}]}
    objects = deployment(
        "api",
        containers=[container(volumeMounts=[{"name": "c", "mountPath": "/etc/app"}])],
        statuses=[crashing()],
        spec=spec,
    )
    logs = [log(pods_in(objects)[0], 'panic: unknown option "max_conections"')]

    (found,) = seen(
        config_value,
        objects,
        config_map("api-conf", data={"app.ini": "port = 80\nmax_conections = 5\n"}),
        logs=logs,
    )

    assert "max_conections = 5" in found.text


def test_a_variable_written_in_the_workload_is_its_own_fault():
    objects, logs = crash('FATAL: cannot parse CACHE_TTL="5 mins"', env=env(CACHE_TTL="5 mins"))

    assert said(seen(config_value, objects, logs=logs)) == [("Deployment/shop/api", "BadConfigValue")]


def test_a_demanded_variable_that_nothing_sets_is_told_with_the_one_spelled_alike():
    objects, logs = crash(
        "KeyError: 'DATABASE_URL' is required", envFrom=[{"configMapRef": {"name": "api-conf"}}]
    )

    answer = causes(objects, config_map("api-conf", DATABSE_URL="x"), target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("ConfigMap/shop/api-conf", "MissingVariable")
    assert "`DATABSE_URL`" in answer.ranked[0].text


def test_a_secret_value_is_never_shown():
    objects, logs = crash("ERROR invalid API_TOKEN", env=env(API_TOKEN="hunter2hunter2"))

    (found,) = seen(config_value, objects, logs=logs)

    assert "hunter2" not in found.text


@pytest.mark.parametrize(
    "text", ["ERROR: something broke", "INFO LOG_LEVEL=debug", "Error: connect ECONNREFUSED 10.0.0.9:5432"]
)
def test_a_log_that_names_no_setting_blames_none(text: str):
    objects, logs = crash(text, envFrom=[{"configMapRef": {"name": "api-conf"}}])

    assert seen(config_value, objects, config_map("api-conf", LOG_LEVEL="info", PORT="5432"), logs=logs) == []


def test_a_healthy_workloads_settings_are_not_judged():
    objects = deployment("api", containers=[container(env=env(CACHE_TTL="5 mins"))])

    assert (
        seen(config_value, objects, logs=[log(pods_in(objects)[0], 'ERROR: cannot parse CACHE_TTL="5 mins"')])
        == []
    )


DOOR = "controller"
HEADER = '[error] 30#30: *7 broken header: "GET / HTTP/1.1" while reading PROXY protocol, client: 10.0.0.9'
ARGUMENT = [container(args=["--configmap=$(POD_NAMESPACE)/controller"])]
BALANCED = {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}


def route(host: str = "shop.example.com", name: str = "shop"):
    spec = {"rules": [{"host": host, "http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]}
    return thing("Ingress", name, api="networking.k8s.io/v1", spec=spec, status=BALANCED)


def carried(line: str = HEADER, value: str = "true", **more):
    """A route whose controller runs elsewhere and whose shop is well."""
    front = service(
        DOOR, "edge", selector={"app": DOOR}, edits=[edit(14, "metadata/annotations/a", by="helm")]
    )
    front[0]["status"] = BALANCED
    controller = deployment(DOOR, "edge", containers=ARGUMENT)
    logs = [log(p, "\n".join(f"{ago(9 - n)} {line}" for n in range(6))) for p in pods_in(controller)]
    return causes(
        route(), route("other.example.com", "other"), front, controller, service("web", ready=2), deployment("web"),
        config_map(DOOR, "edge", data={"use-proxy-protocol": value}), target="Ingress/shop/shop", logs=logs,
    )  # fmt: skip


def test_a_route_leads_to_the_setting_that_its_controllers_errors_spell_out():
    answer = carried()

    assert first(answer) == ("ConfigMap/edge/controller", "SettingComplainedAbout")
    told = answer.ranked[0].text
    assert "`use-proxy-protocol=true`" in told
    assert "Service edge/controller in front of it was edited at" in told


@pytest.mark.parametrize(
    ("line", "value"),
    [(HEADER, "false"), ("[error] 30#30: *7 cannot allocate memory, client: 10.0.0.9", "true")],
)
def test_an_error_that_names_no_setting_is_the_controllers_own(line: str, value: str):
    assert first(carried(line, value)) == ("Deployment/edge/controller", "ErrorsInLog")


def test_what_a_controller_complains_of_about_another_host_is_not_this_routes():
    assert carried(f'{HEADER}, host: "other.example.com"').ranked == []


AGENT = thing(
    "DaemonSet", "net-agent", "kube-system", api="apps/v1",
    spec={
        "selector": {"matchLabels": {"app": "net-agent"}},
        "template": {"metadata": {"labels": {"app": "net-agent"}}, "spec": {
            "hostNetwork": True, "priorityClassName": "system-node-critical",
            "containers": [container(env=[{"name": "MTU", "valueFrom": {"configMapKeyRef": {"name": "net", "key": "veth_mtu"}}}])],
        }},
    },
)  # fmt: skip
AGENT_POD = pod("net-agent-1", "kube-system", owner=AGENT, labels={"app": "net-agent"})
DOUBTS = "WARN Configured MTU is larger than detected host interface MTU hostMTU=1460 mtu=1500"


def lost_calls(agent_says: str, caller_says: str = "ERROR Get http://list:80/: context deadline exceeded"):
    front = deployment("front")
    lines = "\n".join(f"{ago(9 - n)} {caller_says}" for n in range(6))
    logs = [log(p, lines) for p in pods_in(front)] + [log(AGENT_POD, f"{ago(600)} {agent_says}")]
    net = config_map(
        "net", "kube-system", data={"veth_mtu": "1500"}, edits=[edit(60 * 24 * 19, "data/veth_mtu")]
    )
    return causes(front, deployment("list"), service("list", ready=2), AGENT, AGENT_POD, net, target="Deployment/shop/front", logs=logs)  # fmt: skip


def test_what_a_carrier_of_calls_warns_of_accounts_for_calls_that_go_astray():
    answer = lost_calls(DOUBTS)

    assert first(answer) == ("ConfigMap/kube-system/net", "SettingWarnedOf")
    for words in ("veth_mtu=1500", "hostMTU=1460", "carries the calls of Deployment shop/front"):
        assert words in answer.ranked[0].text


@pytest.mark.parametrize(
    ("agent_says", "caller_says"),
    [
        ("INFO MTU is mtu=1500", "ERROR Get http://list:80/: context deadline exceeded"),
        ("WARN setting it by mtu=1500 is deprecated", "ERROR Get http://list:80/: context deadline exceeded"),
        (DOUBTS, "ERROR http://list:80/ answers status 500"),
    ],
    ids=["it does not warn", "it only advises", "the called one was reached"],
)  # fmt: skip
def test_a_carriers_setting_is_left_alone_without_a_warning_or_a_lost_call(agent_says: str, caller_says: str):
    answer = lost_calls(agent_says, caller_says)

    assert "SettingWarnedOf" not in [cause.reason for cause in answer.ranked]
