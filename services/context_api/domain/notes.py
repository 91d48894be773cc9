"""Whether whoever brought something to rest also wrote beside it, in a sentence, why: then it was meant.

Decides by an object's own record of who wrote which fields: a note counts where the same hand wrote it that set the field,
and where its words, not its name, speak of resting. Text is data: a note excuses a state that somebody chose, and never a failure.

Rests on: https://kubernetes.io/docs/reference/using-api/server-side-apply/ (managedFields),
https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/.
"""

from __future__ import annotations

import re

from services.context_api.domain.changes import field_paths
from services.context_api.domain.kube import entries, mapping, text
from services.context_api.domain.snapshot import KubeObject

MEANT = 0.4
"""Certainty of what was set with a note beside it saying why, when the alert is about that very object: it may be meant.
Whoever misses it is another matter, and then it is as sure as ever."""

_SYSTEM = re.compile(r"(?:^|\.)(?:kubernetes|k8s)\.io/")
_WORDS = 3
"""Words from which on an annotation's value is somebody's sentence."""

_AT_REST = re.compile(
    r"\b(?:suspended|suspend|suspending|paused|pause|pausing|stopped|stopping|closed|shut|shutdown|scaled (?:down|to)|because|reason"
    r"|until|season|maintenance|parked|resting|retired|retiring|decommissioned|decommissioning|frozen|freeze|disabled|switched off"
    r"|turned off|no longer|not needed|unused)\b",
    re.IGNORECASE,
)
"""Words of notes that say why something does not run; whole ones, as `closing rates` and `scales` are what programs do."""


def is_noted(obj: KubeObject, *fields: str) -> bool:
    """Whether whoever set one of the fields also wrote into the object, in a sentence, why nothing runs."""
    for entry in entries(obj.metadata.get("managedFields")):
        paths = list(field_paths(mapping(entry.get("fieldsV1"))))
        if not set(fields).intersection(paths):
            continue
        for path in set(paths).difference(fields):
            key = path.removeprefix("metadata.annotations.")
            words = text(obj.annotations.get(key)).split() if key != path else []
            speaks = _AT_REST.search(" ".join(words)) is not None
            if len(words) >= _WORDS and speaks and not _SYSTEM.search(key):
                return True
    return False
