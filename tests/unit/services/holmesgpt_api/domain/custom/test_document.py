"""A document says what there is; it cannot switch an approval off, shadow what is ours, or speak in plain text."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.holmesgpt_api.domain.custom.document import RESERVED, Documents
from services.holmesgpt_api.domain.toolsets import FORBIDDEN, OFFERED
from tests.support.toolsets import ANY, OWNER, RESTART, document, http, mcp, of

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079", "HAPI-148")

CMDB = "https://cmdb.example.com"


def tool(**fields: Any) -> dict[str, Any]:
    return http(CMDB, tools=[{**OWNER, **fields}])


def test_a_document_is_read_with_its_origin_and_a_digest_of_what_it_says():
    made, other = document(http(CMDB)), document(http(CMDB, description="another"))

    assert str(made.where) == CMDB
    assert [(one.name, one.writes) for one in made.tools] == [
        ("owner", False),
        ("any", False),
        ("restart", True),
    ]
    assert made.digest == document(http(CMDB)).digest
    assert made.digest != other.digest


def test_no_name_of_ours_and_none_that_is_never_offered_can_be_taken():
    ours = {one for one in OFFERED if "/" not in one}

    assert ours | FORBIDDEN <= RESERVED


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (http(CMDB, name="kubernetes"), "taken, or never offered"),
        (http(CMDB, name="internet"), "taken, or never offered"),
        (http(CMDB, name="bash"), "taken, or never offered"),
        (http(CMDB, name="Cmdb"), "name"),
        (http(CMDB, name="cm_db"), "name"),
        (http(CMDB, name="kubernetes/logs"), "name"),
        (http(CMDB, name="сmdb"), "name"),  # Cyrillic
        (http(CMDB, name="cmdb\n"), "name"),
        (http(CMDB, name="c" * 31), "name"),
        (http(CMDB, version="1.2"), "version"),
        (http(CMDB, version="latest"), "version"),
        (http(CMDB, type="shell"), "type"),
        (http(CMDB, type="stdio"), "type"),
        (http(CMDB, command="id"), "command"),
        (http("http://cmdb.example.com", allow_http=False), "want https"),
        (http("https://169.254.169.254"), "nothing may be asked"),
        (http("https://user:pass@cmdb.example.com"), "plain characters"),
        (http("https://cmdb.example.com/api"), "nothing else"),
        (http(CMDB, tools=[]), "tools"),
        (http(CMDB, tools=[OWNER, OWNER]), "two of this name"),
        (http(CMDB, tools=[OWNER, {**OWNER, "name": "Owner"}]), "two of this name"),
        (http(CMDB, timeout_s=600), "timeout_s"),
        (http(CMDB, max_output_chars=10**9), "max_output_chars"),
        (http(CMDB, headers={"Host": "evil"}), "not to be set"),
        (http(CMDB, headers={"X-Forwarded-For": "127.0.0.1"}), "not to be set"),
        (http(CMDB, headers={"X-HTTP-Method-Override": "DELETE"}), "not to be set"),
        (http(CMDB, headers={"a b": "x"}), "not to be set"),
        (http(CMDB, headers={"X-A": "x\r\nY: z"}), "no plain text"),
        (http(CMDB, headers={"Authorization": "Bearer x"}), "a credential"),
        (http(CMDB, credential={}), "give one of"),
        (http(CMDB, credential={"token": "x", "token_env": "X"}), "give one of"),
        (http(CMDB, credential={"token_env": "X", "header": "Cookie"}), "not to be set"),
        (http(CMDB, credential={"token_env": "X", "scheme": "a b"}), "scheme"),
        (tool(method="POST"), "approval must be `required`"),
        (tool(method="DELETE"), "approval must be `required`"),
        (tool(method="PUT", approval=None), "approval must be `required`"),
        (tool(method="POST", approval="none"), "approval"),
        (tool(method="POST", approval=False), "approval"),
        (tool(method="TRACE"), "method"),
        (tool(method="CONNECT"), "method"),
        (tool(method="get"), "method"),
        (tool(body={"a": 1}), "a body goes with"),
        (tool(path="/a/{ghost}"), "a gap without a parameter"),
        (tool(path="/fixed"), "a parameter without a gap"),
        (tool(path="/../{host}"), "dots"),
        (tool(path="//evil.example.com/{host}"), "empty segment"),
        (tool(path="/a?b={host}"), "does not stand in a path"),
        (tool(parameters={"properties": {"host": {"type": "string"}}}), "must be required"),
        (tool(parameters=of(host={"$ref": "#/"})), "not taken"),
        (tool(result="data.items"), "result"),
        (tool(name="ow ner"), "name"),
        (tool(name="оwner"), "name"),  # Cyrillic
        (tool(description=""), "description"),
        (mcp(CMDB, tools=[{"name": "restart", "access": "write"}]), "approval must be `required`"),
        (mcp(CMDB, tools=[{"name": "restart"}]), "access"),
        (mcp(CMDB, tools=[{"name": "restart", "access": "read", "pin": "abc"}]), "pin"),
        (mcp(CMDB, endpoint="/{a}"), "has no gaps"),
        (mcp(CMDB, endpoint="http://evil/mcp"), "begins with a slash"),
        (mcp(CMDB, command=["sh"]), "command"),
    ],
)
def test_what_a_document_may_not_say_is_refused(raw: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        document(raw)


def test_two_documents_bear_two_names():
    with pytest.raises(ValidationError, match="two of this name"):
        Documents.model_validate({"custom": [http(CMDB), mcp(CMDB, name="cmdb")]})


def test_reading_may_need_approval_as_well():
    made = document(http(CMDB, tools=[{**ANY, "approval": "required"}, RESTART]))

    assert all(one.writes for one in made.tools)


def test_a_credential_is_not_in_a_documents_digest_and_not_in_its_words():
    raw = http(CMDB, credential={"token": "s3cr3t-one"})

    assert "s3cr3t-one" not in repr(document(raw))
    assert document(raw).digest == document(http(CMDB, credential={"token": "s3cr3t-two"})).digest
