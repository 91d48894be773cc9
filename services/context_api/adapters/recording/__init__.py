"""Reads and writes a recorded cluster: a directory or archive of Kubernetes objects, logs and metrics.

What lies where is `layout`'s knowledge, how much is read is `limits`', what a Secret may keep is `secrets`'.
Nothing of the files' formats leaves this package: out comes a `Snapshot`.
"""

from services.context_api.adapters.recording.errors import CannotWrite, RecordingError, UnreadableRecording
from services.context_api.adapters.recording.limits import Limits
from services.context_api.adapters.recording.load import load_recording
from services.context_api.adapters.recording.write import free_for, write_recording

__all__ = [
    "CannotWrite",
    "Limits",
    "RecordingError",
    "UnreadableRecording",
    "free_for",
    "load_recording",
    "write_recording",
]
