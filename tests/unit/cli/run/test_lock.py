"""One run per state folder."""

import os
import stat

import pytest

from cli.run.lock import AlreadyRunning, only_one

pytestmark = pytest.mark.requirement("HAPI-055")


def test_a_second_run_is_refused_and_told_who_holds_the_folder_and_what_to_do(tmp_path):
    with only_one(tmp_path), pytest.raises(AlreadyRunning) as refused, only_one(tmp_path):
        pytest.fail("two runs held one folder")

    assert f"pid {os.getpid()}" in str(refused.value)
    assert str(tmp_path) in str(refused.value)
    assert "KUBERNAUT_STATE" in str(refused.value)


def test_the_folder_is_free_again_when_its_run_has_ended(tmp_path):
    with only_one(tmp_path):
        pass

    with only_one(tmp_path):
        assert (tmp_path / "run.lock").read_text() == str(os.getpid())


def test_the_folder_is_free_again_when_its_run_has_failed(tmp_path):
    with pytest.raises(RuntimeError), only_one(tmp_path):
        raise RuntimeError

    with only_one(tmp_path):
        pass


def test_a_pid_left_by_a_longer_one_is_overwritten_whole(tmp_path):
    (tmp_path / "run.lock").write_text("123456789012")

    with only_one(tmp_path):
        assert (tmp_path / "run.lock").read_text() == str(os.getpid())


def test_two_folders_are_two_runs(tmp_path):
    with only_one(tmp_path / "one"), only_one(tmp_path / "two"):
        pass


def test_a_new_folder_is_its_owners_alone(tmp_path):
    with only_one(tmp_path / "deep" / "state"):
        assert stat.S_IMODE((tmp_path / "deep" / "state").stat().st_mode) == 0o700
