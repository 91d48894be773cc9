"""Settings a program complains about, found where they are set."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import config_value
from tests.support.kube import config_map, container, crashing, deployment, env, log, pods_in
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
