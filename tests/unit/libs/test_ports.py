"""Who holds a port, read from a process table laid out as Linux lays it out."""

from pathlib import Path

import pytest

from libs.ports import holder

pytestmark = pytest.mark.requirement("HAPI-055")

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(port: int, state: str, inode: int) -> str:
    return f"   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0  0 {inode} 1 0 100\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(HEADER + row(8092, "0A", 4711) + row(8093, "01", 4712))
    descriptors = tmp_path / "77" / "fd"
    descriptors.mkdir(parents=True)
    (descriptors / "3").symlink_to("socket:[4711]")
    (descriptors / "4").symlink_to("socket:[4712]")
    (tmp_path / "77" / "cmdline").write_bytes(b"python3\0-m\0http.server\08092\0")
    return tmp_path


def test_the_listening_process_is_named_with_its_pid_and_command(proc):
    assert holder(8092, proc) == "pid 77 (python3 -m http.server 8092)"


def test_a_mere_connection_on_that_port_is_not_taken_for_a_listener(proc):
    assert "cannot be named" in holder(8093, proc)


def test_a_process_that_cannot_be_looked_at_is_admitted_not_guessed(proc):
    (proc / "77" / "fd" / "3").unlink()

    assert "cannot be named" in holder(8092, proc)


def test_a_machine_without_proc_is_answered_too(tmp_path):
    assert "cannot be named" in holder(8092, tmp_path / "nowhere")
