"""YAML is JSON in another dress: in both directions, and nothing more of it."""

from __future__ import annotations

import pytest
import yaml

from libs.web.body import MalformedJson
from libs.web.yaml import MAX_YAML, as_json, as_yaml
from tests.support.web_client import calling

pytestmark = pytest.mark.requirement("API-BR-API-003", "API-BR-SEC-006")

YAML = {"Content-Type": "application/yaml"}
BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


@pytest.mark.parametrize("kind", ["application/yaml", "application/x-yaml", "text/yaml; charset=utf-8"])
async def test_a_yaml_body_is_taken_like_the_json_it_stands_for(kind):
    async with calling() as service:
        answer = await service.http.post(
            "/api/v1/notes", content="text: hello\nnumber: 7\n", headers={"Content-Type": kind}
        )

    assert (answer.status_code, answer.json()) == (200, {"text": "hello", "number": 7, "more": {}})


async def test_who_asks_for_yaml_is_answered_in_yaml():
    async with calling() as service:
        answer = await service.http.get("/api/v1/notes/ä", headers={"Accept": "application/yaml"})

    assert answer.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(answer.text) == {"text": "ä", "number": 0, "more": {}}


async def test_a_large_answer_comes_whole_in_yaml_too():
    async with calling() as service:
        answer = await service.http.get("/api/v1/large?size=20000", headers={"Accept": "application/yaml"})

    assert yaml.safe_load(answer.text)["text"] == "x" * 20_000


async def test_problems_stay_problem_documents():
    async with calling() as service:
        answer = await service.http.get("/api/v1/nowhere", headers={"Accept": "application/yaml"})

    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (BOMB, "aliases"),
        (b"a: !!python/object/apply:os.system [id]", "tags"),
        (b"a: !!str 1", "tags"),
        (b"[" * 1_000, "deep"),
        (b"a: b: c", ""),
        (b"a: 1\n---\nb: 2\n", ""),
        (b"1: a", ""),
        (b"a: 1\na: 2\n", "line 2 stands twice"),
        (b"a: {b: 1, 'b': 2}", "twice"),
        (b"- {a: [{b: 1}], a: 1}", "twice"),
        (b"<<: {a: 1}", "merge"),
        (b"a: .nan", "no number of JSON"),
        (b"a: [-.INF]", "no number of JSON"),
        (b"a: " + b"1:" * 50_000 + b"1", "more than 300 signs"),
        (b"a: " + b"9" * 100_000, "more than 300 signs"),
        (b'a: "\\0"', "U+0000"),
        (b"a: 123456789012345678901234567890", ""),
        (b"\xff\xfe\x00", ""),
    ],
)
async def test_what_json_has_no_word_for_is_a_400(body, said):
    async with calling() as service:
        answer = await service.http.post("/api/v1/notes", content=body, headers=YAML)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-yaml")
    assert said in answer.json()["errors"][0]["reason"]


async def test_a_yaml_body_has_a_limit_of_its_own():
    async with calling() as service:
        answer = await service.http.post("/api/v1/notes", content=b"#" * (MAX_YAML + 1), headers=YAML)

    assert answer.status_code == 413


async def test_what_is_valid_yaml_and_not_valid_input_names_its_field():
    async with calling() as service:
        answer = await service.http.post("/api/v1/notes", content=b"number: 1", headers=YAML)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.text")


def test_the_translations_undo_each_other():
    document = b'{"text":"a: b\\n- c","list":[1,2.5,null,true],"empty":{}}'

    assert as_json(as_yaml(document)) == document


def test_a_nul_that_yaml_can_write_is_found_in_keys_too():
    with pytest.raises(MalformedJson, match="U\\+0000"):
        as_json(b'"a\\0b": 1')


@pytest.mark.parametrize(
    ("body", "same"),
    [
        (b"a: '.nan'\nb: '<<'", b'{"a":".nan","b":"<<"}'),
        (b"a: {b: 1}\nc: {b: 1}", b'{"a":{"b":1},"c":{"b":1}}'),
        (b"{a: [b, b], b: a}", b'{"a":["b","b"],"b":"a"}'),
        (b"- a\n- a", b'["a","a"]'),
        (b"a: '" + b"9" * 400 + b"'", b'{"a":"' + b"9" * 400 + b'"}'),
    ],
)
def test_what_only_looks_like_more_than_json_is_read(body, same):
    assert as_json(body) == same
