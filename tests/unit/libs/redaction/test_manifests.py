from __future__ import annotations

import pytest

from libs.redaction.manifests import without_secret_data

pytestmark = pytest.mark.requirement("INT-BR-SEC-012")

SECRET = "apiVersion: v1\ndata:\n  a: eA==\nkind: Secret"
CONFIG = "kind: ConfigMap\ndata:\n  a: b"


def test_only_the_document_that_is_a_secret_loses_its_values():
    assert without_secret_data(f"{CONFIG}\n---\n{SECRET}\n---\n{CONFIG}", lambda _: "X") == (
        f"{CONFIG}\n---\napiVersion: v1\ndata:\n  a: X\nkind: Secret\n---\n{CONFIG}"
    )


def test_a_secret_inside_a_list_loses_its_values_and_keeps_its_name():
    text = "items:\n- kind: Secret\n  metadata:\n    name: db\n  stringData:\n    a: hunter\n  type: Opaque"

    assert without_secret_data(text, lambda _: "X") == text.replace("hunter", "X")


def test_every_line_of_a_block_of_text_goes():
    text = "kind: Secret\nstringData:\n  a: |\n    one\n    two\n  b: three"

    assert without_secret_data(text, lambda _: "X") == (
        "kind: Secret\nstringData:\n  a: X\n    X\n    X\n  b: X"
    )


def test_pretty_printed_json_loses_its_values():
    text = '{\n  "kind": "Secret",\n  "data": {\n    "a": "eA==",\n    "b": "eQ=="\n  }\n}'

    assert without_secret_data(text, lambda _: "X") == text.replace("eA==", "X").replace("eQ==", "X")


def test_text_about_a_secret_is_not_a_secret():
    text = "the Secret shop/db has data:\n  nothing in it"

    assert without_secret_data(text, lambda _: "X") == text
