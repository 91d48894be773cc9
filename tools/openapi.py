"""docs/openapi/<service>.json: the wire contract of every service, as a reviewed file.

python -m tools.openapi           write the documents
python -m tools.openapi --check   fail when one is stale
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.generated import ROOT, publish
from tools.services import example_app, services

FOLDER = ROOT / "docs" / "openapi"


def document(service: str) -> dict[str, Any]:
    return example_app(service).openapi()


def render(openapi: dict[str, Any]) -> str:
    """Sorted and indented, so that a diff shows what changed and nothing else."""
    return json.dumps(openapi, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def documents() -> dict[Path, str]:
    return {FOLDER / f"{service}.json": render(document(service)) for service in services()}


def main(arguments: Sequence[str]) -> int:
    return publish(documents(), check="--check" in arguments, remedy="make openapi")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
