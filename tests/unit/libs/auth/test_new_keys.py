from __future__ import annotations

import pytest

from libs.auth.authenticator import Authenticator
from libs.auth.keys import KeyRing
from libs.auth.minter import TokenMinter
from libs.auth.new_keys import new_api_key, new_keys
from libs.auth.permissions import Role

pytestmark = pytest.mark.requirement("HAPI-074", "HAPI-111")


def test_a_new_document_knows_the_credentials_that_were_handed_out():
    keys = new_keys()
    door = Authenticator(KeyRing.parse(keys.document.encode()))

    operator = door.authenticate({b"x-api-key": keys.operator_key.encode()}, None)
    alertmanager = door.authenticate({b"authorization": f"Bearer {keys.alertmanager_token}".encode()}, None)

    assert (operator.name, set(operator.roles), operator.tenant) == ("operator", {Role.operator}, "default")
    assert operator.may_read("anything")
    assert (alertmanager.name, set(alertmanager.roles)) == ("alertmanager", {Role.ingest})


def test_services_can_call_each_other_with_it():
    ring = KeyRing.parse(new_keys().document.encode())

    token = TokenMinter(lambda: ring, service="alerts")("default")

    principal = Authenticator(ring).authenticate({b"authorization": f"Bearer {token}".encode()}, None)
    assert principal.roles == {Role.service}


def test_the_document_does_not_hold_the_plain_keys():
    keys = new_keys()

    assert keys.operator_key not in keys.document
    assert keys.alertmanager_token not in keys.document
    assert keys.operator_key not in repr(keys)


def test_two_installations_share_nothing():
    one, other = new_keys(), new_keys()
    door = Authenticator(KeyRing.parse(one.document.encode()))

    with pytest.raises(Exception, match="unknown-api-key"):
        door.authenticate({b"x-api-key": other.operator_key.encode()}, None)


def test_an_api_key_has_256_random_bits():
    keys = {new_api_key() for _ in range(1000)}

    assert len(keys) == 1000
    assert {len(key) for key in keys} == {len("kn_") + 43}
