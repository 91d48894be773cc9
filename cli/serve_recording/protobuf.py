"""Read a posted review that kubectl sends as protobuf, as the JSON it stands for. Pure.

Kubernetes puts four bytes and an envelope around a message; of the message only the texts of a review's `spec` are
read. Source: the `.proto` files of k8s.io/apimachinery (runtime.Unknown) and k8s.io/api/authorization/v1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

MAGIC = b"k8s\0"

_RESOURCE = {1: "namespace", 2: "verb", 3: "group", 4: "version", 5: "resource", 6: "subresource", 7: "name"}
_NON_RESOURCE = {1: "path", 2: "verb"}


class NotReadable(Exception):
    """The bytes are no such message."""


def review_of(content: bytes) -> Mapping[str, object]:
    """Kind and spec of an access or rules review.

    Raises:
        NotReadable: cut off, or of another shape.
    """
    if not content.startswith(MAGIC):
        raise NotReadable
    envelope = dict(_fields(content[len(MAGIC) :]))
    about = dict(_fields(_bytes(envelope.get(1))))
    kind = _text(about.get(2))
    spec = dict(_fields(_bytes(dict(_fields(_bytes(envelope.get(2)))).get(2))))
    return {"kind": kind, "spec": _spec(kind, spec)}


def _spec(kind: str, spec: Mapping[int, bytes | int]) -> Mapping[str, object]:
    if kind == "SelfSubjectRulesReview":
        return {"namespace": _text(spec.get(1))}
    if kind != "SelfSubjectAccessReview":
        return {}
    parts = {"resourceAttributes": (1, _RESOURCE), "nonResourceAttributes": (2, _NON_RESOURCE)}
    return {
        name: {names[number]: _text(value) for number, value in _fields(_bytes(spec[at])) if number in names}
        for name, (at, names) in parts.items()
        if at in spec
    }


def _fields(content: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Field numbers and values, in order; groups and fixed-width numbers do not occur."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(content, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(content, at)
            if at + size > len(content):
                raise NotReadable
            yield number, content[at : at + size]
            at += size
        else:
            raise NotReadable


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < 64:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise NotReadable


def _bytes(value: bytes | int | None) -> bytes:
    if isinstance(value, int):
        raise NotReadable
    return value or b""


def _text(value: bytes | int | None) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise NotReadable from None
