"""Which processes `kubernaut run` starts, and what it tells each."""

import json
from pathlib import Path

import pytest

from cli.run.stack import CONNECTION_LIMITS, CONNECTIONS, SERVICES, BadPort, processes

pytestmark = pytest.mark.requirement("HAPI-051", "HAPI-052", "HAPI-054")

URLS = {service.name: f"postgresql:///{service.name}" for service in SERVICES}


def stack(environment: dict[str, str] | None = None):
    return {
        process.name: process
        for process in processes(
            environment or {}, keys_file=Path("/keys.yaml"), database_urls=URLS, recording=Path("/recording")
        )
    }


def test_each_service_has_an_api_and_those_with_background_work_a_worker_of_their_own():
    assert set(stack()) == {
        "context-api api",
        "notifications api",
        "notifications worker",
        "holmesgpt-api api",
        "holmesgpt-api worker",
        "alerts api",
        "alerts worker",
    }


@pytest.mark.requirement("API-BR-PERF-034")
def test_seven_services_fit_into_the_connections_of_a_default_server():
    usable = 97  # of a hundred, three are kept for administrators

    assert sum(CONNECTION_LIMITS.values()) + (7 - len(SERVICES)) * CONNECTIONS <= usable


@pytest.mark.requirement("API-BR-PERF-034")
def test_a_service_with_two_queues_has_connections_for_both():
    assert CONNECTION_LIMITS["alerts"] == CONNECTIONS
    assert CONNECTION_LIMITS["holmesgpt_api"] >= 4 + 4 + 2 * (2 + 1)


def test_no_two_processes_are_told_the_same_port():
    ports = []
    for process in stack().values():
        metrics = process.environment[f"{process.service.prefix}_METRICS_PORT"]
        ports += [int(metrics)] + ([process.port] if process.port else [])

    assert len(ports) == len(set(ports))


def test_a_moved_api_port_is_told_to_every_neighbour():
    moved = stack({"HOLMESGPT_PORT": "18090"})

    assert moved["holmesgpt-api api"].url == "http://127.0.0.1:18090"
    assert {p.environment["KUBERNAUT_HOLMESGPT_URL"] for p in moved.values()} == {"http://127.0.0.1:18090"}


@pytest.mark.parametrize("port", ["0", "65536", "eighty", "", "-1"])
def test_a_port_that_is_none_is_refused_and_its_variable_named(port):
    with pytest.raises(BadPort, match="ALERTS_PORT"):
        stack({"ALERTS_PORT": port})


def test_each_service_is_given_the_database_as_its_own_role():
    told = {(p.service.name, p.environment["DATABASE_URL"]) for p in stack().values()}

    assert told == {(service.name, f"postgresql:///{service.name}") for service in SERVICES}


def test_an_operators_own_recording_and_trusted_networks_win():
    told = stack({"RECORDED_CLUSTER": "/must-gather", "TRUSTED_NETWORKS": "{}"})[
        "context-api api"
    ].environment

    assert told["RECORDED_CLUSTER"] == "/must-gather"
    assert json.loads(told["TRUSTED_NETWORKS"]) == {}


@pytest.mark.parametrize("live", [{"EVIDENCE_KUBECONFIG": "/k"}, {"EVIDENCE_IN_CLUSTER": "true"}])
def test_a_live_cluster_keeps_the_bundled_recording_away(live: dict[str, str]):
    assert "RECORDED_CLUSTER" not in stack(live)["context-api api"].environment


@pytest.mark.parametrize("unset", [{"EVIDENCE_KUBECONFIG": ""}, {"EVIDENCE_IN_CLUSTER": "false"}])
def test_a_live_cluster_that_is_not_wanted_does_not(unset: dict[str, str]):
    assert "RECORDED_CLUSTER" in stack(unset)["context-api api"].environment


@pytest.mark.requirement("HAPI-109")
def test_a_models_key_is_told_to_the_service_that_asks_it_and_to_no_other():
    made = stack({"HOLMESGPT_LLM_API_KEY": "sk-x", "MODEL": "m"})

    told = {
        process.service.name for process in made.values() if "HOLMESGPT_LLM_API_KEY" in process.environment
    }

    assert told == {"holmesgpt_api"}


@pytest.mark.requirement("HAPI-053")
def test_a_certificate_meant_for_elsewhere_does_not_lock_the_supervisor_out():
    made = stack({"TLS_CERT_FILE": "/tls.crt", "TLS_KEY_FILE": "/tls.key"})

    assert not [process.name for process in made.values() if "TLS_CERT_FILE" in process.environment]
    assert not [process.name for process in made.values() if "TLS_KEY_FILE" in process.environment]
    assert {process.url.partition(":")[0] for process in made.values() if process.url} == {"http"}
