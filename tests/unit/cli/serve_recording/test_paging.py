from __future__ import annotations

from base64 import urlsafe_b64encode

import orjson
import pytest

from cli.serve_recording import paging
from cli.serve_recording.statuses import Refused

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")


@pytest.mark.parametrize("place", [("", "node-1"), ("shop", "api-0"), ("shop", 'ü"&=/%')])
def test_a_place_comes_back_as_it_went(place: tuple[str, str]):
    token = paging.encode(place, "r1")

    assert paging.decode(token, "r1") == place
    assert token.replace("-", "").replace("_", "").isalnum()


def test_a_place_of_another_recording_has_expired():
    with pytest.raises(Refused) as refused:
        paging.decode(paging.encode(("a", "b"), "r1"), "r2")

    assert (refused.value.code, refused.value.reason) == (410, "Expired")
    assert refused.value.message == paging.TOO_OLD


def _token(content: object) -> str:
    return urlsafe_b64encode(orjson.dumps(content)).decode()


@pytest.mark.parametrize(
    "token",
    ["x", "é", "!!!!", "=", "AAAA", _token([]), _token({}), _token({"v": 2, "of": "r1", "after": ["", ""]}),
     _token({"v": 1, "of": "r1", "after": ["a"]}), _token({"v": 1, "of": "r1", "after": ["a", 1]})],
)  # fmt: skip
def test_what_is_no_place_is_refused(token: str):
    with pytest.raises(Refused) as refused:
        paging.decode(token, "r1")

    assert refused.value.code == 400
