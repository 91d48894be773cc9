from __future__ import annotations

from pathlib import Path

import pytest

from cli.serve_recording.greeting import GAPS_SHOWN, command, greeting
from services.context_api.domain.snapshot import NotRead
from tests.support.kube import pod, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")

URL = "http://127.0.0.1:8099"


def test_it_says_what_is_served_where_and_how_to_look():
    lines = greeting(snapshot(pod("a"), thing("Event", "e")), Path("friday"), URL, None)

    assert lines[0] == "friday: 1 objects, 1 events and 0 logs as of 2026-11-18 09:30:00 UTC"
    assert URL in lines[1]
    assert f"  kubectl --kubeconfig /dev/null --server {URL} get pods -A" in lines


def test_with_a_kubeconfig_that_is_named():
    assert command(URL, Path("my config")) == "kubectl --kubeconfig 'my config'"


def test_gaps_are_told_some_by_name_and_nothing_steers_a_terminal():
    gaps = [NotRead(f"pods in n{n}\x1b[2J", "not allowed") for n in range(GAPS_SHOWN + 2)]
    lines = greeting(snapshot(not_read=gaps), Path("x"), URL, None)

    assert f"Not recorded or not read ({GAPS_SHOWN + 2}):" in lines
    assert lines[-1] == "  … and 2 more"
    assert not any("\x1b" in line for line in lines)
