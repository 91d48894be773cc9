"""One call against a server that is slow, overloaded, broken or talks nonsense."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.context_api.adapters.live.api import KubeApi
from services.context_api.adapters.live.connect import Access, connect
from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.limits import LiveLimits
from tests.fakes.kube_api import FakeKubeApi, Fault, kubeconfig, refusal, running
from tests.support import kube
from tests.support.certificates import Certificate, certificate

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

LIMITS = replace(LiveLimits(), call=timedelta(seconds=5))
PODS = "/api/v1/pods"


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubeApi]:
    async with running([kube.pod("a")], logs={"shop/a/app": b"one\ntwo\nthree\n"}) as made:
        yield made


@pytest.fixture
async def api(fake: FakeKubeApi, tmp_path: Path) -> AsyncIterator[KubeApi]:
    access = Access(str(kubeconfig(tmp_path / "config", fake.url)))
    made = KubeApi(lambda: connect(access), LIMITS)
    yield made
    await made.close()


async def failure(call: Awaitable[object]) -> ApiFailure:
    with pytest.raises(ApiFailure) as failed:
        await call
    return failed.value


async def test_the_servers_clock_comes_with_the_answer(api: KubeApi):
    assert (await api.get(PODS)).date == kube.NOW


@pytest.mark.parametrize(
    ("status", "why"),
    [(403, Why.forbidden), (404, Why.missing), (405, Why.missing), (410, Why.expired), (422, Why.refused)],
)
async def test_a_refusal_is_asked_about_once_and_tells_the_servers_sentence(
    api: KubeApi, fake: FakeKubeApi, status: int, why: Why
):
    fake.faults[PODS] = [refusal(status, 'pods is forbidden: User "x" cannot list')]

    failed = await failure(api.get(PODS))

    assert failed.why is why
    assert 'User "x" cannot list' in failed.reason
    assert len(fake.asked_for(PODS)) == 1


async def test_an_overloaded_server_is_asked_again_when_it_says(api: KubeApi, fake: FakeKubeApi):
    fake.faults[PODS] = [refusal(429, "too many requests", **{"Retry-After": "1"})]
    began = time.monotonic()

    await api.get(PODS)

    assert 1.0 <= time.monotonic() - began < 3
    assert len(fake.asked_for(PODS)) == 2


async def test_who_would_have_to_wait_longer_than_there_is_time_does_not_wait(
    api: KubeApi, fake: FakeKubeApi
):
    fake.faults[PODS] = [refusal(429, "too many requests", **{"Retry-After": "60"})]
    began = time.monotonic()

    failed = await failure(api.get(PODS))

    assert (failed.why, failed.retry_after) == (Why.overloaded, timedelta(seconds=60))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("fault", [refusal(500, "etcd"), refusal(503, "later"), Fault(cut=True)])
async def test_what_may_pass_is_tried_again(api: KubeApi, fake: FakeKubeApi, fault: Fault):
    fake.faults[PODS] = [fault, fault]

    assert b'"PodList"' in (await api.get(PODS)).body


@pytest.mark.parametrize(
    ("fault", "why"), [(refusal(500, "etcd"), Why.broken), (Fault(cut=True), Why.unreachable)]
)
async def test_what_does_not_pass_is_given_up_after_three_tries(
    api: KubeApi, fake: FakeKubeApi, fault: Fault, why: Why
):
    fake.faults[PODS], fake.sticky = [fault], {PODS}

    assert (await failure(api.get(PODS))).why is why
    assert len(fake.asked_for(PODS)) >= 3


async def test_a_slow_server_is_left_when_the_time_is_up(api: KubeApi, fake: FakeKubeApi):
    fake.faults[PODS] = [Fault(wait=30)]
    began = time.monotonic()

    failed = await failure(api.get(PODS, within=timedelta(milliseconds=300)))

    assert (failed.why, failed.reason) == (Why.slow, "no answer within 0.3 s")
    assert time.monotonic() - began < 2


async def test_an_answer_beyond_the_limit_is_not_read_to_its_end(api: KubeApi, fake: FakeKubeApi):
    fake.faults[PODS] = [Fault(body=b"x" * 5_000_000)]

    assert (await failure(api.get(PODS, most=100_000))).why is Why.large


async def test_of_a_log_the_end_is_kept_from_a_whole_line_on(api: KubeApi):
    path = "/api/v1/namespaces/shop/pods/a/log"

    whole = await api.get(path, [("container", "app")], tail=100)
    end = await api.get(path, [("container", "app")], tail=8)

    assert (whole.body, whole.cut) == (b"one\ntwo\nthree\n", False)
    assert (end.body, end.cut) == (b"three\n", True)


async def test_a_log_that_does_not_end_is_left_with_what_was_read(api: KubeApi, fake: FakeKubeApi):
    fake.logs["shop/a/app"] = b"line\n" * 1_000_000

    answer = await api.get(
        "/api/v1/namespaces/shop/pods/a/log", [("container", "app")], tail=1_000, most=200_000
    )

    assert answer.cut
    assert 0 < len(answer.body) <= 1_000


async def test_when_nobody_listens_it_says_so(tmp_path: Path):
    access = Access(str(kubeconfig(tmp_path / "config", "http://127.0.0.1:9")))
    api = KubeApi(lambda: connect(access), LIMITS)

    failed = await failure(api.get(PODS))

    assert failed.why is Why.unreachable
    assert failed.reason == "http://127.0.0.1:9: connection refused"
    await api.close()


async def test_new_credentials_are_read_when_the_old_ones_are_refused(fake: FakeKubeApi, tmp_path: Path):
    config = kubeconfig(tmp_path / "config", fake.url, token="old")
    api = KubeApi(lambda: connect(Access(str(config))), LIMITS)
    await api.get(PODS)
    kubeconfig(config, fake.url, token="new")
    fake.faults[PODS] = [refusal(401, "Unauthorized")]

    await api.get(PODS)

    assert fake.tokens == ["Bearer old", "Bearer old", "Bearer new"]
    await api.close()


async def test_credentials_that_are_refused_twice_are_named(api: KubeApi, fake: FakeKubeApi):
    fake.faults[PODS], fake.sticky = [refusal(401, "Unauthorized")], {PODS}

    failed = await failure(api.get(PODS))

    assert failed.why is Why.unauthorized
    assert "renew them" in failed.reason
    assert "t0ken" not in failed.reason
    assert len(fake.asked_for(PODS)) == 2


async def test_many_who_are_refused_renew_once(fake: FakeKubeApi, tmp_path: Path):
    made = 0
    access = Access(str(kubeconfig(tmp_path / "config", fake.url)))

    async def counted():
        nonlocal made
        made += 1
        return await connect(access)

    api = KubeApi(counted, LIMITS)
    await api.get(PODS)
    fake.faults[PODS] = [refusal(401, "Unauthorized")] * 5

    answers = await asyncio.gather(*(api.get(PODS) for _ in range(5)))

    assert len(answers) == 5
    assert made == 2
    await api.close()


@contextmanager
def hard_of_hearing(made: Certificate) -> Iterator[str]:
    """A server that begins an answer, and then reads no more: it never replies to a goodbye."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            plain, _ = listening.accept()
            with made.server_context().wrap_socket(plain, server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n"
                )
                over.wait(30)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("way", ["a watch", "an answer that is too large", "a caller that left"])
def test_a_connection_that_is_not_kept_is_gone_before_the_server_says_goodbye(way: str, tmp_path: Path):
    made = certificate(tmp_path / "tls")

    async def ask(url: str) -> None:
        access = Access(str(kubeconfig(tmp_path / "config", url, authority=made.authority)))
        api = KubeApi(lambda: connect(access), LIMITS)
        match way:
            case "a watch":
                second = timedelta(seconds=5)
                watch = api.lines(PODS, (), opening=second, silence=lambda: second, most=1000)
                async for lines in watch:
                    if lines:
                        break
                await watch.aclose()
            case "an answer that is too large":
                assert (await failure(api.get(PODS, most=1))).why is Why.large
            case "a caller that left":
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await api.get(PODS)
        await api.close()

    with hard_of_hearing(made) as url, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(ask(url))
        gc.collect()

    assert [str(one.message) for one in told] == []
