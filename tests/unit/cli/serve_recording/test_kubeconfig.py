from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from cli.serve_recording.kubeconfig import CannotWriteKubeconfig, content, written

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")

URL = "http://127.0.0.1:8099"


def test_it_leads_to_the_recording_without_a_credential():
    read = yaml.safe_load(content(URL))

    assert read["current-context"] == read["contexts"][0]["name"] == "recording"
    assert read["clusters"] == [{"name": "recording", "cluster": {"server": URL}}]
    assert read["users"] == [{"name": "recording", "user": {}}]


def test_it_is_there_while_serving_and_its_owners_alone(tmp_path: Path):
    place = tmp_path / "config"

    with written(place, URL):
        assert place.read_text() == content(URL)
        assert stat.S_IMODE(place.stat().st_mode) == 0o600

    assert not place.exists()


def test_one_that_an_earlier_run_left_is_replaced(tmp_path: Path):
    place = tmp_path / "config"
    place.write_text(content("http://127.0.0.1:1"))

    with written(place, URL):
        assert URL in place.read_text()


@pytest.mark.parametrize("old", ["", "apiVersion: v1\nkind: Config\n"])
def test_somebodys_own_is_left_alone(tmp_path: Path, old: str):
    place = tmp_path / "config"
    place.write_text(old)

    with pytest.raises(CannotWriteKubeconfig, match="is there already"), written(place, URL):
        pass

    assert place.read_text() == old


def test_a_link_to_somebodys_own_is_not_followed(tmp_path: Path):
    (tmp_path / "own").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")

    for name in ("link", "nowhere"):
        with pytest.raises(CannotWriteKubeconfig), written(tmp_path / name, URL):
            pass
    assert (tmp_path / "own").read_text() == "mine"
    assert not (tmp_path / "gone").exists()


def test_one_that_was_replaced_meanwhile_is_kept(tmp_path: Path):
    place = tmp_path / "config"

    with written(place, URL):
        place.write_text("mine")

    assert place.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    with (
        pytest.raises(CannotWriteKubeconfig, match=r"gone/config: no such file"),
        written(tmp_path / "gone" / "config", URL),
    ):
        pass


def test_without_a_place_nothing_is_written():
    with written(None, URL):
        pass
