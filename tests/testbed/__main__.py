"""`python -m tests.testbed build | up | incident`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.testbed import build
from tests.testbed.clock import ClockFailed
from tests.testbed.cluster import CallFailed, Cluster, ClusterFailed
from tests.testbed.programs import NotBuilt

BUNDLED = Path(__file__).resolve().parents[2] / "examples" / "incidents" / "orders-database-config"
INTERRUPTED = 130
NODES = ("node-1", "node-2")


def up(directory: Path | None) -> int:
    """Run one control plane with two nodes until interrupted; 2 when it cannot start."""
    began = time.monotonic()
    try:
        with Cluster(directory=directory) as cluster:
            for node in NODES:
                cluster.add_node(node)
            print(
                f"Kubernetes on {cluster.url} after {time.monotonic() - began:.1f} s; nodes {', '.join(NODES)}"
            )
            print(f"  export KUBECONFIG={cluster.kubeconfig}")
            print(f"  {cluster.program('kubectl')} get nodes")
            print(f"  logs in {cluster.directory / 'logs'}")
            print("Ctrl-C stops it and forgets everything in it.", flush=True)
            signal.pause()
    except (NotBuilt, ClusterFailed, CallFailed) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("All processes ended.", flush=True)
    return 0


def incident(out: Path) -> int:
    """Play the bundled incident and put its recording at `out`; 2 when that did not work out."""
    from tests.testbed.incidents.orders_database_config.record import record

    try:
        record(out.absolute(), say=lambda text: print(text, flush=True))
    except (NotBuilt, ClusterFailed, CallFailed, ClockFailed) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 2
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build the programs, unless they are there")
    building.add_argument("--optional", action="store_true", help="succeed when they cannot be built")
    upping = commands.add_parser("up", help="run a control plane until Ctrl-C")
    upping.add_argument("--dir", type=Path, help="where its files go; by default a temporary directory")
    playing = commands.add_parser("incident", help="play the bundled incident and record it")
    playing.add_argument("--out", type=Path, default=BUNDLED, help="the recording, replaced when it is there")
    chosen = parser.parse_args()
    for word in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(word, _interrupt)
    try:
        if chosen.command == "build":
            return build.main(optional=chosen.optional)
        return incident(chosen.out) if chosen.command == "incident" else up(chosen.dir)
    except KeyboardInterrupt:
        print("testbed: interrupted; nothing is left behind.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
