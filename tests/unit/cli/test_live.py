from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cli import live
from cli.live import BadOption, NotRead, Wanted, duration, kubeconfig_of, scope_of

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400), ("1h30m", 5400)]
)
def test_a_length_of_time_is_read_as_people_write_it(text: str, seconds: int):
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "1.5h", "2 h", "1w", "0s", "1h?", "9999999h", "٣h"])
def test_what_is_no_length_of_time_is_refused_by_name(text: str):
    with pytest.raises(BadOption, match="--since"):
        duration(text)


@pytest.mark.parametrize("name", ["", "Shop", "a/b", "../x", "a_b", "-a", "x" * 64])
def test_what_is_no_namespace_is_refused_by_name(name: str):
    with pytest.raises(BadOption, match="--namespace"):
        scope_of([name], None)


def test_a_namespace_named_twice_is_read_once():
    assert scope_of(["b", "a", "b"], "1h").namespaces == ("b", "a")


def test_the_option_wins_over_the_environment_and_that_over_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "/from/env")
    assert (kubeconfig_of("/given"), kubeconfig_of(None)) == ("/given", "/from/env")

    monkeypatch.delenv("KUBECONFIG")
    assert kubeconfig_of(None) == str(tmp_path / ".kube" / "config")


def test_in_a_pod_without_a_kubeconfig_the_service_account_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    token = tmp_path / "token"
    token.write_text("t")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(live, "SERVICE_ACCOUNT", token)

    assert kubeconfig_of(None) is None


def test_matchers_that_are_none_are_refused_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EVIDENCE_PROMETHEUS_MATCHERS", 'cluster=~".*"')

    with pytest.raises(BadOption, match="EVIDENCE_PROMETHEUS_MATCHERS"):
        live.read(Wanted(prometheus="http://127.0.0.1:9"))


def test_a_prometheus_that_is_no_url_is_refused_before_anything_is_asked():
    with pytest.raises(BadOption, match="--prometheus"):
        live.read(Wanted(prometheus="prom:9090"))


def test_a_kubeconfig_that_is_not_there_says_how_to_choose_another():
    with pytest.raises(NotRead, match=r"/nowhere: no such kubeconfig.*--kubeconfig"):
        live.read(Wanted(kubeconfig="/nowhere"))
