"""Wordings: the versions of our words that an investigation's model can be asked under, and what each of them wants.

The words stand in `prompts/`. A version has a directory there, whose files take the place of those of the same name
beside it. Names only, so that it can be imported in both environments; `prompt.py` reads the files.
"""

from __future__ import annotations

from collections.abc import Mapping

PROMPT_VERSION = "2026-11-4"
"""Under this one every investigation is asked that is no replay. It is kept with every verdict, so that a change in
quality can be traced to a change of words."""

WORDINGS: Mapping[str, str] = {
    PROMPT_VERSION: "checks what triage found, and prefers the cause that explains the most and came first",
    "2026-11-4-rivals": "sets two to four explanations against each other first, and asks for what refutes them",
    "2026-11-4-brief": "the same rules in two thirds of the words: for small windows, and to see what the others are worth",
}
"""Each with what it wants of the model. One that goes from here is refused by name, in replays too."""
