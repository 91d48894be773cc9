"""Write a kubeconfig that leads to the recording and to nothing else, for as long as it is served."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import orjson

MARK = "# Written by `kubernaut serve-recording`; leads to a recorded cluster and is removed when serving ends.\n"
CONTEXT = "recording"


class CannotWriteKubeconfig(Exception):
    """The place is taken by something that is not ours, or the file system refuses."""


def content(url: str) -> str:
    """Without any credential: none is asked for."""
    return MARK + "\n".join(
        (
            "apiVersion: v1",
            "kind: Config",
            f"current-context: {CONTEXT}",
            f"clusters: [{{name: {CONTEXT}, cluster: {{server: {orjson.dumps(url).decode()}}}}}]",
            f"contexts: [{{name: {CONTEXT}, context: {{cluster: {CONTEXT}, user: {CONTEXT}}}}}]",
            f"users: [{{name: {CONTEXT}, user: {{}}}}]",
            "",
        )
    )


@contextlib.contextmanager
def written(path: Path | None, url: str) -> Iterator[None]:
    """The file is there meanwhile; None writes nothing. One that an earlier run left is replaced, any other is kept.

    Raises:
        CannotWriteKubeconfig: says what to do.
    """
    if path is None:
        yield
        return
    try:
        if _is_ours(path):
            path.unlink()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise CannotWriteKubeconfig(
            f"{path}: is there already and was not written by serve-recording; name a new file"
        ) from None
    except OSError as error:
        raise CannotWriteKubeconfig(f"{path}: {(error.strerror or type(error).__name__).lower()}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content(url))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if _is_ours(path):
                path.unlink()


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MARK.encode())) == MARK.encode()
