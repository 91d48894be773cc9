"""Take the values out of Kubernetes Secrets that somebody pasted, as YAML or JSON; names and keys stay.

Only where a document says `kind: Secret`: a ConfigMap's data is what people need to see.
"""

from __future__ import annotations

from collections.abc import Iterator

import re2

_DOCUMENT = re2.compile(r"(?m)^---[ \t]*$")
_IS_SECRET = re2.compile(
    r"(?m)^[ \t-]*[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?Secret[\"']?[ \t,}]*$|\"kind\"[ \t]*:[ \t]*\"Secret\""
)
_DATA = re2.compile(r"([ \t-]*)(?:data|stringData):[ \t]*")
_ENTRY = re2.compile(r"([ \t]*[\"']?[\w.-]+[\"']?:[ \t]*)\S.*")
_JSON_DATA = re2.compile(r"\"(?:data|stringData)\"\s*:\s*\{[^{}]*\}")
_JSON_VALUE = re2.compile(r"(:\s*)\"[^\"]*\"")


def without_secret_data(text: str, gone: str) -> str:
    """The same text; each value below `data` and `stringData` of a Secret replaced by `gone`."""
    if not _IS_SECRET.search(text):
        return text
    parts = _DOCUMENT.split(text)
    # Separators are put back as they are mostly written; a stray space behind one is not worth keeping.
    return "---".join(_document(part, gone) if _IS_SECRET.search(part) else part for part in parts)


def _document(text: str, gone: str) -> str:
    as_json = _JSON_DATA.sub(lambda match: _JSON_VALUE.sub(rf'\1"{gone}"', match.group(0)), text)
    return "\n".join(_lines(as_json.split("\n"), gone))


def _lines(lines: list[str], gone: str) -> Iterator[str]:
    below: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip(" \t"))
        if below is not None and line.strip() and indent > below:
            yield _value(line, indent, gone)
            continue
        if line.strip():
            opened = _DATA.fullmatch(line)
            below = len(opened.group(1)) if opened else None
        yield line


def _value(line: str, indent: int, gone: str) -> str:
    entry = _ENTRY.fullmatch(line)
    if entry:
        return f"{entry.group(1)}{gone}"
    # A key alone opens a block of text; its lines, and anything else that has no key, go as a whole.
    return line if line.rstrip().endswith(":") else f"{line[:indent]}{gone}"
