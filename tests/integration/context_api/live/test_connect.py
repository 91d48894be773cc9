"""The way to a cluster: kubeconfigs as people have them, broken ones, credential programs, service accounts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from services.context_api.adapters.live import connect as module
from services.context_api.adapters.live.connect import Access, connect
from services.context_api.adapters.live.errors import NoAccess
from tests.fakes.kube_api import kubeconfig
from tests.support.certificates import certificate

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def with_user(tmp_path: Path, user: dict[str, Any]) -> Access:
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:9")
    document = json.loads(path.read_text())
    document["users"][0]["user"] = user
    path.write_text(json.dumps(document))
    return Access(str(path))


def program(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "get-token"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path), "args": []}}


async def test_a_context_chooses_the_cluster_and_the_user(tmp_path: Path):
    first = kubeconfig(tmp_path / "one", "http://one.example", context="one")
    second = kubeconfig(tmp_path / "two", "http://two.example", context="two", token="2")

    client = await connect(Access(f"{first}{os.pathsep}{second}", "two"))

    assert client.configuration.host == "http://two.example"
    assert client.configuration.api_key == {"BearerToken": "Bearer 2"}
    await client.close()


async def test_a_credential_program_gives_the_token(tmp_path: Path):
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "made"},
    }

    client = await connect(with_user(tmp_path, program(tmp_path, f"echo '{json.dumps(answer)}'")))

    assert client.configuration.api_key == {"BearerToken": "Bearer made"}
    await client.close()


async def test_a_credential_program_that_fails_does_not_make_us_nobody(tmp_path: Path):
    with pytest.raises(NoAccess, match="its credential program gave no credential"):
        await connect(with_user(tmp_path, program(tmp_path, "exit 1")))


@pytest.mark.parametrize(
    ("text", "words"),
    [("{}", "cannot be used"), ("[1", "cannot be used"), ("", "cannot be used"), ('{"current-context": "x"}', "cannot be used")],
)  # fmt: skip
async def test_a_broken_kubeconfig_is_named_and_quotes_nothing(tmp_path: Path, text: str, words: str):
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(NoAccess, match=words) as told:
        await connect(Access(str(path)))
    assert str(path) in str(told.value)


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(NoAccess, match="no such kubeconfig"):
        await connect(Access(str(tmp_path / "nowhere")))


async def test_an_unknown_context_is_named(tmp_path: Path):
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:9")

    with pytest.raises(NoAccess, match="mars"):
        await connect(Access(str(path), "mars"))


async def test_outside_a_pod_it_says_what_to_set():
    with pytest.raises(NoAccess, match="set a kubeconfig"):
        await connect(Access())


async def test_in_a_pod_the_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    token = tmp_path / "token"
    token.write_text("sa")
    ca = certificate(tmp_path).authority
    loader = "kubernetes.aio.config.incluster_config"
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", token)
    monkeypatch.setattr(f"{loader}.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(f"{loader}.SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    client = await connect(Access())

    assert client.configuration.host == "https://10.0.0.1:443"
    assert client.configuration.api_key == {"BearerToken": "bearer sa"}
    await client.close()


async def test_a_kubeconfig_is_never_written_to(tmp_path: Path):
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:9")
    path.chmod(0o400)
    before = path.read_bytes()

    await (await connect(Access(str(path)))).close()

    assert path.read_bytes() == before
