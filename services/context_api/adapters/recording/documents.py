"""Turn a file's bytes into documents: plain mappings, lists, texts and numbers.

Decides what is refused before and after parsing; what a document means is `objects`' concern.
Why this YAML library, and what is done around its sharp edges: docs/decisions/0008-yaml-library.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson
import yaml_rs

from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import Limits

_UTF16 = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}

# go-yaml prints these texts without quotes, because to it they are no numbers; yaml-rs reads numbers: `1234e567`
# (a commit) as infinity, `_1` as 1, hexadecimals of more than 64 bits. Found by comparing 17,675 values printed by
# sigs.k8s.io/yaml; with the sign below all of them come back as they were.
_END = r"(?=:[ \r\n]|[\r\n]|\Z)"
_NOT_NUMBERS = re.compile(
    rf"([ \n])(?=(?:[-+0-9.eE]*_[-+0-9.eE_]*|[-+]?[0-9.]+[eE]\+?[0-9]{{3,}}|0[xX][0-9a-fA-F]{{17,}}){_END})"
)
# A file without any of these needs no closer look, which takes three times as long.
_PERHAPS = tuple(
    re.compile(pattern + _END)
    for pattern in (r"[0-9.][eE]\+?[0-9]{3,}", r"_[-+0-9.eE]*+", "0[xX][0-9a-fA-F]{17,}+")
)
_SPARE_SIGNS = [chr(code) for code in range(0xE000, 0xE020)]


def parse(raw: bytes, *, is_json: bool, limits: Limits) -> Sequence[object]:
    """Every document of a file; a list at the top counts as its elements.

    Raises:
        NotUsable: the bytes are no text, no YAML or JSON, or beyond the limits.
    """
    if is_json or raw.lstrip(b" \t\r\n")[:1] in (b"{", b"["):
        try:
            documents = _from_json(raw)
        except NotUsable:
            if is_json:
                raise
            documents = _from_yaml(_text(raw), limits)
    else:
        documents = _from_yaml(_text(raw), limits)
    return documents if isinstance(documents, list) else [documents]


def nodes_in(raw: bytes, *, is_json: bool) -> int:
    """How many mappings, lists and values the bytes hold at most; costs a few scans in C, no parsing."""
    signs = sum(raw.count(sign) for sign in (b",", b"[", b"{"))
    return signs if is_json else signs + raw.count(b"\n") + raw.count(b"- ") + raw.count(b"? ")


def _from_json(raw: bytes) -> object:
    try:
        return orjson.loads(_text(raw) if raw[:2] in _UTF16 or raw[:3] == b"\xef\xbb\xbf" else raw)
    except orjson.JSONDecodeError as error:
        raise NotUsable(f"is no JSON: {error.msg}, line {error.lineno}") from error


def _text(raw: bytes) -> str:
    if b"\0" in raw and raw[:2] not in _UTF16:
        raise NotUsable("is no text: it holds NUL bytes")
    try:
        return raw.decode(_UTF16.get(raw[:2], "utf-8-sig"))
    except UnicodeDecodeError as error:
        raise NotUsable(f"is no UTF-8 text: byte {error.start}") from error


def _from_yaml(text: str, limits: Limits) -> object:
    _refuse_deep_nesting(text, limits.indent_columns)
    guarded, sign = _guard_texts(text)
    repeats = min(limits.alias_events, limits.alias_bytes // max(1, len(text)))
    try:
        documents = yaml_rs.loads(
            guarded,
            parse_datetime=False,
            alias_limits=yaml_rs.AliasLimits(
                max_total_replayed_events=repeats,
                max_replay_stack_depth=16,
                max_alias_expansions_per_anchor=repeats,
            ),
        )
    # TypeError: a mapping as a mapping's key, which yaml-rs leaves to `dict` to refuse.
    except (yaml_rs.YAMLDecodeError, TypeError) as error:
        raise NotUsable(f"is no YAML we read: {_reason(error)}") from error
    return documents if sign is None else _without(documents, sign)


def _refuse_deep_nesting(text: str, columns: int) -> None:
    """yaml-rs bounds `[[[[` itself, but follows `- - - -` and indentation until the process dies (SIGSEGV)."""
    nested = re.compile(rf"[\r\n][ \t?:-]{{{columns}}}" if "\r" in text else rf"\n[ \t?:-]{{{columns}}}")
    for start in (0, *(match.start() + 1 for match in nested.finditer(text))):
        # Only the rare suspect is looked at closely: a ruler of 600 dashes in a ConfigMap nests nothing.
        if re.compile(rf"(?:[ \t]|[-?:](?=[ \t\r\n])){{{columns}}}").match(text, start):
            raise NotUsable(f"is nested by more than {columns} columns")


def _guard_texts(text: str) -> tuple[str, str | None]:
    """Put a sign nobody uses before texts that would be read as numbers, so that they stay texts."""
    if not any(pattern.search(text) for pattern in _PERHAPS):
        return text, None
    sign = next((sign for sign in _SPARE_SIGNS if sign not in text), None)
    if sign is None:
        raise NotUsable("uses every private character we could mark numbers with")
    return _NOT_NUMBERS.sub(rf"\1{sign}", f"\n{text}")[1:], sign


def _without(documents: object, sign: str) -> object:
    try:
        raw = orjson.dumps(documents, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:  # a list or mapping as a mapping's key: YAML knows them, JSON does not
        raise NotUsable("has a key that is no text") from error
    return orjson.loads(raw.replace(sign.encode(), b""))


def _reason(error: Exception) -> str:
    """The parser's first and last line: those between quote the file, which may be a secret."""
    lines = str(error).splitlines() or [type(error).__name__]
    return " ".join(dict.fromkeys((lines[0], lines[-1])))[:200]
