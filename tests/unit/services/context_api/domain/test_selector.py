from __future__ import annotations

import pytest

from services.context_api.domain.errors import BadSelector
from services.context_api.domain.selector import parse_selector

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "API-BR-CAPI-005")

LABELS = {"app": "api", "app.kubernetes.io/name": "api", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=api", True),
        ("app==api", True),
        ("app = api", True),
        ("app.kubernetes.io/name=api,app=api", True),
        ("empty=", True),
        ("app=web", False),
        ("gone=x", False),
        ("app!=web", True),
        ("app!=api", False),
        ("gone!=x", True),
        ("app", True),
        ("gone", False),
        ("!gone", True),
        ("!app", False),
    ],
)
def test_a_selector_means_what_it_means_to_kubectl(text: str, matches: bool):
    assert parse_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    "text",
    ["=", "a=b=c", "a b", ",", "a=1,", "a in (x)", "-a=b", "a=-b", "../x=y", "a=b\nc", "A/b/c=d", "a=" + "x" * 64, "é=a",
     ",".join("a=b" for _ in range(33))],
)  # fmt: skip
def test_what_is_no_selector_is_refused_and_named(text: str):
    with pytest.raises(BadSelector, match=r"query\.labels"):
        parse_selector(text)


def test_one_meaning_has_one_spelling():
    assert str(parse_selector("b==2, a=1,a=1,!c,d,e!=5")) == str(parse_selector("e != 5,d,! c,a=1,b=2"))
    assert str(parse_selector("a=1")) != str(parse_selector("a!=1"))


def test_older_callers_get_the_equalities_back():
    assert parse_selector("a=1,b!=2,c,d==4").equalities == {"a": "1", "d": "4"}
