"""What the alerts service's integration tests share."""

from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from services.alerts.adapters.record import Work


@dataclass
class Counted:
    statements: int = 0


@pytest.fixture
def counted(monkeypatch):
    """Count the statements that steps and pages send, notes and jobs not included."""

    @contextmanager
    def counting():
        found = Counted()

        def wrapped(send):
            async def counts(self, *args):
                found.statements += 1
                return await send(self, *args)

            return counts

        with monkeypatch.context() as patch:
            for name in ("rows", "execute"):
                patch.setattr(Work, name, wrapped(getattr(Work, name)))
            yield found

    return counting
