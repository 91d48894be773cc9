"""`./kubernaut record` and `triage --live` as people call them, on a server that answers, refuses, or is not there."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.kube_api import FakeKubeApi, kubeconfig, refusal, running
from tests.support import kube
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


async def kubernaut(config: Path, *arguments: str | Path) -> Done:
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "kubernaut"),
        *map(str, arguments),
        env={**os.environ, "KUBECONFIG": str(config)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubeApi]:
    documents = [
        kube.pod("api-0", statuses=[kube.crashing()]),
        kube.pod("b", "bank"),
        kube.thing("Namespace", "shop", None),
        kube.thing("Namespace", "bank", None),
    ]
    async with running(documents, logs={"shop/api-0/app": b"panic: no database\n"}) as made:
        yield made


@pytest.fixture
def config(fake: FakeKubeApi, tmp_path: Path) -> Path:
    return kubeconfig(tmp_path / "config", fake.url, context="eu-1")


async def test_a_recording_is_explained_as_the_cluster_is(fake: FakeKubeApi, config: Path, tmp_path: Path):
    recorded = await kubernaut(config, "record", "--out", tmp_path / "r", "--context", "eu-1")
    later = json.loads((await kubernaut(config, "triage", tmp_path / "r", "--json")).out)
    live = json.loads((await kubernaut(config, "triage", "--live", "--json")).out)

    assert (recorded.code, recorded.err) == (0, "")
    assert 'cluster: "eu-1"' in (tmp_path / "r" / "snapshot.yaml").read_text()
    assert later["ranked"][0]["reason"] == "CrashLoopBackOff"
    for answer in (later, live):
        for cause in answer["ranked"]:
            for item in cause["evidence"]:
                del item["id"], item["source"]
    assert later == live


async def test_what_could_not_be_read_is_said_and_is_no_failure(
    fake: FakeKubeApi, config: Path, tmp_path: Path
):
    path = "/api/v1/namespaces/shop/secrets"
    fake.faults[path], fake.sticky = [refusal(403, "secrets is forbidden")], {path}

    done = await kubernaut(config, "record", "--out", tmp_path / "r", "--namespace", "shop", "--since", "2h")

    assert done.code == 0
    assert "secrets in shop: not allowed (HTTP 403: secrets is forbidden)" in done.out
    assert not (tmp_path / "r" / "objects" / "bank").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kubeconfig", "/nowhere"], "no such kubeconfig"),
        (["--context", "mars"], "mars"),
        (["--namespace", "shpo"], "no such namespace"),
        (["--since", "yesterday"], "--since"),
    ],
)
async def test_what_cannot_be_recorded_leaves_nothing_and_says_what_to_change(
    config: Path, tmp_path: Path, arguments: list[str], words: str
):
    done = await kubernaut(config, "record", "--out", tmp_path / "r", *arguments)

    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
    assert os.listdir(tmp_path) == ["config"]


async def test_without_a_cluster_triage_says_so_in_its_own_shape(tmp_path: Path):
    nobody = kubeconfig(tmp_path / "config", "http://127.0.0.1:9")

    done = await kubernaut(nobody, "triage", "--live", "--json")

    assert done.code == 2
    assert "connection refused" in json.loads(done.out)["error"]
    assert "choose with --kubeconfig" in done.err
