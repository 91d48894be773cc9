"""Take the values out of Kubernetes Secrets that somebody pasted, as YAML or JSON; names and keys stay.

Only where a document says `kind: Secret`: a ConfigMap's data is what people need to see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import re2

Hide = Callable[[str], str]
"""What stands in a secret's place."""

_DOCUMENT = re2.compile(r"(?m)^---[ \t]*$")
_IS_SECRET = re2.compile(
    r"(?m)^[ \t-]*[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?Secret[\"']?[ \t,}]*$|\"kind\"[ \t]*:[ \t]*\"Secret\""
)
_DATA = re2.compile(r"([ \t-]*)(?:data|stringData):[ \t]*")
_ENTRY = re2.compile(r"([ \t]*[\"']?[\w.-]+[\"']?:[ \t]*)(\S.*)")
_JSON_DATA = re2.compile(r"\"(?:data|stringData)\"\s*:\s*\{[^{}]*\}")
_JSON_VALUE = re2.compile(r"(:\s*)\"([^\"]*)\"")


def without_secret_data(text: str, hide: Hide) -> str:
    """The same text; each value below `data` and `stringData` of a Secret hidden."""
    if not _IS_SECRET.search(text):
        return text
    parts = _DOCUMENT.split(text)
    # Separators are put back as they are mostly written; a stray space behind one is not worth keeping.
    return "---".join(_document(part, hide) if _IS_SECRET.search(part) else part for part in parts)


def _document(text: str, hide: Hide) -> str:
    as_json = _JSON_DATA.sub(
        lambda match: _JSON_VALUE.sub(lambda one: f'{one.group(1)}"{hide(one.group(2))}"', match.group(0)),
        text,
    )
    return "\n".join(_lines(as_json.split("\n"), hide))


def _lines(lines: list[str], hide: Hide) -> Iterator[str]:
    below: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip(" \t"))
        if below is not None and line.strip() and indent > below:
            yield _value(line, indent, hide)
            continue
        if line.strip():
            opened = _DATA.fullmatch(line)
            below = len(opened.group(1)) if opened else None
        yield line


def _value(line: str, indent: int, hide: Hide) -> str:
    entry = _ENTRY.fullmatch(line)
    if entry:
        return f"{entry.group(1)}{hide(entry.group(2))}"
    # A key alone opens a block of text; its lines, and anything else that has no key, go as a whole.
    return line if line.rstrip().endswith(":") else f"{line[:indent]}{hide(line[indent:])}"
