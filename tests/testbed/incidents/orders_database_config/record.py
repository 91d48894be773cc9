"""Plays the incident and writes it down as a recording, to replace the one in `examples/incidents`.

The objects are read by the product's own `./kubernaut record`; this adds the authored parts, leaves out what belongs to
this machine, and writes what the recording says about itself.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.cluster import Cluster, ClusterFailed
from tests.testbed.incidents.orders_database_config import evidence
from tests.testbed.incidents.orders_database_config.play import (
    CAPTURED,
    CONTROLLERS,
    HERE,
    NODES,
    Play,
    Played,
)

Body = dict[str, Any]
Say = Callable[[str], None]

ROOT = HERE.parents[3]
RECORDED_WITHIN_S = 300.0
"""A hundred and fifty objects take two seconds, and the logs of pods that nobody runs are refused at once."""

NOT_IN_THE_STORY = "(removed from this recording)"
"""In place of the test bed's own certificate, which means nothing elsewhere."""


def record(out: Path, *, say: Say = print) -> None:
    """Play it on a control plane of its own and put the recording in place of what is at `out`.

    Raises:
        ClusterFailed: the control plane or the play came to no end.
    """
    began = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as place:
        fresh = Path(place) / "recording"
        with Cluster(controllers=CONTROLLERS, advertise=NODES[0][1]) as cluster:
            say(f"Playing on {cluster.url} …")
            played = Play(cluster, say=say).run()
            read(cluster, fresh)
        finish(played, fresh)
        shutil.rmtree(out, ignore_errors=True)
        fresh.rename(out)
    say(f"{out} is written: {time.monotonic() - began:.0f} s")


def read(cluster: Cluster, out: Path) -> None:
    """By `./kubernaut record`, as an operator would."""
    command = [sys.executable, "-P", "-m", "cli", "record", "--name", "testbed", "--out", str(out)]
    done = subprocess.run(
        [*command, "--kubeconfig", str(cluster.kubeconfig)],
        cwd=cluster.directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cluster.directory), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=RECORDED_WITHIN_S,
    )
    if done.returncode:
        raise ClusterFailed(f"kubernaut record (exit {done.returncode}): {done.stderr.strip()}")


def finish(played: Played, recording: Path) -> None:
    """Everything but the objects."""
    for file in recording.rglob("*"):
        # The recorder keeps a cluster to its owner's eyes; this one belongs to everybody.
        file.chmod(0o755 if file.is_dir() else 0o644)
    recording.chmod(0o755)
    _leave_out_the_machine(recording)
    evidence.add(played, recording)
    about = recording / "snapshot.yaml"
    facts: Body = yaml.safe_load(about.read_text("utf-8"))
    # The logs that no kubelet had are authored above.
    gaps = [gap for gap in facts.pop("not_read") if "log" not in gap["what"].split(" of ")[0]]
    facts |= {
        "captured_at": CAPTURED.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "played_by": "python -m tests.testbed incident",
        "authored": list(evidence.AUTHORED),
        "not_read": gaps,
    }
    about.write_text(yaml.safe_dump(facts, sort_keys=False), "utf-8")
    text = (HERE / "README.md").read_text("utf-8").replace("{edited}", edited_at(recording)[11:19])
    (recording / "README.md").write_text(text, "utf-8")


def edited_at(recording: Path) -> str:
    """When the API server saw the edit, as it wrote it down. kubectl takes a moment."""
    items = json.loads((recording / "objects" / "data" / "configmap.json").read_text("utf-8"))["items"]
    (config,) = (item for item in items if item["metadata"]["name"] == "orders-db-config")
    return next(str(f["time"]) for f in config["metadata"]["managedFields"] if f["manager"] == "kubectl-edit")


def _leave_out_the_machine(recording: Path) -> None:
    """Leases, which are held by this machine's programs now, and its certificate."""
    for file in recording.glob("objects/*/lease.*.json"):
        file.unlink()
    for file in recording.glob("objects/*/configmap.json"):
        document = json.loads(file.read_text("utf-8"))
        for item in document["items"]:
            if "ca.crt" in item.get("data", {}):
                item["data"]["ca.crt"] = NOT_IN_THE_STORY
        file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
