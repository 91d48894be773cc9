"""Changes objects of a real cluster at a steady rate, knows what it did, and compares a cache with a list."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from services.context_api.adapters.live.feed import Feed
from tests.testbed.cluster import Cluster

PATIENCE_S = 120.0
PAUSE_S = 0.1
AT_ONCE = 48
"""Changes under way: a busy API server takes a quarter of a second for one, and 167 are to be made in each."""

AUTOMATIC = "kube-aggregator.kubernetes.io/automanaged"
"""Label of the APIServices that the API server makes for its own groups."""

Truth = Mapping[tuple[str | None, str], dict[str, Any]]


@dataclass
class Churn:
    """Objects are made, edited and removed in turn; each change carries a number that no other has."""

    cluster: Cluster
    namespace: str
    objects: int = 190
    """No divisor of the changes, so that the last of them leave some objects there and others not."""
    done: Counter[str] = field(default_factory=Counter)
    """`added`, `modified`, `deleted`: what the server has taken."""
    repeats: int = 0
    """Attempts without an answer, or refused with "later"; each was made again until it was certain."""
    seconds: float = 0.0

    async def run(self, changes: int, *, a_minute: float) -> None:
        """So many changes, spread evenly; later than that when the server is slower."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        lanes: list[list[tuple[float, str, str, int]]] = [[] for _ in range(AT_ONCE)]
        for number, (word, name) in enumerate(self._script(changes)):
            # One object's changes stay in one lane: their order is what the end depends on.
            lanes[hash(name) % AT_ONCE].append((began + number * 60 / a_minute, word, name, number))
        async with self._client() as client, asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(self._lane(client, lane))
        self.seconds = loop.time() - began

    def _script(self, changes: int) -> Iterator[tuple[str, str]]:
        """Of ten changes of an object one makes it, eight edit it, and one removes it."""
        for number in range(changes):
            turn, which = divmod(number, self.objects)
            word = "added" if turn % 10 == 0 else "deleted" if turn % 10 == 9 else "modified"
            yield word, f"churned-{which}"

    async def _lane(self, client: aiohttp.ClientSession, lane: list[tuple[float, str, str, int]]) -> None:
        loop = asyncio.get_running_loop()
        for due, word, name, number in lane:
            await asyncio.sleep(max(0.0, due - loop.time()))
            async with asyncio.timeout(PATIENCE_S):
                while not await self._once(client, word, name, number):
                    self.repeats += 1
                    await asyncio.sleep(PAUSE_S)
            self.done[word] += 1

    async def _once(self, client: aiohttp.ClientSession, word: str, name: str, number: int) -> bool:
        """Whether the change is certain to be made: by this attempt, or by one before it whose answer was lost."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        body = {"metadata": {"name": name}, "data": {"number": str(number), "padding": "x" * 1_000}}
        method, where = {
            "added": ("POST", path),
            "modified": ("PUT", f"{path}/{name}"),
            "deleted": ("DELETE", f"{path}/{name}"),
        }[word]
        try:
            async with client.request(method, where, json=None if word == "deleted" else body) as answer:
                status, said = answer.status, await answer.text()
        except (aiohttp.ClientError, OSError):
            return False
        # An answer that was lost may have been a yes: then the object is there already, or gone.
        taken = status < 300 or (word, status) in (("added", 409), ("deleted", 404))
        if not taken and status not in (429, 500, 503, 504):
            raise AssertionError(f"{word} {name}: HTTP {status} {said[:200]}")
        return taken

    def _client(self) -> aiohttp.ClientSession:
        trusted = ssl.create_default_context(cafile=str(self.cluster.authority))
        return aiohttp.ClientSession(
            self.cluster.url,
            headers={"Authorization": self.cluster.http.headers["Authorization"]},
            connector=aiohttp.TCPConnector(ssl=trusted, limit=AT_ONCE),
            timeout=aiohttp.ClientTimeout(total=10),
        )


def listed(cluster: Cluster, path: str) -> Truth:
    """What the server lists there now, without what evidence leaves out (`lists.says_nothing`)."""
    found: dict[tuple[str | None, str], dict[str, Any]] = {}
    place = ""
    while True:
        page = cluster.ask("GET", f"{path}?limit=500{f'&continue={place}' if place else ''}")
        for item in page["items"] or []:
            if AUTOMATIC in item["metadata"].get("labels", {}):
                continue
            found[item["metadata"].get("namespace"), item["metadata"]["name"]] = item
        place = page["metadata"].get("continue", "")
        if not place:
            return found


def differences(feed: Feed, truth: Truth) -> list[str]:
    """Objects that are missing from the cache, too many in it, or there in another state than the list's."""
    mine = {(item.namespace, item.name): orjson.loads(item.raw) for item in feed.table}
    told = [f"missing: {name}" for name in truth.keys() - mine.keys()]
    told += [f"too many: {name}" for name in mine.keys() - truth.keys()]
    for name in truth.keys() & mine.keys():
        body = {key: value for key, value in mine[name].items() if key not in ("kind", "apiVersion")}
        same = {key: value for key, value in truth[name].items() if key not in ("kind", "apiVersion")}
        if body != same:
            told.append(f"another state: {name}")
    return told
