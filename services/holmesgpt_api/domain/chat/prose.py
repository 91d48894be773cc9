"""Check what a model answers in prose before anybody reads it. Pure.

Ids of evidence that it was never shown are taken out and counted; of commands only harmless and well-known ones are
left, as in an investigation's recommendations; an endless answer ends.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from services.holmesgpt_api.domain.advice import harmless

LONGEST = 8_000
"""Characters. More is no answer to a question."""

NO_SUCH = "(no such evidence)"
LEFT_OUT = "(a command was left out)"

_ID = re.compile(r"\bev-[0-9A-Za-z]+")

# What may follow a command's name up to the end of its line or of its quotes. Names that are also plain words
# count only at the beginning of a line or of quotes.
_COMMAND = re.compile(
    r"(?P<lead>^[ \t]*(?:[-*$#>]+ |\d+\. )*|`)(?P<sudo>sudo )?"
    r"(?P<command>(?:kubectl|oc|helm|docker|podman|crictl|curl|wget|rm|dd|mkfs|sh|bash|zsh|python3?|perl|nc|ssh|scp|"
    r"psql|mysql|redis-cli|etcdctl|systemctl|aws|gcloud|az|terraform|chmod|chown|eval|exec|export) [^`\n]*)"
    r"|(?P<inline>\b(?:kubectl|oc|helm) (?:-\S+ \S+ )?[a-z]+[^`\n]*)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Checked:
    text: str
    cited: tuple[str, ...]
    """Ids of evidence it rests on, all of which exist."""
    invented: int


def check(text: str, known: Collection[str], *, familiar: Collection[str] = ()) -> Checked:
    """The answer as it may be shown.

    Args:
        known: ids of evidence that the model was shown.
        familiar: commands that triage recommends itself.
    """
    bounded = text.strip().replace("\0", "�")
    if len(bounded) > LONGEST:
        bounded = bounded[: LONGEST - 1].rstrip() + "…"
    named = dict.fromkeys(_ID.findall(bounded))
    cited = tuple(one for one in named if one in known)
    invented = len(named) - len(cited)
    if invented:
        bounded = _ID.sub(lambda found: found[0] if found[0] in known else NO_SUCH, bounded)
        bounded = bounded.replace(f"[{NO_SUCH}]", NO_SUCH)
    return Checked(_COMMAND.sub(lambda found: _shown(found, familiar), bounded), cited, invented)


def _shown(found: re.Match[str], familiar: Collection[str]) -> str:
    command = (found["command"] or found["inline"]).strip()
    if not found["sudo"] and (command in familiar or _harmless(command)):
        return found[0]
    return f"{found['lead'] or ''}{LEFT_OUT}"


def _harmless(command: str) -> bool:
    """With what a sentence may add at its end."""
    return harmless(command.rstrip(" .,;:!?)"))
