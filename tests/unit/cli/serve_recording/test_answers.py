from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.serve_recording.answers import CHUNK, Answer, Desk, Request, refusal
from cli.serve_recording.index import index_of
from cli.serve_recording.statuses import Refused
from services.context_api.domain.snapshot import ContainerLog, NotRead
from tests.support.kube import Doc, container, pod, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
API, BANK, PAIR = (
    pod("api-0", labels={"app": "api"}),
    pod("b", "bank"),
    pod("pair", containers=[container("app"), container("proxy")]),
)
MOUSE = thing("Mouse", "m", None, api="example.com/v1")
LOGS = [
    ContainerLog("shop", "api-0", "app", previous=False, text="now\n"),
    ContainerLog("shop", "api-0", "app", previous=True, text="before\n", truncated=True),
    ContainerLog("shop", "gone", "app", previous=False, text="last words\n"),
]
GAPS = [NotRead("secrets in bank", "not allowed"), NotRead("jobs.batch", 'no answer\r\n"quoted" ü')]
DESK = Desk(
    index_of(snapshot(API, BANK, PAIR, MOUSE, thing("Event", "e"), logs=LOGS, not_read=GAPS)), "127.0.0.1:1"
)


def ask(path: str, query: str = "", *, method: str = "GET", accept: str = "", body: bytes = b"") -> Answer:
    return DESK.answer(Request(method, path.encode(), query.encode(), accept, body))


def read(answer: Answer) -> Any:
    return json.loads(b"".join(answer.chunks))


def refused(path: str, query: str = "", **more: Any) -> Refused:
    with pytest.raises(Refused) as found:
        ask(path, query, **more)
    return found.value


def code_of(request: Request) -> int:
    """Of an answer that is sent whole, or of the refusal."""
    try:
        answer = DESK.answer(request)
        b"".join(answer.chunks)
    except Refused as found:
        return found.code
    return answer.status


REFUSALS = range(400, 500)
TOO_NEW = 504
"""The API server's answer to a version it has not reached."""


def warnings(answer: Answer) -> list[str]:
    return [value for name, value in answer.headers if name == "warning"]


def test_an_object_is_the_recorded_one():
    assert read(ask("/api/v1/namespaces/shop/pods/api-0")) == API
    assert read(ask("/api/v1/namespaces/shop/pods/api-0/status")) == API
    assert read(ask("/apis/example.com/v1/mouses/m")) == MOUSE


def test_a_list_is_the_recorded_objects():
    everywhere = read(ask("/api/v1/pods"))

    assert (everywhere["kind"], everywhere["apiVersion"]) == ("PodList", "v1")
    assert everywhere["metadata"] == {"resourceVersion": "1000"}
    assert everywhere["items"] == [BANK, API, PAIR]
    assert read(ask("/api/v1/namespaces/shop/pods", "labelSelector=app%3Dapi"))["items"] == [API]
    assert read(ask("/api/v1/namespaces/nowhere/pods"))["items"] == []


def test_a_page_says_where_to_go_on():
    first = read(ask("/api/v1/pods", "limit=2"))
    second = read(ask("/api/v1/pods", f"limit=2&continue={quote(first['metadata']['continue'])}"))

    assert first["metadata"]["remainingItemCount"] == 1
    assert [*first["items"], *second["items"]] == [BANK, API, PAIR]
    assert "continue" not in second["metadata"]


def test_a_list_is_made_of_bytes_without_parsing_any():
    """What keeps 20,000 objects fast: were one of these parsed, it would be a fault."""
    index = index_of(snapshot(API))
    pods = index.shelves["", "v1", "pods"]
    item = replace(pods.items[0], raw=b"<not JSON>")
    desk = Desk(replace(index, shelves={pods.resource.key: replace(pods, items=[item])}), "")

    for query in (b"", b"limit=1", b"labelSelector=app", b"fieldSelector=spec.nodeName%3Dnode-1"):
        answer = desk.answer(Request("GET", b"/api/v1/pods", query))
        assert b"".join(answer.chunks).endswith(b'"items":[<not JSON>]}\n')


def test_a_large_list_is_sent_in_pieces():
    large = [thing("ConfigMap", f"c{n}", data={"x": "y" * (CHUNK // 3)}) for n in range(8)]
    answer = Desk(index_of(snapshot(large)), "").answer(Request("GET", b"/api/v1/configmaps"))
    chunks = list(answer.chunks)

    assert len(chunks) > 2
    assert max(map(len, chunks)) < 2 * CHUNK
    assert json.loads(b"".join(chunks))["items"] == large


def test_a_table_has_the_metadata_or_the_object_along():
    rows = read(ask("/api/v1/pods", accept=TABLE))["rows"]
    whole = read(ask("/api/v1/namespaces/shop/pods/api-0", "includeObject=Object", accept=TABLE))
    alone = read(ask("/api/v1/pods", "includeObject=None", accept=TABLE))

    assert rows[1]["cells"][:3] == ["api-0", "1/1", "Running"]
    assert rows[1]["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": API["metadata"],
    }
    assert whole["rows"][0]["object"] == API
    assert "object" not in alone["rows"][0]
    assert refused("/api/v1/pods", "includeObject=Half", accept=TABLE).code == 400


def test_metadata_alone_can_be_asked_for():
    listed = read(
        ask("/api/v1/pods", accept="application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
    )
    one = read(
        ask(
            "/api/v1/namespaces/shop/pods/api-0",
            accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        )
    )

    assert listed["kind"] == "PartialObjectMetadataList"
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}
    assert one["metadata"] == API["metadata"]
    assert "spec" not in one


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/v1/namespaces/shop/pods/nope", 'pods "nope" not found'),
        ("/apis/apps/v1/namespaces/shop/deployments/nope", 'deployments.apps "nope" not found'),
        ("/api/v1/namespaces/nope", 'namespaces "nope" not found'),
        ("/api/v1/pods/api-0", "the server could not find the requested resource"),
        ("/api/v1/namespaces/shop/nodes", "the server could not find the requested resource"),
        ("/api/v1/widgets", "the server could not find the requested resource"),
        ("/api/v2", "the server could not find the requested resource"),
        ("/apis/nope", "the server could not find the requested resource"),
        ("/apis/nope/v1/things", "the server could not find the requested resource"),
        ("/api/v1/namespaces/shop/pods/api-0/nope", "the server could not find the requested resource"),
        ("/nowhere", "the server could not find the requested resource"),
    ],
)
def test_what_is_not_there_is_told_in_the_api_servers_words(path: str, message: str):
    found = refused(path)

    assert (found.code, found.reason, found.message) == (404, "NotFound", message)


def test_a_log_is_the_recorded_text():
    path = "/api/v1/namespaces/shop/pods/api-0/log"
    before = ask(path, "previous=true")

    assert (b"".join(ask(path).chunks), ask(path).content_type) == (b"now\n", "text/plain; charset=utf-8")
    assert b"".join(before.chunks) == b"before\n"
    assert warnings(before) == ['299 - "the beginning of this log was not recorded"']
    assert b"".join(ask(path, "container=app&follow=true").chunks) == b"now\n"


def test_a_log_outlives_its_pods_record():
    assert b"".join(ask("/api/v1/namespaces/shop/pods/gone/log").chunks) == b"last words\n"


@pytest.mark.parametrize(
    ("path", "query", "code", "words"),
    [
        ("shop/pods/nope", "", 404, 'pods "nope" not found'),
        (
            "shop/pods/pair",
            "",
            400,
            "a container name must be specified for pod pair, choose one of: [app proxy]",
        ),
        (
            "shop/pods/pair",
            "container=proxy",
            404,
            "the log of shop/pair/proxy was not recorded; of this pod there is: none",
        ),
        ("shop/pods/gone", "container=x", 404, "of this pod there is: app"),
        ("shop/pods/api-0", "container=x", 400, "container x is not valid for pod api-0"),
    ],
)
def test_a_log_that_is_not_there_is_told_of(path: str, query: str, code: int, words: str):
    found = refused(f"/api/v1/namespaces/{path}/log", query)

    assert found.code == code
    assert words in found.message


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "X" * 50])
@pytest.mark.parametrize(
    "path", ["/api/v1/namespaces/shop/pods/api-0", "/apis/apps/v1/deployments", "/", "/nowhere"]
)
def test_nothing_is_ever_written(method: str, path: str):
    found = refused(path, method=method)

    assert (found.code, found.reason) == (405, "MethodNotAllowed")
    assert "read-only" in found.message


@pytest.mark.parametrize("below", ["exec", "attach", "portforward", "proxy"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_needs_a_living_pod_is_refused_as_such(below: str, method: str):
    found = refused(f"/api/v1/namespaces/shop/pods/api-0/{below}", method=method)

    assert found.code == 405
    assert "recorded cluster" in found.message


def test_reviews_may_be_posted():
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    body = json.dumps({"spec": {"resourceAttributes": {"verb": "delete"}}}).encode()
    answer = ask(path, method="POST", body=body)

    assert answer.status == 201
    assert read(answer)["status"]["allowed"] is False
    for odd in (b"", b"{", b"k8s\0\xff", b"\xff"):
        assert refused(path, method="POST", body=odd).code == 400


def test_a_list_says_what_it_lacks():
    assert (
        warnings(ask("/api/v1/namespaces/bank/secrets"))[0]
        == '299 - "not recorded: secrets in bank: not allowed"'
    )
    assert len(warnings(ask("/api/v1/namespaces/shop/secrets"))) == 1  # that there are none at all
    assert (
        warnings(ask("/apis/batch/v1/jobs", accept=TABLE))[0]
        == r'299 - "not recorded: jobs.batch: no answer??\"quoted\" ?"'
    )
    assert warnings(ask("/api/v1/pods")) == []
    assert "holds no cronjobs.batch" in warnings(ask("/apis/batch/v1/cronjobs"))[0]


def test_objects_in_another_version_are_told_of():
    mice = [thing("Mouse", name, api=f"example.com/v{n}") for name, n in (("a", 1), ("b", 2), ("c", 2))]
    answer = Desk(index_of(snapshot(mice)), "").answer(Request("GET", b"/apis/example.com/v2/mouses"))

    assert warnings(answer) == [
        '299 - "1 more are recorded in another version: ask for mouses.v1.example.com"'
    ]


def test_a_watch_is_held():
    answer = ask("/api/v1/namespaces/shop/pods/api-0", "watch=true&timeoutSeconds=3")

    assert answer.hold is not None
    assert [json.loads(line)["object"] for line in answer.chunks] == [API]
    assert refused("/api/v1/pods", "watch=true&resourceVersion=3").code == 410


def test_the_server_says_what_it_is():
    assert "/apis/example.com/v1" in read(ask("/"))["paths"]
    assert read(ask("/version"))["gitVersion"].endswith("+recording")
    assert list(ask("/readyz/ping").chunks) == [b"ok"]
    assert read(ask("/openapi/v3")) == {"paths": {}}
    assert list(ask("/openapi/v2").chunks) == []
    assert read(ask("/api"))["kind"] == "APIVersions"
    assert read(ask("/apis"))["kind"] == "APIGroupList"
    assert read(ask("/apis/example.com"))["kind"] == "APIGroup"
    assert read(ask("/api/v1"))["kind"] == read(ask("/apis/example.com/v1"))["kind"] == "APIResourceList"
    found = ask("/apis", accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    assert (read(found)["kind"], "g=apidiscovery.k8s.io" in found.content_type) == (
        "APIGroupDiscoveryList",
        True,
    )


def test_a_refusal_is_an_answer_with_its_headers():
    answer = refusal(refused("/", method="PUT"))

    assert (answer.status, answer.headers) == (405, (("allow", "GET, HEAD"),))
    assert read(answer)["kind"] == "Status"


HOSTILE = [
    "..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a%00b", "%0d%0aSet-Cookie:x", "'; DROP TABLE pods; --", "$(touch x)", "`id`",
    "{{7*7}}", "%ff%fe", "%c3%28", "a" * 5000, "*", "?", "#", "<script>", "\u202e", "%25252e", "con", "-", "_", "~", "\\", "|", "!", "x" * 254,
]  # fmt: skip
PLACES = [
    "/{}", "/api/{}", "/api/v1/{}", "/apis/{}", "/apis/{}/v1", "/apis/apps/{}/deployments", "/api/v1/namespaces/{}/pods", "/api/v1/namespaces/shop/pods/{}",
    "/api/v1/namespaces/shop/pods/{}/log", "/api/v1/namespaces/shop/pods/api-0/{}", "/api/v1/nodes/{}", "/{}/{}/{}/{}/{}/{}/{}/{}",
]  # fmt: skip
PARAMETERS = ["labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "timeoutSeconds", "watch",
              "includeObject", "container", "tailLines", "sinceTime", "sinceSeconds", "limitBytes", "stream", "timestamps"]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("words", HOSTILE)
def test_no_path_is_a_fault(place: str, words: str):
    for path in (place.replace("{}", words), place.replace("{}", quote(words, safe=""))):
        request = Request("GET", path.encode())

        # An empty list of a namespace that nobody recorded, as the API server answers it, or a refusal.
        assert code_of(request) in REFUSALS or read(DESK.answer(request)).get("items", []) == []


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize(
    "path",
    ["/api/v1/pods", "/api/v1/namespaces/shop/pods/api-0", "/api/v1/namespaces/shop/pods/api-0/log"],
)
def test_no_parameter_is_a_fault(path: str, name: str):
    for words in HOSTILE:
        for raw in (f"{name}={words}", f"{name}={quote(words)}", f"{name}={quote(words)}&watch=1"):
            assert code_of(Request("GET", path.encode(), raw.encode())) in (200, TOO_NEW, *REFUSALS)


@given(st.text(max_size=80), st.text(max_size=80), st.sampled_from(["", TABLE]))
def test_no_request_is_a_fault(path: str, query: str, accept: str):
    for given_path in (f"/{path}", f"/api/v1/{path}", f"/api/v1/namespaces/shop/pods/api-0/{path}"):
        request = Request("GET", given_path.encode(), quote(query, safe="=&").encode(), accept)

        assert code_of(request) in (200, TOO_NEW, *REFUSALS)


def test_a_secret_has_no_data_to_give():
    secret: Doc = thing("Secret", "s", type="Opaque", dataSummary={"password": {"bytes": 8}})
    answer = Desk(index_of(snapshot(secret)), "").answer(Request("GET", b"/api/v1/namespaces/shop/secrets/s"))

    assert read(answer) == secret
    assert (
        "data"
        not in read(Desk(index_of(snapshot(secret)), "").answer(Request("GET", b"/api/v1/secrets")))["items"][
            0
        ]
    )
