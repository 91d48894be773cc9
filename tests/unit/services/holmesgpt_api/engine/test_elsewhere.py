"""Questions to foreign systems: each has its number, and its own answer however they arrive."""

from __future__ import annotations

import threading

import pytest

from services.holmesgpt_api.engine.context import NoAnswer
from services.holmesgpt_api.engine.elsewhere import Elsewhere
from services.holmesgpt_api.engine.foreign import CustomTool, ToolAnswered, ToolAsked

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-032")


class Line:
    """Answers by what was asked, in any thread."""

    def __init__(self) -> None:
        self.asked: dict[int, ToolAsked] = {}

    def tell(self, asked: ToolAsked) -> None:
        self.asked[asked.number] = asked

    def answer(self, number: int, *, until: float) -> ToolAnswered | None:
        asked = self.asked[number]
        return ToolAnswered(
            number=number, ok=asked.arguments["n"] % 2 == 0, text=f"to {asked.arguments['n']}"
        )


def test_many_threads_ask_and_each_has_its_own_answer():
    line = Line()
    elsewhere = Elsewhere([CustomTool(name="cmdb__any", description="x")], line.tell, line, until=0)
    heard: dict[int, str] = {}

    def ask(number: int) -> None:
        try:
            heard[number] = elsewhere.ask("cmdb__any", {"n": number})[0]
        except NoAnswer as refused:
            heard[number] = f"refused: {refused}"

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert heard == {n: f"to {n}" if n % 2 == 0 else f"refused: to {n}" for n in range(40)}
    assert sorted(line.asked) == list(range(1, 41))
