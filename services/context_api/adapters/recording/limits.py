"""How much of a recording is read. Recordings come from elsewhere, so every amount is bounded."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What is larger is refused or cut, and named in `Snapshot.not_read`."""

    files: int = 20_000
    """Files looked at. A must-gather of a 100-node cluster has about 10,000."""

    directory_depth: int = 32
    """Directories below the root. A must-gather's logs lie 9 deep."""

    total_bytes: int = 128 * MIB
    """Bytes parsed or kept, over all files. 20 to 28 MB/s and 9 times their size in memory (measured, whole way
    from file to snapshot), so this is 6 s and 1.2 GiB."""

    file_bytes: int = 32 * MIB
    """Bytes of one file of objects or metrics, after inflation: 4,000 pods in one List. Checked before a byte
    is read."""

    object_bytes: int = 4 * MIB
    """Bytes of one object, as JSON. etcd refuses requests over 1.5 MiB, so no API server has printed more."""

    nodes: int = 4_000_000
    """Mappings, lists and values over all files. `[[],[],…` takes 30 times its size in memory; 128 MiB of real
    objects have 4 million lines."""

    objects: int = 100_000
    """Objects and events kept. Each costs about 1.5 KB beside its content."""

    log_tail_bytes: int = 256 * KIB
    """Bytes kept of each container log, from its end: the last words before a crash stand there."""

    indent_columns: int = 512
    """Columns a YAML line may be nested by. The parser takes a stack frame (740 bytes, measured) per level and
    ends the process when the stack is used up; 512 columns are at most 1 MB of it. The deepest custom resource
    definitions reach 100."""

    alias_events: int = 1_000
    """YAML nodes that aliases may repeat, per file. kubectl prints no alias; people write a handful."""

    alias_bytes: int = 64 * MIB
    """Bytes that aliases may add, per file: in a file of 1 MiB only 64 nodes may be repeated."""

    inflate_ratio: int = 100
    """Inflated bytes per compressed byte. A List of pods compresses 20 to 40 times; bombs 1,000 times."""

    archive_bytes: int = 1024 * MIB
    """Bytes of an archive, after inflation: 5 s of gzip. Most of a must-gather is logs, of which the ends
    are kept."""

    notes: int = 200
    """Things that could not be read and are named one by one; the rest is counted by reason."""
