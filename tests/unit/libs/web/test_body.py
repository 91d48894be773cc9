"""Bodies: read to a limit, and only JSON that everything behind the door can hold."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.web.body import MAX_DEPTH, BodyTooLarge, ClientGone, MalformedJson, inspect, replay, whole

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "HAPI-073", "HAPI-104", "INT-BR-WH-024")


def sending(*messages: dict):
    waiting = list(messages)

    async def receive():
        return waiting.pop(0)

    return receive


def part(body: bytes, more: bool = False) -> dict:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_parts_is_put_together():
    assert await whole(sending(part(b"ab", True), part(b"", True), part(b"c")), limit=3) == b"abc"


async def test_a_body_is_given_up_at_the_first_byte_above_the_limit():
    receive = sending(part(b"abc", True), part(b"d", True))

    with pytest.raises(BodyTooLarge) as refused:
        await whole(receive, limit=3)

    assert refused.value.limit == 3


async def test_a_client_that_goes_away_leaves_nothing_to_work_with():
    with pytest.raises(ClientGone):
        await whole(sending(part(b"ab", True), {"type": "http.disconnect"}), limit=10)


async def test_a_replayed_body_comes_once_and_then_what_really_follows():
    receive = replay(b"abc", sending({"type": "http.disconnect"}))

    assert await receive() == part(b"abc")
    assert await receive() == {"type": "http.disconnect"}


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"[]" + b"}" * (depth - 1)


def refusal(body: bytes) -> str:
    with pytest.raises(MalformedJson) as refused:
        inspect(body)
    return str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1,]",
        b"nan",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\udc00\\ud800"}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-32-le"),
        b'{"a": "\x00"}',
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda body: body[:12].decode("latin-1").encode("unicode_escape").decode() + f"…{len(body)}",
)
def test_what_is_not_json_in_utf_8_is_refused(body):
    refusal(body)


@pytest.mark.parametrize(
    "body", [b'"\\u0000"', b'{"a\\u0000": 1}', b'["\\\\\\u0000"]', b'["\\\\\\\\\\u0000"]']
)
def test_u_0000_is_refused_wherever_it_stands(body):
    assert "U+0000" in refusal(body)


@pytest.mark.parametrize("body", [b'"\\\\u0000"', b'"\\\\\\\\u0000"', b'"u0000"'])
def test_a_text_that_only_looks_like_an_escape_of_u_0000_is_not(body):
    inspect(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 2}',
        b'[{"a": {"b": 1, "b": 2}}]',
        b'{"": 1, "": 2}',
        b'{"a\\"b": 1, "a\\"b": 2}',
        b'{"a:": ":", "a:": ":"}',
        b'{"a": {"b": 1}, "a": null}',
    ],
)
def test_a_key_that_stands_twice_is_refused(body):
    assert "twice" in refusal(body)


@given(
    st.recursive(
        st.none() | st.text(alphabet=':"\\{}a', max_size=8) | st.integers(-(2**53), 2**53),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(alphabet=':"\\{}a', max_size=8), inner, max_size=4)
        ),
    )
)
def test_what_has_each_key_once_is_taken_whatever_its_texts_hold(document):
    inspect(orjson.dumps(document))


def test_as_deep_as_allowed_is_allowed_and_one_more_is_not():
    inspect(nested(MAX_DEPTH))

    assert "nested deeper" in refusal(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    "text", ["[" * 500, "{{ $labels.pod }}" * 40, '\\"' + "[" * 500, "\\\\", '["\\\\"]' * 99, "}" * 500]
)
def test_brackets_inside_texts_are_no_nesting(text):
    inspect(orjson.dumps({"texts": [text] * 3, "rows": [[]] * 100}))


def test_brackets_that_close_inside_a_text_hide_no_nesting():
    hidden = b'{"a":["}]}]}]",' * 40 + b"1" + b"]}" * 40

    assert "nested deeper" in refusal(hidden)


def test_many_brackets_side_by_side_are_no_nesting():
    inspect(orjson.dumps([{"labels": {"a": ["b"]}}] * 10_000))


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


texts = st.text(alphabet='[]{}"\\a', max_size=20)


@given(
    document=st.recursive(
        texts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3)
    ),
    wrapping=st.integers(min_value=55, max_value=70),
)
def test_the_depth_is_that_of_the_document_whatever_its_texts_hold(document, wrapping):
    for _ in range(wrapping):
        document = [document]
    body = orjson.dumps(document)

    if depth_of(document) <= MAX_DEPTH:
        inspect(body)
    else:
        refusal(body)
