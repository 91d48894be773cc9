"""YAML bodies in, YAML answers out, for every FastAPI route: translated to and from JSON at the door.

The JSON subset of YAML only: no aliases, no tags, one document (an alias bomb of 294 bytes made 580 MB: measured).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import yaml
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.contracts.problem import FieldError
from libs.web.body import MAX_DEPTH, MalformedJson, inspect, replay, whole
from libs.web.problems import MEDIA_TYPE, render

TYPES = (b"application/yaml", b"application/x-yaml", b"text/yaml")
MAX_YAML = 256 * 1024
"""Bytes of a YAML body. Parsing costs about 1 s per MB; send more as JSON."""

LONGEST_NUMBER = 300
"""Signs of a number. YAML 1.1 counts `1:1:1…` in sixties: 256 KB of it kept a processor for 5 s (measured 2026-11)."""

INLINE = 4 * 1024
"""Bytes translated on the event loop: about 4 ms. Larger ones cost a thread's 100 µs."""


_NO_NUMBER_OF_JSON = re.compile(r"[-+]?\.inf|\.nan", re.IGNORECASE)
_NUMBER = re.compile(r"[-+0-9.][-+0-9._:xa-f]*", re.IGNORECASE)


class _NotAllowed(yaml.YAMLError):
    """YAML that is more than JSON in another dress."""


@dataclass(slots=True)
class _Mapping:
    """A mapping as far as its events have come."""

    keys: set[str] = field(default_factory=set)
    key_comes: bool = True


class YamlTranslation:
    """Pure ASGI; does nothing for requests that speak JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if is_yaml(headers.get(b"content-type", b"")):
            try:
                body = await whole(receive, MAX_YAML)
                translated = await _aside(len(body), as_json, body)
            except (MalformedJson, yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
                await _refuse(scope, send, str(error))
                return
            scope = {**scope, "headers": _as_json(scope["headers"], len(translated))}
            receive = replay(translated, receive)
        if _wants_yaml(headers.get(b"accept", b"")):
            send = _YamlAnswer(send).send
        await self._app(scope, receive, send)


def is_yaml(content_type: bytes) -> bool:
    """Whether a body of that type is translated; what stands behind its semicolon decides nothing."""
    return content_type.partition(b";")[0].strip().lower() in TYPES


async def _aside(size: int, work: Callable[[bytes], bytes], given: bytes) -> bytes:
    """Long work in a thread: at 1 MB/s the event loop would stand still for everybody."""
    return await asyncio.to_thread(work, given) if size > INLINE else work(given)


def as_json(body: bytes) -> bytes:
    """YAML in, the same document as JSON out.

    Raises:
        MalformedJson, yaml.YAMLError, ValueError, TypeError, RecursionError: not YAML, or more than JSON.
    """
    translated = orjson.dumps(read_document(body))
    inspect(translated)
    return translated


def as_yaml(body: bytes) -> bytes:
    """JSON in, the same document as YAML out."""
    text: str = yaml.dump(orjson.loads(body), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text.encode()


def read_document(body: bytes) -> Any:
    """Read one document.

    Raises:
        yaml.YAMLError, ValueError: not YAML, or more than JSON.
    """
    _inspect(body)
    return yaml.load(body, Loader=yaml.CSafeLoader)


def _inspect(body: bytes) -> None:
    """Walk the events before anything is built, and refuse what JSON has no word for."""
    levels: list[_Mapping | None] = []
    for event in yaml.parse(body, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _NotAllowed("aliases are not read; write the value out")
        if getattr(event, "tag", None) is not None:
            raise _NotAllowed("tags are not read")
        if isinstance(event, yaml.CollectionEndEvent):
            levels.pop()
        elif isinstance(event, yaml.NodeEvent):
            if levels and (inside := levels[-1]) is not None:
                _take(inside, event)
            if isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                _inspect_plain(event.value)
            if isinstance(event, yaml.CollectionStartEvent):
                levels.append(_Mapping() if isinstance(event, yaml.MappingStartEvent) else None)
        if len(levels) > MAX_DEPTH:
            raise _NotAllowed(f"nested deeper than {MAX_DEPTH} levels")


def _take(inside: _Mapping, event: yaml.NodeEvent) -> None:
    """The next key or value of a mapping."""
    if inside.key_comes and isinstance(event, yaml.ScalarEvent):
        if event.value in inside.keys:
            line = event.start_mark.line + 1 if event.start_mark is not None else "?"
            raise _NotAllowed(f"the key of line {line} stands twice in one mapping; leave one of them out")
        if event.value == "<<" and event.implicit[0]:
            raise _NotAllowed("merge keys are not read; write the values out")
        inside.keys.add(event.value)
    inside.key_comes = not inside.key_comes


def _inspect_plain(text: str) -> None:
    if _NO_NUMBER_OF_JSON.fullmatch(text):
        raise _NotAllowed(f"{text} is no number of JSON; quote it if it is a text")
    if len(text) > LONGEST_NUMBER and _NUMBER.fullmatch(text):
        raise _NotAllowed(f"a number of more than {LONGEST_NUMBER} signs; quote it if it is a text")


def _as_json(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(n, v) for n, v in headers if n not in (b"content-type", b"content-length", b"transfer-encoding")]
    return [*kept, (b"content-type", b"application/json"), (b"content-length", str(length).encode())]


def _wants_yaml(accept: bytes) -> bool:
    first = accept.partition(b",")[0].partition(b";")[0].strip().lower()
    return first in TYPES


async def _refuse(scope: Scope, send: Send, reason: str) -> None:
    body = render(
        400,
        "malformed-yaml",
        title="Malformed YAML",
        detail="the body is not YAML as read here",
        instance=scope["path"],
        request_id=scope.get("kubernaut.request_id"),
        errors=[FieldError(field="body", reason=" ".join(reason.split())[:300])],
    )
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _YamlAnswer:
    """Holds a JSON answer back until it is whole, then sends it as YAML; streams and others pass."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._chunks: list[bytes] = []

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            if kind.partition(b";")[0] == b"application/json":
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self._chunks.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            body = b"".join(self._chunks)
            body = await _aside(len(body), as_yaml, body) if body else b""
            replaced = [
                (n, v) for n, v in self._start["headers"] if n not in (b"content-type", b"content-length")
            ]
            replaced += [(b"content-type", b"application/yaml"), (b"content-length", str(len(body)).encode())]
            await self._send({**self._start, "headers": replaced})
            message = {"type": "http.response.body", "body": body}
        await self._send(message)
