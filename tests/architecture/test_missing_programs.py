from __future__ import annotations

import pytest

from tests.support.programs import program, require
from tests.support.tmpfs import MountRefused, small_disk, without_disk

pytestmark = pytest.mark.requirement("INF-BR-REL-012")

ABSENT = "kubernaut-no-such-program"


def test_a_missing_program_skips_the_test_by_name():
    with pytest.raises(pytest.skip.Exception, match=ABSENT):
        require(["sh", ABSENT], in_ci=False)


def test_in_ci_a_missing_program_is_a_failure():
    with pytest.raises(pytest.fail.Exception, match=ABSENT):
        require([ABSENT], in_ci=True)


def test_what_is_there_is_neither():
    require(["sh"], in_ci=True)


def test_where_nothing_may_be_mounted_the_test_is_skipped_by_name_and_fails_in_ci():
    refused = MountRefused("only root may mount a tmpfs")

    with pytest.raises(pytest.skip.Exception, match="small disk: only root"):
        without_disk(refused, in_ci=False)
    with pytest.raises(pytest.fail.Exception, match="small disk: only root"):
        without_disk(refused, in_ci=True)


def test_nobody_but_root_tries_to_mount(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(MountRefused, match="only root"), small_disk(tmp_path, megabytes=1):
        pass


def test_another_build_of_a_program_is_used_where_one_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBERNAUT_PROMETHEUS", "/bin/sh")

    assert program("prometheus") == "/bin/sh"


def test_a_named_build_that_is_not_there_is_missing_whatever_is_on_the_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBERNAUT_ALERTMANAGER", f"/bin/{ABSENT}")

    with pytest.raises(pytest.skip.Exception, match="prometheus-alertmanager"):
        require(["prometheus-alertmanager"], in_ci=False)
