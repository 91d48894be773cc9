"""What fills a gap ends where the gap ends, whatever it is."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.domain.custom import template
from services.holmesgpt_api.domain.custom.errors import BadToolset, Unfit

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079")

PATH = template.path("/v1/hosts/{host}/by-{who}.json")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "hosts",
        "//hosts",
        "/a//b",
        "/a/../b",
        "/./a",
        "/a?b={c}",
        "/a#b",
        "/a b",
        "/a%2e%2e/b",
        "/{a",
        "/a}",
        "/{a b}",
        "/{+path}",
        "/{/path}",
        "/{}",
        "/hösts",
        "/a\\b",
        "http://evil/{a}",
    ],
)
def test_a_path_that_is_not_plainly_one_is_refused(path: str):
    with pytest.raises(BadToolset):
        template.path(path)


@pytest.mark.parametrize(
    "value",
    [
        "..",
        ".",
        "",
        "...",
        "..;jsessionid=1",
        "a/b",
        "../../admin",
        "a\\..\\b",
        "%2e%2e%2fadmin",
        "%252e",
        "a\r\nHost: evil",
        "a\nb",
        "\0",
        "\uff0e\uff0e",
        "\u2024\u2024",
        "\uff0fadmin",
        "a\u202eb",
        "a\u200b",
    ],
)
def test_a_value_that_would_lead_elsewhere_is_refused(value: str):
    with pytest.raises(Unfit):
        template.path("/hosts/{host}").filled({"host": value})


def test_a_value_of_dots_beside_other_words_stays_where_it_is():
    assert PATH.filled({"host": "web", "who": ".."}) == "/v1/hosts/web/by-...json"


def test_reserved_characters_are_encoded():
    assert template.path("/{a}").filled({"a": "x?y#z&=;:@ +ü"}) == "/x%3Fy%23z%26%3D%3B%3A%40%20%2B%C3%BC"


@given(st.text(), st.text())
def test_whatever_fills_a_path_it_is_this_path_with_these_values(host: str, who: str):
    try:
        made = PATH.filled({"host": host, "who": who})
    except Unfit:
        return
    parts = urlsplit(f"http://cmdb{made}")
    segments = parts.path.split("/")

    assert (parts.netloc, parts.query, parts.fragment) == ("cmdb", "", "")
    assert made.isascii()
    assert len(segments) == 5
    assert segments[1:3] == ["v1", "hosts"]
    assert (unquote(segments[3]), unquote(segments[4])) == (host, f"by-{who}.json")
    assert unquote(segments[3]) not in ("", ".", "..")


QUERY = template.query({"q": "{q}", "range[from]": "now-{hours}h", "fixed": "a&b"})


@given(st.text(), st.integers())
def test_whatever_fills_a_query_it_has_these_names_and_values(q: str, hours: int):
    try:
        made = QUERY.filled({"q": q, "hours": hours})
    except Unfit:
        return

    assert made.isascii()
    assert not set(made) & set("#\r\n /?")
    assert parse_qsl(made, keep_blank_values=True, strict_parsing=True) == [
        ("q", q),
        ("range[from]", f"now-{hours}h"),
        ("fixed", "a&b"),
    ]


def test_what_is_left_out_leaves_its_value_out():
    assert QUERY.filled({"hours": 2}) == "range%5Bfrom%5D=now-2h&fixed=a%26b"
    assert template.query({"sure": "{sure}"}).filled({"sure": True}) == "sure=true"


@pytest.mark.parametrize("name", ["", "a b", "a&b", "a=b", "ä", "a" * 65])
def test_a_name_in_a_query_is_plain(name: str):
    with pytest.raises(BadToolset):
        template.query({name: "x"})


BODY = {
    "reason": "{reason}",
    "hours": "{hours}",
    "say": "for {hours} h: {reason}",
    "list": ["{reason}"],
    "n": 1,
}


@given(st.text(), st.integers())
def test_a_body_keeps_its_shape_whatever_fills_it(reason: str, hours: int):
    made = json.loads(json.dumps(template.body(BODY, {"reason": reason, "hours": hours})))

    assert made == {
        "reason": reason,
        "hours": hours,
        "say": f"for {hours} h: {reason}",
        "list": [reason],
        "n": 1,
    }


def test_gaps_in_values_stay_text():
    assert template.body("{a} {b}", {"a": "{b}", "b": "c"}) == "{b} c"


def test_what_is_left_out_leaves_a_bodys_field_out():
    assert template.body(BODY, {"hours": 1}) == {"hours": 1, "list": [], "n": 1}


@pytest.mark.parametrize("body", [{"a": "{"}, ["{a b}"], {"a": {"b": "}}"}}])
def test_a_brace_that_is_no_gap_is_refused_in_a_body(body: Any):
    with pytest.raises(BadToolset):
        template.names_in(body)
