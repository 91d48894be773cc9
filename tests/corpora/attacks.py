"""Reads the corpus: families of words and places, and the requests they make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from urllib.parse import quote

import yaml
from pydantic import BaseModel, ConfigDict, Field

CONTEXT_API = Path(__file__).resolve().parent / "context_api.yaml"
HERE = "§"
"""Where a word goes. Not in any word."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Written(StrEnum):
    percent = "percent"
    json = "json"
    as_is = "as-is"


class Long(_Strict):
    """A word too long to write down."""

    repeat: str
    times: int
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before}{self.repeat * self.times}{self.after}"


class Place(_Strict):
    """A request with a gap."""

    get: str = ""
    post: str = ""
    send: str = ""
    """Another method, and the address."""
    header: tuple[str, ...] = ()
    body: str | None = None
    type: str = "application/json"
    """Of the body; empty for none."""
    names: str = ""
    """What the answer has to call wrong."""


class Family(_Strict):
    """Words that are wrong (or odd) in the same way, and where they are put."""

    family: str
    places: tuple[Place, ...]
    words: tuple[str | Long, ...] = ("",)
    written: Written = Written.as_is
    status: tuple[int, ...]
    code: str = ""
    """Of the problem document, where it has to be this one."""
    caller: bool = True
    """Sends its credential; the family brings its own otherwise."""


class Wire(_Strict):
    """Bytes as they are sent, for what no client would send."""

    family: str
    sends: tuple[str, ...]
    """Escapes as in Python; `{token}` is the caller's."""
    status: tuple[int, ...]


class Corpus(_Strict):
    lists: dict[str, tuple[str | Long, ...]]
    """Anchors for the rest of the file, and what tests elsewhere read by name."""
    refused: tuple[Family, ...]
    odd: tuple[Family, ...]
    """Legal, and answered."""
    messages: tuple[Family, ...]
    """To /mcp, in its protocol's words."""
    wire: tuple[Wire, ...] = Field(default=())


@dataclass(frozen=True, slots=True)
class Case:
    """One request."""

    family: Family
    place: Place
    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None

    def on_the_wire(self, token: str) -> bytes:
        """The request, with this credential where the family brings none of its own."""
        fields = list(self.headers)
        names = {name.lower() for name, _ in fields}
        if b"host" not in names:
            fields.insert(0, (b"Host", b"localhost"))
        if self.family.caller:
            fields.append((b"Authorization", f"Bearer {token}".encode()))
        if self.body is not None:
            if self.place.type and b"content-type" not in names:
                fields.append((b"Content-Type", self.place.type.encode()))
            fields.append((b"Content-Length", b"%d" % len(self.body)))
        lines = [b"%b %b HTTP/1.1" % (self.method.encode(), self.target), *(b"%b: %b" % f for f in fields)]
        return b"\r\n".join(lines) + b"\r\n\r\n" + (self.body or b"")

    def __str__(self) -> str:
        sent = self.on_the_wire("…")
        return f"{self.family.family}: {sent[:400].decode('utf-8', 'replace')!a}"


def cases(family: Family) -> Iterator[Case]:
    """Each word in each place."""
    for place in family.places:
        for word in family.words:
            yield _case(family, place, str(word))


def _case(family: Family, place: Place, word: str) -> Case:
    put = _written(word, family.written)
    line = f"GET {place.get}" if place.get else f"POST {place.post}" if place.post else place.send
    method, _, target = line.replace(HERE, put).partition(" ")
    fields = [text.replace(HERE, put).partition(":") for text in place.header]
    body = None if place.body is None else place.body.replace(HERE, put).encode("utf-8", "surrogateescape")
    return Case(
        family,
        place,
        method,
        target.encode("utf-8", "surrogateescape"),
        tuple((n.encode(), v.strip(" ").encode("utf-8", "surrogateescape")) for n, _, v in fields),
        body,
    )


def _written(word: str, how: Written) -> str:
    match how:
        case Written.percent:
            return quote(word, safe="")
        case Written.json:
            return json.dumps(word)
    return word


@cache
def corpus(path: Path = CONTEXT_API) -> Corpus:
    return Corpus.model_validate(yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader))


def words(*names: str, path: Path = CONTEXT_API) -> Sequence[str]:
    """The words of some lists, each once."""
    lists = corpus(path).lists
    return list(dict.fromkeys(str(word) for name in names for word in lists[name]))
