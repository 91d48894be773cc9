"""YAML as kubectl prints it and as attackers write it."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.context_api.adapters.recording.documents import nodes_in, parse
from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import Limits
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "INF-BR-REL-008", "HAPI-073")

PRINTED = ROOT / "tests" / "fixtures" / "yaml" / "printed-by-sigs-k8s-yaml.jsonl"
BOMB = "\n".join(
    [
        'a: &a ["lol"]',
        *(f"{c}: &{c} [{','.join([f'*{b}'] * 9)}]" for b, c in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
)
"""The classic: under 300 bytes, 9^8 elements."""


def yaml(text: str, limits: Limits | None = None) -> list[object]:
    return list(parse(text.encode(), is_json=False, limits=limits or Limits()))


def refusal(text: str | bytes, *, is_json: bool = False) -> str:
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(NotUsable) as refused:
        parse(raw, is_json=is_json, limits=Limits())
    return refused.value.reason


def test_every_value_kubectl_prints_comes_back_as_it_was():
    rows = [json.loads(line) for line in PRINTED.read_text("utf-8").splitlines()]

    wrong = [row["yaml"] for row in rows if yaml(row["yaml"]) != as_elements(row["value"])]

    assert len(rows) > 700
    assert wrong == []


def as_elements(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('a: "yes"', "yes"),
        ("a: yes", "yes"),
        ("a: true", True),
        ("a: 2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("a: 2026-01-02", "2026-01-02"),
        ("a: 9223372036854775807", 9223372036854775807),
        ("a: 18446744073709551615", 18446744073709551615),
        ('a: "0777"', "0777"),
        ("a: 1e3", 1000.0),
        ("a: 1234e567", "1234e567"),
        ("a: 1_000", "1_000"),
        ("a: |\n  x\n   y\n\n  z\n", "x\n y\n\nz\n"),
        ("a: |-\n  commit 1234e567\n  _1\n", "commit 1234e567\n_1"),
        ("a: >\n  one\n  two\n", "one two\n"),
        ("a: ~", None),
        ("a:\n- 1\n- b: 2\n", [1, {"b": 2}]),
        ('a: {"b": [1, 2]}', {"b": [1, 2]}),
    ],
)
def test_a_value_means_what_it_means_to_kubectl(text: str, value: object):
    assert yaml(text) == [{"a": value}]


def test_documents_of_a_stream_come_in_order():
    assert yaml("a: 1\n---\nb: 2\n...\n---\nc: 3\n") == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_a_list_at_the_top_counts_as_its_elements():
    assert yaml("- a: 1\n- b: 2\n") == [{"a": 1}, {"b": 2}]


def test_json_in_a_yaml_file_is_read():
    assert yaml('{"a": [1, {"b": null}]}') == [{"a": [1, {"b": None}]}]


def test_flow_style_that_is_no_json_is_read_as_yaml():
    assert yaml("{a: [1, {b: null}]}") == [{"a": [1, {"b": None}]}]


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    assert list(parse(b"\xef\xbb\xbfa: 1\n", is_json=False, limits=Limits())) == [{"a": 1}]


def test_utf16_as_powershell_redirects_it_is_read():
    assert list(parse("a: é\n".encode("utf-16"), is_json=False, limits=Limits())) == [{"a": "é"}]
    assert list(parse('{"a": 1}'.encode("utf-16"), is_json=True, limits=Limits())) == [{"a": 1}]


def test_the_bomb_is_refused_at_once():
    assert len(BOMB) < 400
    start = time.process_time()

    assert "alias" in refusal(BOMB)
    assert time.process_time() - start < 0.05


def test_a_few_aliases_are_followed():
    assert yaml("a: &x {p: 1}\nb: *x\nc: [*x, *x]\n") == [
        {"a": {"p": 1}, "b": {"p": 1}, "c": [{"p": 1}, {"p": 1}]}
    ]


def test_aliases_may_not_multiply_a_large_text():
    large = f"a: &x {'x' * 1_000_000}\nb:\n" + "- *x\n" * 200

    assert "alias" in refusal(large)


def test_an_anchor_inside_itself_does_not_loop():
    yaml("a: &a [*a]\n")


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[" * 100_000 + "]" * 100_000, "{a: " * 100_000, '{"a":' * 100_000],
    ids=["open", "closed", "flow-map", "json"],
)
def test_a_hundred_thousand_brackets_are_refused(text: str):
    assert refusal(text)


@pytest.mark.parametrize("step", ["- ", "? ", ": ", "- ? ", "-\t"])
def test_compact_nesting_is_refused_before_it_uses_up_the_stack(step: str):
    """The parser dies of these with SIGSEGV when they reach it."""
    assert "nested" in refusal(step * 100_000 + "x")
    assert "nested" in refusal(f"a: 1\nb:\n{step * 100_000}x")
    assert "nested" in refusal(f"a: 1\r{step * 100_000}x")


def test_nesting_by_indentation_is_refused_beyond_the_limit():
    assert "nested" in refusal("\n".join(" " * depth + "a:" for depth in range(5_000)))


def test_nesting_within_the_limit_is_read():
    depth = Limits().indent_columns - 2

    value = yaml("\n".join(" " * level + "a:" for level in range(depth)))[0]

    for _ in range(depth - 1):
        assert isinstance(value, dict)
        value = value["a"]
    assert value == {"a": None}


def test_a_ruler_of_dashes_in_a_text_is_no_nesting():
    text = f"a: |\n  {'-' * 600}\n  b\n"

    assert yaml(text) == [{"a": f"{'-' * 600}\nb\n"}]


def test_tags_build_nothing():
    assert yaml('a: !!python/object/apply:os.system ["id"]\nb: !x y\n') == [{"a": ["id"], "b": "y"}]


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"a: x\0y\n", "NUL"),
        (b'a: "x\0y"\n', "NUL"),
        (b"\x80\x81\xff\xfe", "UTF-8"),
        (bytes(range(1, 256)) * 10, "UTF-8"),
        (b"a: 1\na: 2\n", "duplicate"),
        (b"a: [1, 2\n", "YAML"),
        (b"a:\n\tb: 1\n", "tabs"),
        (b"? a:\n    b: 1\n: 2\n", "unhashable"),
    ],
)
def test_what_is_no_yaml_is_refused_with_a_word(raw: bytes, word: str):
    assert word in refusal(raw)


@pytest.mark.parametrize("raw", [b'{"a": 1', b"", b"{'a': 1}", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_refused(raw: bytes):
    assert refusal(raw, is_json=True).startswith("is no JSON")


def test_a_refusal_does_not_quote_the_file():
    reason = refusal("kind: Secret\ndata:\n  password: hunter2\n password: hunter2\n")

    assert "hunter2" not in reason
    assert "line" in reason


def test_nodes_are_never_counted_too_low_where_memory_is_at_stake():
    assert nodes_in(b"[[],[],[]]", is_json=True) >= 3
    assert nodes_in(b"a:\n- - - x\n", is_json=False) >= 3
    assert nodes_in(b"- []\n" * 100, is_json=False) >= 100


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "- ",
                "? ",
                ": ",
                "a",
                "a: ",
                "\n",
                "\n  ",
                "[",
                "]",
                "{",
                "}",
                ",",
                '"',
                "'",
                "|",
                ">",
                "&a ",
                "*a",
                "!t ",
                "---\n",
                "...\n",
                "%YAML 1.2\n",
                "#",
                "\t",
                "\r",
                "\ufeff",
                "<<: ",
                "_1",
                "1e999",
                "\ue000",
            ]
        ),
        max_size=80,
    )
)
def test_no_text_raises_anything_but_a_refusal(pieces: list[str]):
    with suppress(NotUsable):
        parse("".join(pieces).encode(), is_json=False, limits=Limits())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_raise_anything_but_a_refusal(raw: bytes, is_json: bool):
    with suppress(NotUsable):
        parse(raw, is_json=is_json, limits=Limits())
