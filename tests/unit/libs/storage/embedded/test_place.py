from __future__ import annotations

from pathlib import Path

import pytest

from libs.storage.embedded import place

pytestmark = pytest.mark.requirement("INF-BR-REL-004")


def test_the_socket_lies_beside_the_data_where_its_address_fits():
    assert place.socket_folder(Path("/srv/kubernaut"), "abc", runtime=None) == Path("/srv/kubernaut/run")


def test_a_long_path_moves_the_socket_to_the_user_s_runtime_folder():
    home = Path("/home") / ("x" * 120)

    assert place.socket_folder(home, "abc", runtime="/run/user/7") == Path("/run/user/7/kubernaut-abc")


def test_without_a_short_runtime_folder_it_moves_to_tmp_under_a_name_of_our_own():
    home = Path("/home") / ("x" * 120)

    for runtime in (None, "/run/" + "y" * 120):
        folder = place.socket_folder(home, "abc", runtime=runtime)
        assert folder.parent == Path("/tmp")
        assert folder.name.endswith("-abc")


def test_no_address_is_longer_than_a_socket_s_may_be():
    for length in range(60, 140):
        folder = place.socket_folder(Path("/" + "z" * length), "0123456789ab", runtime=None)
        assert len(str(folder / place.SOCKET_NAME)) <= place.SOCKET_PATH_BYTES


def test_bytes_are_counted_not_letters():
    home = Path("/home/" + "ü" * 45)

    assert len(str(home / "run" / place.SOCKET_NAME)) <= place.SOCKET_PATH_BYTES
    assert place.socket_folder(home, "abc", runtime=None).parent == Path("/tmp")
