"""Reads the file of muted findings.

mutes:
- target: Deployment/shop/legacy-*      # KIND/NAMESPACE/NAME, _cluster for no namespace; * is any text
  reason: RestartedOften                # a finding's reason code, or *
  until: 2026-12-31T00:00:00Z           # a mute always ends
  comment: known; replaced in January   # optional
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from libs.contracts.base import Contract, PlausibleTime
from services.context_api.adapters.recording.documents import parse
from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import Limits
from services.context_api.domain.mutes import Mute, Mutes

LARGEST = 1024 * 1024
"""Bytes. Thousands of mutes; more would be a mistake of file."""


class UnreadableMutes(Exception):
    """The file cannot be used; the message names the entry and what to write instead."""


class _Entry(Contract):
    target: str = Field(pattern=r"^[A-Za-z*?]+/[a-z0-9_*?-]+/[A-Za-z0-9._:*?-]+$")
    reason: str = Field(pattern=r"^[A-Za-z*?]+$")
    until: PlausibleTime
    comment: str = Field(default="", max_length=300)


class _File(Contract):
    mutes: list[_Entry]


def read_mutes(path: Path) -> Mutes:
    """Raises UnreadableMutes."""
    try:
        raw = path.read_bytes() if path.stat().st_size <= LARGEST else None
    except OSError as error:
        raise UnreadableMutes(f"{path}: {(error.strerror or type(error).__name__).lower()}") from error
    if raw is None:
        raise UnreadableMutes(f"{path}: is larger than {LARGEST // 1024} KiB; is it a file of mutes?")
    try:
        documents = parse(raw, is_json=path.suffix == ".json", limits=Limits())
        read = [_File.model_validate(document) for document in documents if document is not None]
    except NotUsable as error:
        raise UnreadableMutes(f"{path}: {error.reason}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UnreadableMutes(f"{path}: {place or 'document'}: {first['msg']} ({_WANTED})") from error
    return [_mute(entry) for file in read for entry in file.mutes]


_WANTED = "each entry under `mutes:` has target: KIND/NAMESPACE/NAME, reason: a finding's code, until: a time; * is any text"


def _mute(entry: _Entry) -> Mute:
    kind, namespace, name = entry.target.split("/")
    return Mute(kind, namespace, name, entry.reason, entry.until, entry.comment)
