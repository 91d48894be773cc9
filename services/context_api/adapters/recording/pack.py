"""A snapshot as one file that can be sent: the directory `write_recording` makes, as a tar archive packed with gzip."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from services.context_api.adapters.recording.errors import CannotWrite
from services.context_api.adapters.recording.write import write_recording
from services.context_api.domain.errors import CannotKeep
from services.context_api.domain.snapshot import Snapshot

LEVEL = 6


def packed(snapshot: Snapshot, name: str, facts: Mapping[str, str]) -> bytes:
    """The archive; everything in it lies below `name`. `load_recording` reads it as it is.

    Raises:
        CannotKeep: the machine's temporary folder refuses.
    """
    with tempfile.TemporaryDirectory(prefix="kubernaut-snapshot-") as place:
        folder = Path(place) / name
        try:
            write_recording(snapshot, folder, facts)
        except CannotWrite as error:
            raise CannotKeep(error.reason) from error
        into = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=into, mode="wb", compresslevel=LEVEL, mtime=0) as squeezed,
            tarfile.open(fileobj=squeezed, mode="w|") as archive,
        ):
            for file in sorted(f for f in folder.rglob("*") if f.is_file()):
                entry = archive.gettarinfo(file, arcname=str(file.relative_to(place)))
                # The same evidence makes the same archive: who packed it, and when, is nobody's business.
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                entry.mode, entry.mtime = 0o600, int(snapshot.captured_at.timestamp())
                with file.open("rb") as content:
                    archive.addfile(entry, content)
        return into.getvalue()
