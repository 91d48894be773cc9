"""Read the document a model wrote. Pure."""

from __future__ import annotations

import re

from pydantic import ValidationError

from services.holmesgpt_api.engine.messages import Opinion

LONGEST = 200_000
"""Characters; a longer document is not looked at."""

_FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)


class NoDocument(ValueError):
    """What the model wrote is not the document that was asked for; the text tells it what to mend."""


def opinion(text: str | None) -> Opinion:
    """Raises NoDocument."""
    if not text or not text.strip():
        raise NoDocument("the answer was empty")
    if len(text) > LONGEST:
        raise NoDocument(f"the answer has {len(text)} characters, more than {LONGEST}")
    fenced = _FENCE.match(text)
    body = fenced.group(1) if fenced else text[text.find("{") : text.rfind("}") + 1]
    try:
        return Opinion.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)[:5]
        raise NoDocument("; ".join(f"{_where(one['loc'])}: {one['msg']}" for one in faults)) from None
    except (ValueError, RecursionError) as error:
        raise NoDocument(f"no JSON: {type(error).__name__}") from None


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "document"
