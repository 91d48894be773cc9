"""A request is sent on to the place that an operator named, and to no other."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from services.holmesgpt_api.domain.elsewhere import elsewhere
from services.holmesgpt_api.domain.errors import PlatformsOwn

pytestmark = pytest.mark.requirement("HAPI-045", "HAPI-067")

PLATFORM = "https://platform.example/"


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        (b"/auth/login", b"", "https://platform.example/auth/login"),
        (b"/auth", b"", "https://platform.example/auth"),
        (
            b"/auth/users/a%20b/roles",
            b"page=2&q=%2F",
            "https://platform.example/auth/users/a%20b/roles?page=2&q=%2F",
        ),
        (b"/auth//evil.example/", b"", "https://platform.example/auth//evil.example/"),
    ],
)
def test_path_and_query_stay_as_they_came(path: bytes, query: bytes, place: str):
    assert elsewhere(PLATFORM, path, query) == place


def test_a_base_path_goes_before():
    assert (
        elsewhere("https://one.example/platform", b"/auth/me", b"") == "https://one.example/platform/auth/me"
    )


@pytest.mark.parametrize("query", [b"", b"a\r\nSet-Cookie: b", b"\xff#@evil.example"])
@pytest.mark.parametrize(
    "path", [b"/auth/\r\nSet-Cookie: a=b", b"/auth/\\evil.example", b"/auth/@evil.example", b"/auth/\xff#x"]
)
def test_nothing_that_was_sent_names_a_host_or_ends_the_header(path: bytes, query: bytes):
    place = elsewhere(PLATFORM, path, query)

    assert urlsplit(place).netloc == "platform.example"
    assert place.isascii()
    assert place.isprintable()
    assert not set(place) & set(" \\#")


def test_without_a_place_the_setting_that_names_one_is_said():
    with pytest.raises(PlatformsOwn, match="PLATFORM_URL"):
        elsewhere(None, b"/auth/login", b"")
