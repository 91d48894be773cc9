from __future__ import annotations

from dataclasses import replace

import pytest

from services.context_api.adapters.recording.documents import parse
from services.context_api.adapters.recording.limits import Limits
from services.context_api.adapters.recording.write import about, safe
from services.context_api.domain.snapshot import NotRead
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


@pytest.mark.parametrize("name", ["pod", "deployment.apps", "shop", "_cluster", "A-b_c.9"])
def test_an_honest_name_is_its_own_file_name(name: str):
    assert safe(name) == name


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc", "..", ".", ".hidden", "", "a/b", "a\\b", "a\0b", "-\n", "x" * 300, "\udcff"],
)
def test_no_name_leaves_its_directory_or_hides_in_it(name: str):
    made = safe(name)

    assert not {"/", "\\", "\0", "\n"} & set(made)
    assert not made.startswith(".")
    assert 0 < len(made.encode()) <= 110


def test_names_that_differ_stay_different():
    assert len({safe(name) for name in ("a/b", "a\\b", "a b", "a_b", "../a_b")}) == 5


def test_snapshot_yaml_reads_as_it_was_meant():
    hostile = NotRead('pods "in" shop: #1\n- x', "no: {answer}\x1b[31m é")
    snapshot = replace(kube.snapshot(), not_read=(hostile,))

    (read,) = parse(about(snapshot, {"cluster": "eu-1: # x"}).encode(), is_json=False, limits=Limits())

    assert read == {
        "captured_at": "2026-11-18T09:30:00Z",
        "cluster": "eu-1: # x",
        "not_read": [{"what": 'pods "in" shop: #1�- x', "why": "no: {answer}�[31m é"}],
    }


def test_nothing_missed_is_an_empty_list():
    (read,) = parse(about(kube.snapshot(), {}).encode(), is_json=False, limits=Limits())

    assert read == {"captured_at": "2026-11-18T09:30:00Z", "not_read": []}
