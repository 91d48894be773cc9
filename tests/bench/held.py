"""What a cache of final bytes takes beside one of parsed objects, each in a process of its own.

python -m tests.bench.held FORM FILE… keeps copies of the answers in the files, and prints the MiB they take.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from libs.cache.provenance import Provenance
from libs.contracts.evidence import EvidencePage
from libs.web.page import Lifetime, make
from tests.support.stack import ROOT

FORMS = {
    "bytes": "final bytes alone",
    "pages": "pages: final bytes, zstd and gzip, tag and times",
    "parsed": "parsed: dictionaries and lists",
    "models": "parsed: models",
}
TOTAL = 32 * 1024 * 1024
"""Bytes of answers that each form keeps: half of CACHE_MAX_BYTES, as the service does."""


def rss_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def keep(form: str, answer: bytes, number: int) -> Any:
    """One of the answers, as if it were about another object each time."""
    own = answer.replace(b"web-", b"w%03d-" % (number % 1000))
    if form == "bytes":
        return own
    if form == "pages":
        return make(own, Provenance(), Lifetime(60.0), began=0.0, now=0.0)
    parsed = orjson.loads(own)
    return parsed if form == "parsed" else EvidencePage.model_validate(parsed)


def main() -> None:
    form, answers = sys.argv[1], [Path(name).read_bytes() for name in sys.argv[2:]]
    for answer in answers:
        keep(form, answer, 0)  # what is loaded for the first one belongs to no cache
    gc.collect()
    before = rss_mib()
    kept: list[Any] = []
    taken = 0
    while taken < TOTAL:
        for answer in answers:
            kept.append(keep(form, answer, len(kept)))
            taken += len(answer)
    gc.collect()
    print(rss_mib() - before)


def measure(answers: list[Path]) -> dict[str, float]:
    """MiB by form."""
    return {
        form: float(
            subprocess.run(
                [sys.executable, "-m", "tests.bench.held", form, *map(str, answers)],
                cwd=ROOT,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for form in FORMS
    }


if __name__ == "__main__":
    main()
