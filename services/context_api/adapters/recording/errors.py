"""What can be wrong with a recording.

RecordingError
├── UnreadableRecording   nothing in it could be used: there is no snapshot
├── CannotWrite           a new one cannot be put there
└── NotUsable             one file or object: it is named in the snapshot and left out
"""

from __future__ import annotations

from pathlib import Path


class RecordingError(Exception):
    """Base of what reading a recording raises."""


class UnreadableRecording(RecordingError):
    """There is no evidence to look at: no such path, no permission, or no Kubernetes object in it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class CannotWrite(RecordingError):
    """The place is taken, or the file system refuses. Nothing was left there."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class NotUsable(RecordingError):
    """One file or object is left out. `reason` says why, and quotes nothing of its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
