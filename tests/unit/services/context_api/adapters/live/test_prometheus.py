from __future__ import annotations

import json

import pytest

from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.prometheus import Prometheus, by_namespace, data_of

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

SERIES = {"metric": {"pod": "a"}, "value": [1, "0.5"]}


def test_the_data_of_an_answer_is_kept_as_it_is():
    data = {"resultType": "vector", "result": [SERIES]}

    assert data_of(json.dumps({"status": "success", "data": data}).encode(), 10) == data


@pytest.mark.parametrize(
    ("body", "why", "words"),
    [
        (b"<html>gateway</html>", Why.broken, "no JSON"),
        (b"[]", Why.broken, "not Prometheus'"),
        (b'{"status":"success","data":{"result":7}}', Why.broken, "not Prometheus'"),
        (b'{"status":"error","error":"query timed out"}', Why.refused, "query timed out"),
        (b'{"status":"error"}', Why.refused, "no reason"),
    ],
)
def test_another_answer_is_a_failure_that_says_why(body: bytes, why: Why, words: str):
    with pytest.raises(ApiFailure, match=words) as failed:
        data_of(body, 10)

    assert failed.value.why is why


def test_more_series_than_the_limit_are_not_taken():
    body = json.dumps({"status": "success", "data": {"result": [SERIES] * 3}}).encode()

    with pytest.raises(ApiFailure, match="more than 2 series"):
        data_of(body, 2)


def test_its_name_holds_no_password():
    assert Prometheus("https://me:s3cret@prom.example/p?token=x").name == "https://prom.example/p"


def test_an_answer_is_parted_by_namespace_so_that_each_reader_gets_the_own_part():
    def series(**labels: str) -> dict[str, object]:
        return {"metric": labels, "value": [1, "1"]}

    shop, bank, none = series(namespace="shop"), series(namespace="bank"), series(node="n")
    data = {"resultType": "vector", "result": [shop, none, bank, shop]}

    assert by_namespace("restarts", data) == [
        ("restarts", {"resultType": "vector", "result": [none]}),
        ("restarts-bank", {"resultType": "vector", "result": [bank]}),
        ("restarts-shop", {"resultType": "vector", "result": [shop, shop]}),
    ]


def test_an_answer_without_series_is_none():
    assert by_namespace("restarts", {"resultType": "vector", "result": []}) == []
