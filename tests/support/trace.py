"""Ten thousand questions in a hundred seconds, as they were drawn once: few are asked often, most hardly ever.

`tests/fixtures/questions/zipf.txt` has a line for each second, with the numbers of its hundred questions. They are 1,000
different ones; the n-th most frequent is asked 1/n as often as the first (Zipf's law with exponent 1).

python -m tests.support.trace writes the file anew, the same each time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.support.source import ROOT

TRACE = ROOT / "tests" / "fixtures" / "questions" / "zipf.txt"
SECONDS, A_SECOND, DIFFERENT = 100, 100, 1_000


def questions() -> Iterator[tuple[float, int]]:
    """Each question: when, in seconds from the first, and which."""
    for second, line in enumerate(TRACE.read_text().splitlines()):
        for place, number in enumerate(line.split()):
            yield second + place / A_SECOND, int(number)


def written() -> str:
    draw = random.Random(20261126)
    weights = [1 / rank for rank in range(1, DIFFERENT + 1)]
    lines = (draw.choices(range(DIFFERENT), weights, k=A_SECOND) for _ in range(SECONDS))
    return "".join(" ".join(map(str, line)) + "\n" for line in lines)


if __name__ == "__main__":
    TRACE.write_text(written())
