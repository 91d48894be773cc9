"""`./kubernaut doctor` on this machine, and on one that has nothing yet."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.doctor.gather import gather
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("INF-BR-HEALTH-006")

SYSTEM_PATH = "/usr/bin:/bin"


def doctor(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As somebody calls it from a folder of theirs."""
    return subprocess.run(
        [str(root / "kubernaut"), "doctor", *arguments],
        cwd=root.parent,
        env={"PATH": os.environ["PATH"], "HOME": str(root.parent), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def checks(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository's files as a clone has them, as far as the doctor goes: nothing is installed."""
    root = tmp_path / "a clone"
    for folder in ("cli", "libs"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("kubernaut", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / file, root / file)
    return root


def test_in_a_fresh_clone_it_works_with_the_systems_python_and_says_what_make_installs(clone: Path):
    done = doctor(clone, "--json", PATH=f"{SYSTEM_PATH}:{os.environ['PATH']}")

    assert done.stderr == ""
    found = checks(done)
    assert found[".venv, services"]["state"] == "missing"
    assert found[".venv, services"]["remedy"] == "make install"
    assert "installed yet" in found[".venv, tests and linters"]["detail"]


def test_it_changes_nothing_in_the_clone(clone: Path):
    before = {path for path in clone.rglob("*") if "__pycache__" not in path.parts}
    doctor(clone)

    assert {path for path in clone.rglob("*") if "__pycache__" not in path.parts} == before


def test_modules_of_the_folder_it_is_called_in_are_not_its_own(clone: Path):
    for name in ("json", "cli", "pwd"):
        (clone.parent / f"{name}.py").write_text("raise SystemExit('somebody else')")

    assert "somebody else" not in doctor(clone, "--json").stderr


def test_an_environment_whose_python_is_gone_is_called_broken_and_does_not_stop_the_doctor(clone: Path):
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(clone / "gone")
    done = doctor(clone, "--json")

    assert done.returncode == 1
    assert "make clean" in checks(done)[".venv, services"]["remedy"]


def test_a_stamp_older_than_the_lock_is_called_stale(clone: Path):
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(Path(os.path.realpath("/proc/self/exe")))
    (clone / ".venv" / ".run").touch()
    os.utime(clone / ".venv" / ".run", (0, 0))

    assert "older than" in checks(doctor(clone, "--json"))[".venv, services"]["detail"]


def test_a_taken_port_stops_it_and_its_holder_is_named(clone: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = doctor(clone, ALERTS_PORT=port)

    assert done.returncode == 1
    assert f"{port} of alerts is taken by pid {os.getpid()}" in done.stdout
    assert "set ALERTS_PORT" in done.stdout


def test_a_models_key_is_named_and_never_shown(clone: Path):
    done = doctor(
        clone, "--json", HOLMESGPT_LLM_API_KEY="sk-canary-8c1d", HOLMESGPT_LLM_MODEL="qwen3", MODEL=""
    )

    assert checks(done)["model"]["detail"] == "set: HOLMESGPT_LLM_MODEL"
    assert "canary" not in done.stdout


@pytest.mark.requirement("HAPI-146")
def test_a_model_that_only_the_configuration_file_names_is_seen(clone: Path):
    file = clone.parent / "settings.yaml"
    file.write_text("llm: {primary: {name: house, provider: ollama, model: qwen3}}\n")

    done = doctor(clone, "--json", HOLMESGPT_CONFIG_FILE=str(file))

    assert checks(done)["model"]["detail"] == "set: HOLMESGPT_CONFIG_FILE"


def test_this_repository_has_what_its_tests_are_running_on():
    facts = gather({**os.environ, "KUBECONFIG": "/no/such/kubeconfig"})

    assert facts.test.state in ("current", "stale")
    assert facts.postgres.version.startswith("postgres (PostgreSQL)")
    assert facts.disk_free > 0
    assert facts.memory_free
    assert facts.interpreters
    assert (facts.kubeconfig, facts.kubeconfig_missing) == (None, "/no/such/kubeconfig")


def test_programs_that_lie_in_the_cache_are_found(tmp_path: Path):
    program = tmp_path / "testbed-0a1b" / "etcd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    assert gather({**os.environ, "KUBERNAUT_CACHE": str(tmp_path)}).built == ()
    program.chmod(0o755)

    assert gather({**os.environ, "KUBERNAUT_CACHE": str(tmp_path)}).built == ("etcd",)
