"""What a caller can do wrong with jobs. Faults of the database are `libs.storage.StorageUnavailable`."""

from __future__ import annotations


class UnknownTask(Exception):
    """A job was to be deferred for a task that this process has not declared: a mistake in the wiring."""

    def __init__(self, name: str) -> None:
        super().__init__(f"task {name!r} is not declared; call Jobs.task() or Jobs.declare() in the wiring")
        self.name = name
