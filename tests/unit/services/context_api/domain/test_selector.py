from __future__ import annotations

import time

import pytest

from services.context_api.domain.errors import BadSelector
from services.context_api.domain.selector import parse_selector

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "API-BR-CAPI-005")

LABELS = {"app": "api", "app.kubernetes.io/name": "api", "empty": "", "size": "7"}


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
        ("app in (api)", True),
        ("app in (web, api),size", True),
        ("app in(web)", False),
        ("gone in (x)", False),
        ("empty in ()", True),
        ("app notin (web,api)", False),
        ("app notin (web)", True),
        ("gone notin (x)", True),
        ("size>6", True),
        ("size > 7", False),
        ("size<8", True),
        ("app>1", False),
        ("gone<1", False),
    ],
)
def test_a_selector_means_what_it_means_to_kubectl(text: str, matches: bool):
    assert parse_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    "text",
    ["=", "a=b=c", "a b", ",", "a=1,", "a in x", "a in (x", "a in (x y)", "a in (-x)", "ain (x)", "a>b", "a>", "-a=b", "a=-b", "../x=y", "a=b\nc", "A/b/c=d", "a=" + "x" * 64, "é=a",
     "a\u0085", "\u00a0a", "a\u2003=b", "a\vin (b)", "a in (b\u2028)",
     ",".join("a=b" for _ in range(33))],
)  # fmt: skip
def test_what_is_no_selector_is_refused_and_named(text: str):
    with pytest.raises(BadSelector, match=r"query\.labels"):
        parse_selector(text)


@pytest.mark.parametrize(
    "text",
    ["a in (" + " " * 60_000, "a in (" + "x," * 30_000, "a" + " " * 60_000 + "b", "a=" + "b-" * 30_000],
)
def test_a_long_selector_is_refused_in_no_time(text: str):
    began = time.perf_counter()
    with pytest.raises(BadSelector):
        parse_selector(text)

    assert time.perf_counter() - began < 2  # were it quadratic, minutes


def test_one_meaning_has_one_spelling():
    assert str(parse_selector("b==2, a=1,a=1,!c,d,e!=5")) == str(parse_selector("e != 5,d,! c,a=1,b=2"))
    assert str(parse_selector("a=1")) != str(parse_selector("a!=1"))
    assert str(parse_selector("a in (2,1)")) == str(parse_selector("a in ( 1, 2,1 )"))
    assert str(parse_selector("a in (1)")) == str(parse_selector("a=1"))
    assert (
        len({str(parse_selector(f"a{rest}")) for rest in (" in (1,2)", " notin (1,2)", ">1", "<1", "", "=1")})
        == 6
    )


def test_older_callers_get_the_equalities_back():
    assert parse_selector("a=1,b!=2,c,d==4,e in (5),f in (6,7)").equalities == {"a": "1", "d": "4", "e": "5"}
