"""What a path and its query ask for. Pure: whether that is there is asked later."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes

from cli.serve_recording.statuses import bad_request, no_such_path

MOST_PARAMETERS = 50
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """An object, a list, or what a version serves (`plural` is empty)."""

    group: str
    version: str
    plural: str = ""
    namespace: str | None = None
    name: str = ""
    subresource: str = ""


def segments(raw_path: bytes) -> Sequence[str]:
    """The parts of a path, decoded each for itself, so that an escaped slash divides nothing.

    Raises:
        Refused: a part is no text, or holds a control character.
    """
    parts = []
    for part in raw_path.split(b"/")[1:]:
        try:
            text = unquote_to_bytes(part).decode()
        except UnicodeDecodeError:
            raise bad_request("the path is no UTF-8 text") from None
        if any(sign < " " or sign == "\x7f" for sign in text):
            raise bad_request("the path holds a control character")
        parts.append(text)
    while parts and not parts[-1]:
        parts.pop()
    return parts


def resource_path(parts: Sequence[str]) -> Asked:
    """Of a path below `/api/VERSION` or `/apis/GROUP/VERSION`.

    Raises:
        Refused: it has another shape.
    """
    if any(part == "" for part in parts):
        raise no_such_path()
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    # `namespaces/shop` is an object, `namespaces/shop/pods` a list in it.
    if len(rest) >= 3 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    else:
        namespace = None
    if len(rest) > 3 and rest[2] != "proxy":
        raise no_such_path()
    plural, name, subresource = (*rest[:3], "", "", "")[:3]
    return Asked(group, version, plural, namespace, name, subresource)


class Query:
    """The query's parameters; of a repeated one the first, as the API server takes it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        return self._values.get(name, "")

    def flag(self, name: str) -> bool:
        """There and neither `false` nor `0` means yes, as the API server reads it."""
        return name in self._values and self._values[name].lower() not in ("false", "0")

    def number(self, name: str) -> int | None:
        """None: not given, or empty. Raises Refused."""
        text = self._values.get(name, "")
        if not text:
            return None
        if not _INTEGER.fullmatch(text):
            raise bad_request(f'strconv.ParseInt: parsing "{text[:40]}": invalid syntax')
        if abs(int(text)) > _LARGEST:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
        return int(text)


def query_of(raw: bytes) -> Query:
    """Raises Refused: more parameters than anybody needs, or no text."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except UnicodeDecodeError:
        raise bad_request("the query is no UTF-8 text") from None
    except ValueError:
        raise bad_request(f"the query has more than {MOST_PARAMETERS} parameters") from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if "\0" in value:
            raise bad_request(f"{name[:40]!r} holds a NUL character")
        values.setdefault(name, value)
    return Query(values)
