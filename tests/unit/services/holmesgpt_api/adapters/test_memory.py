"""The container's limit is found where either version of cgroups writes it, and what is free bounds it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.holmesgpt_api.adapters.memory import limit, rss, used

pytestmark = pytest.mark.requirement("HAPI-136")

MEMINFO = "MemTotal:       24684476 kB\nMemFree:         1000000 kB\nMemAvailable:    2048000 kB\n"


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": MEMINFO}, 2_048_000 * 1024),
        ({"proc/meminfo": MEMINFO, "sys/fs/cgroup/memory.max": "max\n"}, 2_048_000 * 1024),
        ({"proc/meminfo": MEMINFO, "sys/fs/cgroup/memory.max": "1073741824\n"}, 1 << 30),
        ({"proc/meminfo": MEMINFO, "sys/fs/cgroup/memory.max": "9999999999999\n"}, 2_048_000 * 1024),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n"}, 1 << 29),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"sys/fs/cgroup/memory.max": "nonsense\n", "proc/meminfo": "MemTotal: 1 kB\n"}, None),
        (
            {"proc/self/cgroup": "0::/pods/a\n", "sys/fs/cgroup/pods/a/memory.max": "268435456\n"},
            1 << 28,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,memory:/pods/a\n4:pids:/pods/b\n",
                "sys/fs/cgroup/memory/pods/a/memory.limit_in_bytes": "268435456\n",
            },
            1 << 28,
        ),
    ],
)
def test_the_smallest_bound_counts(tmp_path: Path, files: dict[str, str], expected: int | None):
    assert limit(machine(tmp_path, files)) == expected


V2 = {"sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "700\n"}
V1 = {
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "500\n",
    "sys/fs/cgroup/memory/memory.stat": "cache 400\ntotal_inactive_file 100\n",
}
HALF = "MemTotal:       1000 kB\nMemFree:        100 kB\nMemAvailable:   500 kB\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": HALF}, 0.5),
        (V2, 0.7),
        ({**V2, "sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 200\n"}, 0.5),
        ({**V2, "proc/meminfo": HALF}, 0.7),
        ({**V2, "sys/fs/cgroup/memory.max": "max\n", "proc/meminfo": HALF}, 0.5),
        (V1, 0.4),
        (
            {
                "proc/self/cgroup": "0::/pods/a\n",
                "sys/fs/cgroup/pods/a/memory.max": "100\n",
                "sys/fs/cgroup/pods/a/memory.current": "95\n",
            },
            0.95,
        ),
    ],
)
def test_the_share_in_use_is_that_of_the_bound_that_is_reached_first(
    tmp_path: Path, files: dict[str, str], expected: float | None
):
    assert used(machine(tmp_path, files)) == (None if expected is None else pytest.approx(expected))


def test_a_process_that_is_gone_has_no_memory(tmp_path: Path):
    here = machine(tmp_path, {"proc/7/statm": "1000 25 10 0 0 0 0\n"})

    assert rss(7, here) == 25 * os.sysconf("SC_PAGE_SIZE")
    assert rss(8, here) == 0
