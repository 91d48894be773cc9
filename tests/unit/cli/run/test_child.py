"""What a service's process does when its supervisor is gone."""

import os
import signal

import pytest

from cli.run import child

pytestmark = pytest.mark.requirement("HAPI-040", "HAPI-050")


@pytest.fixture
def sent(monkeypatch) -> list[tuple[int, int]]:
    """Signals that would have been sent; nobody is given time to end in between."""
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda pid, number: signals.append((pid, number)))
    monkeypatch.setattr(child, "GRACE_S", 0.0)
    return signals


def test_the_process_ends_itself_kindly_and_then_surely_when_the_pipe_closes(sent):
    read, write = os.pipe()
    os.close(write)

    child.end_with(read)

    assert sent == [(os.getpid(), signal.SIGTERM), (os.getpid(), signal.SIGKILL)]
    os.close(read)


def test_only_the_end_of_the_pipe_counts_not_what_is_written_to_it(sent):
    read, write = os.pipe()
    os.write(write, b"hello")
    os.close(write)

    child.end_with(read)

    assert os.read(read, 1) == b""
    assert len(sent) == 2
    os.close(read)


def test_a_service_is_given_longer_than_its_own_drain_and_finish():
    assert child.GRACE_S > 5 + 25
