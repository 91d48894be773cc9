"""Read what a foreign system has answered: whether it is a success at all, and what of it is shown. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from libs.contracts.evidence import EvidenceItem, EvidenceKind, canonical, content_hash
from services.holmesgpt_api.domain.custom.words import plain
from services.holmesgpt_api.engine.asking import data, failure_in


def parsed(body: bytes, media_type: str) -> Any:
    """JSON where it says that it is, else its text.

    Raises:
        ValueError: it says that it is JSON and is none; or it is no text.
    """
    text = body.decode("utf-8")
    if not is_json(media_type):
        return text
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_json(media_type: str) -> bool:
    kind = media_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def is_text(media_type: str) -> bool:
    kind = media_type.partition(";")[0].strip().lower()
    return is_json(media_type) or kind in ("text/plain", "text/csv", "text/markdown", "application/yaml")


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


class NotThere(ValueError):
    """The answer does not have what the document shows of it."""


def selected(answer: Any, pointer: str | None) -> Any:
    """What of an answer is shown (RFC 6901). Raises NotThere."""
    if not pointer:
        return answer
    found = answer
    for part in pointer[1:].split("/"):
        word = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and word in found:
            found = found[word]
        elif isinstance(found, list) and word.isascii() and word.isdigit() and int(word) < len(found):
            found = found[int(word)]
        else:
            raise NotThere(f"the answer has nothing at {pointer}")
    return found


def failure(answer: Any) -> str:
    """What an answer that looks like a success says of its failure; empty: nothing.

    As of our own tools (`stderr`, `error`, a return code), and as of web APIs: `success: false`, `ok: false`,
    `status: error`, a list of `errors` (GraphQL answers every question with 200).
    """
    if said := failure_in(answer):
        return said
    if not isinstance(answer, Mapping):
        return ""
    for name in ("success", "ok"):
        if answer.get(name) is False:
            return f"{name}: false {_why(answer)}".strip()
    status = answer.get("status")
    if isinstance(status, str) and status.lower() in ("error", "failed", "failure", "fail"):
        return f"status: {status} {_why(answer)}".strip()
    errors = answer.get("errors")
    if isinstance(errors, list | Mapping) and errors:
        return f"errors: {plain(json.dumps(errors, default=str), 200)}"
    return ""


def _why(answer: Mapping[str, Any]) -> str:
    for name in ("message", "error", "detail", "reason", "msg"):
        if isinstance(answer.get(name), str):
            return plain(answer[name], 200)
    return ""


LEAST = 200
"""Characters of a result that are shown even where there is hardly room."""


def fact(
    toolset: str,
    version: str,
    tool: str,
    arguments: Mapping[str, Any],
    result: Any,
    *,
    room: int,
    at: datetime,
) -> EvidenceItem:
    """An answer as evidence, of which a model reads at most about `room` characters (`told`).

    `result` is without secrets already; what there is no room for is cut, and that is said. It counts like a log:
    somebody's program wrote it, so what it names is not known to exist for that.
    """
    written = result if isinstance(result, str) else data(result)
    begun: dict[str, Any] = {
        "toolset": toolset,
        "version": version,
        "tool": tool,
        "arguments": dict(arguments),
    }
    body, left = {**begun, "result": result}, room
    while len(data(body)) > room and left > LEAST:
        # As text in JSON it may become longer again.
        left = max(left * 3 // 4, LEAST)
        cut = f"the first {left} of {len(written)} characters; ask for less"
        body = {**begun, "cut": cut, "result": written[:left]}
    source = f"custom:{toolset}"
    made = hashlib.sha256(f"{source}\n{canonical(body)}".encode()).hexdigest()
    return EvidenceItem(
        id=f"ev-{made[:16]}",
        source=source,
        kind=EvidenceKind.log,
        observed_at=at,
        content_hash=content_hash(body),
        summary=f"{toolset} answered {tool}({plain(canonical(arguments), 120)}): {plain(written, 200)}",
        body=body,
    )


def told(item: EvidenceItem) -> str:
    """What a model reads of it."""
    return data({"evidence": [{"id": item.id, "source": item.source, **item.body}]})
