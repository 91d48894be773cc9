"""What a confined engine has to reach is worked out from what its runs are given. Whether the kernel keeps it in:
tests/integration/holmesgpt_api/test_confinement.py."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.holmesgpt_api.engine import confinement
from services.holmesgpt_api.engine.confinement import (
    Unconfined,
    confine,
    named,
    narrows,
    ports,
    read_from,
    supported,
)
from services.holmesgpt_api.engine.messages import Confinement, ContextAccess, ModelAccess
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("HAPI-110")

CONTEXT = ContextAccess(url="http://context:8091", timeout_s=5)


def access(model: str = "openai/x", api_base: str | None = "http://model:9000/v1") -> ModelAccess:
    return ModelAccess(
        model=model,
        api_base=api_base,
        api_key="none",
        context_tokens=9,
        output_tokens=1,
        request_timeout_s=1,
        attempts=1,
    )


@pytest.mark.parametrize(
    ("model", "api_base", "needs"),
    [
        ("openai/x", "http://model:9000/v1", {9000}),
        ("openai/x", "https://model/v1", {443}),
        ("openai/x", "http://model/v1", {80}),
        ("openai/x", "http://[::1]:9000/v1", {9000}),
        ("anthropic/x", None, {443}),
        ("ollama_chat/x", None, {443, 11434}),
    ],
)
def test_a_run_connects_to_its_models_port_and_to_name_servers(
    model: str, api_base: str | None, needs: set[int]
):
    assert ports([access(model, api_base)], None, [], {}) == needs | {53}


def test_fallbacks_the_context_api_proxies_and_what_an_operator_names_are_reached_too():
    proxies = {"HTTPS_PROXY": "http://proxy:3128", "http_proxy": "proxy:3129", "NO_PROXY": "model:1"}

    found = ports([access(), access(api_base="https://other:8443")], CONTEXT, [80], proxies)

    assert found == {53, 80, 9000, 8443, 8091, 3128, 3129}


def test_of_a_file_that_the_environment_names_its_directory_is_read(tmp_path: Path):
    (tmp_path / "ca.pem").write_text("")
    told = {
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "HOME": str(tmp_path),
        "AWS_PROFILE": "prod",
        "GONE_FILE": str(tmp_path / "gone" / "x"),
        "SSL_CERT_DIR": "/a:/b",
    }

    assert list(named(told)) == [Path("/a"), Path("/b"), tmp_path]


def test_where_a_file_is_a_link_its_target_is_read_too(tmp_path: Path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    (tmp_path / "there" / "ca.pem").write_text("")
    (tmp_path / "here" / "ca.pem").symlink_to(tmp_path / "there" / "ca.pem")

    places = list(named({"REQUESTS_CA_BUNDLE": str(tmp_path / "here" / "ca.pem")}))

    assert places == [tmp_path / "here", tmp_path / "there"]


def test_a_variable_that_names_no_file_or_one_that_is_not_ours_stops_nothing(tmp_path: Path):
    told = {
        "PATH": f"{tmp_path}/bin:/usr/bin",
        "LONG": "/" + "x" * 5_000,
        "NUL": "/a\0b",
        "BESIDE_THE_CODE": str(ROOT / "pyproject.toml"),
    }

    assert list(named(told)) == [ROOT / "pyproject.toml"], "and not the directory, where secrets may lie"


@pytest.mark.parametrize(
    ("name", "value", "more"),
    [
        ("HTTPS_PROXY", "http://user:pa/ss@proxy:3128", set()),
        ("all_proxy", "::1", set()),
        ("ALL_PROXY", "socks5://proxy", {1080}),
        ("OLLAMA_API_BASE", "http://host:8080", {8080}),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials", {80}),
        ("NO_PROXY", "http.example.com:1", set()),
    ],
)
def test_addresses_in_the_environment_are_reached_and_those_that_are_none_stop_nothing(
    name: str, value: str, more: set[int]
):
    assert ports([access()], None, [], {name: value}) == {53, 9000} | more


def test_of_the_installation_only_code_is_read():
    places = list(read_from({}))

    assert {ROOT / "libs", ROOT / "services"} <= set(places)
    assert ROOT not in places
    assert not any(ROOT.is_relative_to(one) for one in places), "or all of it could be read"
    assert all(one.exists() for one in places)


def test_an_engine_that_cannot_be_kept_in_runs_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(confinement, "supported", lambda: 0)

    assert confine(Confinement(mode="auto"), {}) == 0
    assert confine(Confinement(mode="off"), {}) == 0
    with pytest.raises(Unconfined, match="no Landlock"):
        confine(Confinement(mode="required"), {})


def test_where_the_system_refuses_the_calls_the_engine_runs_unconfined_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
):
    """As a seccomp profile does that knows the version's call and not the others."""

    class LandlockError(OSError):
        pass

    def refused(_: object) -> None:
        raise LandlockError(1, "Operation not permitted")

    monkeypatch.setitem(sys.modules, "landlockpy", SimpleNamespace(LandlockError=LandlockError))
    monkeypatch.setattr(confinement, "supported", lambda: 7)
    monkeypatch.setattr(confinement, "_give_up", refused)

    assert confine(Confinement(mode="auto"), {}) == 0
    with pytest.raises(Unconfined, match="refuses to confine"):
        confine(Confinement(mode="required"), {})


def test_other_systems_have_no_landlock_and_older_kernels_know_no_ports(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")

    assert supported() == 0
    assert [narrows(abi) for abi in (0, 3, 4, 7)] == [False, False, True, True]
