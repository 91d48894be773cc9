"""Reads the configuration file: what it inherits is put under it, its encrypted values are opened, all is checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import ValidationError

from libs.web.yaml import read_document
from services.holmesgpt_api.domain.configuration import Configuration

SEALED = "enc:v1:"
"""How an encrypted value begins; a Fernet token follows."""

EXTENDS = "extends"
LARGEST = 256 * 1024
DEEPEST = 5
"""Files that inherit from each other."""

DOCUMENTS = 50
"""Files of a directory of toolsets."""

_PLAIN_KEY = re.compile(r"(^|_)(api_key|password|token|secret)$")


class BadConfiguration(Exception):
    """The file cannot be used. The text names the place and repeats no value."""


@dataclass(frozen=True, slots=True)
class Loaded:
    configuration: Configuration
    digest: str
    """Of the bytes of all files that were read."""


def load(path: Path, key_file: Path | None) -> Loaded:
    """Raises BadConfiguration."""
    digest = hashlib.sha256()
    raw = _with_documents(_inherited(path, digest.update, ()), digest.update)
    opened = _opened(raw, _opener(key_file), "")
    try:
        return Loaded(Configuration.model_validate(opened), digest.hexdigest()[:16])
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        said = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in faults[:10])
        raise BadConfiguration(f"{path.name}: {said}") from None


def seal(value: str, key: str) -> str:
    """The value as it may stand in a file."""
    return SEALED + Fernet(key).encrypt(value.encode()).decode()


def _inherited(path: Path, note: Callable[[bytes], None], below: tuple[Path, ...]) -> dict[str, Any]:
    """The file's document over those of the files it extends."""
    where = path.resolve()
    if where in below or len(below) >= DEEPEST:
        raise BadConfiguration(f"{path.name}: files extend each other in a circle, or more than {DEEPEST}")
    document = _document(where, note)
    _rooted(document, where.parent)
    base = document.pop(EXTENDS, None)
    if base is None:
        return document
    if not isinstance(base, str) or not base:
        raise BadConfiguration(f"{path.name}: extends: want the path of one file")
    return _over(_inherited(where.parent / base, note, (*below, where)), document)


def _rooted(document: dict[str, Any], folder: Path) -> None:
    """A directory of toolsets is where the file that names it is, whoever inherits from that."""
    toolsets = document.get("toolsets")
    if isinstance(toolsets, dict) and isinstance(toolsets.get("directory"), str):
        toolsets["directory"] = str(folder / toolsets["directory"])


def _with_documents(raw: dict[str, Any], note: Callable[[bytes], None]) -> dict[str, Any]:
    """The documents of the directory that is named, after those that stand in the file."""
    toolsets = raw.get("toolsets")
    if not isinstance(toolsets, dict) or not isinstance(toolsets.get("directory"), str):
        return raw
    folder = Path(toolsets["directory"])
    try:
        files = sorted(one for one in folder.iterdir() if one.suffix in (".yaml", ".yml"))
    except OSError as error:
        raise BadConfiguration(
            f"toolsets.directory: {folder.name} cannot be read: {error.strerror}"
        ) from None
    if len(files) > DOCUMENTS:
        raise BadConfiguration(f"toolsets.directory: {len(files)} files, more than {DOCUMENTS}")
    written = toolsets.get("custom", [])
    read = [_document(one, note) for one in files]
    return {
        **raw,
        "toolsets": {**toolsets, "custom": [*(written if isinstance(written, list) else []), *read]},
    }


def _document(path: Path, note: Callable[[bytes], None]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST + 1)
    except OSError as error:
        raise BadConfiguration(f"{path.name} cannot be read: {error.strerror}") from None
    if len(body) > LARGEST:
        raise BadConfiguration(f"{path.name}: larger than {LARGEST} bytes")
    note(body)
    try:
        document = read_document(body)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise BadConfiguration(
            f"{path.name}: line {mark.line + 1 if mark else '?'}: {error.problem}"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadConfiguration(f"{path.name}: {error}") from None
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(one, str) for one in document):
        raise BadConfiguration(f"{path.name}: want sections at the top")
    return document


def _over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Sections are merged; lists and values are replaced, and null takes an inherited one away."""
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(below, dict):
            merged[name] = _over(below, value)
        else:
            merged[name] = value
    return merged


Open = Callable[[str, str], str]


def _opener(key_file: Path | None) -> Open:
    def opened(where: str, token: str) -> str:
        if key_file is None:
            raise BadConfiguration(f"{where}: encrypted, and HOLMESGPT_CONFIG_KEY_FILE names no key")
        try:
            keys = [Fernet(line) for line in key_file.read_text("ascii").split()]
        except OSError as error:
            raise BadConfiguration(f"HOLMESGPT_CONFIG_KEY_FILE cannot be read: {error.strerror}") from None
        except ValueError:
            raise BadConfiguration("HOLMESGPT_CONFIG_KEY_FILE: want one Fernet key a line") from None
        if not keys:
            raise BadConfiguration("HOLMESGPT_CONFIG_KEY_FILE holds no key")
        try:
            return MultiFernet(keys).decrypt(token).decode()
        except (InvalidToken, UnicodeDecodeError):
            raise BadConfiguration(f"{where}: encrypted with another key, or damaged") from None

    return opened


def _opened(value: Any, opened: Open, where: str) -> Any:
    match value:
        case dict():
            return {name: _opened(one, opened, f"{where}.{name}".lstrip(".")) for name, one in value.items()}
        case list():
            return [_opened(one, opened, f"{where}.{number}") for number, one in enumerate(value)]
        case str() if value.startswith(SEALED):
            return opened(where, value.removeprefix(SEALED))
        case str() if _PLAIN_KEY.search(where.rpartition(".")[2]):
            raise BadConfiguration(
                f"{where}: a secret in plain text; encrypt it, or name a file that holds it"
            )
    return value
