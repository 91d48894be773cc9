from __future__ import annotations

import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.redaction import GONE, RULE_NAMES, redact

pytestmark = pytest.mark.requirement("INT-BR-SEC-011", "INT-BR-SEC-012")

# Made anew for each run: a secret that stood here would be found by every scanner.
S = secrets.token_hex(12)
B64 = base64.b64encode(secrets.token_bytes(24)).decode()
PAIR = base64.b64encode(f"app:{S}".encode()).decode()
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{B64}\n{B64}\n-----END RSA PRIVATE KEY-----"
JWT = f"eyJ{secrets.token_hex(8)}.{secrets.token_hex(8)}.{secrets.token_hex(8)}"

LEAKS = [
    ("private-key", f"tls:\n{KEY}\nend", f"tls:\n{GONE}\nend"),
    ("private-key", f"cut off: -----BEGIN PRIVATE KEY-----\n{B64}", f"cut off: {GONE}"),
    (
        "slack-webhook",
        f"https://hooks.slack.com/services/T0/B0/{S}",
        f"https://hooks.slack.com/services/{GONE}",
    ),
    ("url-password", f"postgres://app:{S}@db:5432/shop", f"postgres://app:{GONE}@db:5432/shop"),
    ("url-password", f"redis://:{S}@cache", f"redis://:{GONE}@cache"),
    ("url-password", f"mongodb://u:a@b/{S}@h/d", f"mongodb://u:{GONE}@h/d"),
    ("authorization-header", f"Authorization: Basic {B64}", f"Authorization: Basic {GONE}"),
    ("authorization-header", f'{{"authorization": "{S}"}}', f'{{"authorization": "{GONE}"}}'),
    ("bearer-token", f"sent bearer {S} and failed", f"sent bearer {GONE} and failed"),
    ("jwt", f"got {JWT}.", f"got {GONE}."),
    ("openai-key", f"key sk-{S} is revoked", f"key {GONE} is revoked"),
    ("github-token", f"cloned with ghp_{S}", f"cloned with {GONE}"),
    ("slack-token", f"xoxb-{S} is not allowed", f"{GONE} is not allowed"),
    ("aws-access-key", "AKIA" + S[:16].upper(), GONE),
    ("google-api-key", "AIza" + S + "01234567890", GONE),
    ("url-parameter", f"GET /a?x=1&access_token={S}&y=2", f"GET /a?x=1&access_token={GONE}&y=2"),
    ("command-line-flag", f"mysql --password {S} --host db", f"mysql --password {GONE} --host db"),
    ("assignment", f"PGPASSWORD={S} psql", f"PGPASSWORD={GONE} psql"),
    ("assignment", f'{{"dbPassword": "{S}", "port": 1}}', f'{{"dbPassword": "{GONE}", "port": 1}}'),
    ("assignment", f"api_key='{S}'", f"api_key='{GONE}'"),
    # JSON in a log's line that is JSON, and a line that was cut.
    ("assignment", rf'"{{\"apiKey\": \"{S}\"}}"', rf'"{{\"apiKey\": \"{GONE}\"}}"'),
    ("assignment", rf"{{\\\"token\\\":\\\"{S}\\\"}}", rf"{{\\\"token\\\":\\\"{GONE}\\\"}}"),
    ("assignment", f'{{"apiKey": "{S}', f'{{"apiKey": "{GONE}'),
    ("assignment", f"db_password: '{S}\nnext", f"db_password: '{GONE}\nnext"),
    ("authorization-header", rf"\"Authorization\": \"Basic {B64}\"", rf"\"Authorization\": \"Basic {GONE}\""),
    ("docker-config", rf"{{\"auth\":\"{B64}\"}}", rf"{{\"auth\":\"{GONE}\"}}"),
    ("assignment", f"token: {S} was used", f"token: {GONE} was used"),
    ("assignment", "password: hunter and more", f"password: {GONE} and more"),
    ("assignment", f"aws_secret_access_key = {B64}", f"aws_secret_access_key = {GONE}"),
    ("assignment", f"secret={S}; token={S}", f"secret={GONE}; token={GONE}"),
    ("assignment", f"AccountName=logs;AccountKey={B64};", f"AccountName=logs;AccountKey={GONE};"),
    ("kubeconfig", f"client-key-data: {B64}", f"client-key-data: {GONE}"),
    (
        "docker-config",
        f'{{"auths": {{"r": {{"auth": "{B64}"}}}}}}',
        f'{{"auths": {{"r": {{"auth": "{GONE}"}}}}}}',
    ),
    (
        "chat-webhook",
        f"https://discord.com/api/webhooks/1/{S}",
        f"https://discord.com/api/webhooks/{GONE}",
    ),
    ("database-address", f"app:{S}@tcp(db:3306)/shop", f"app:{GONE}@tcp(db:3306)/shop"),
    ("cookie", f"Set-Cookie: session={S}; Path=/", f"Set-Cookie: session={GONE}; Path=/"),
    ("basic-credentials", f"sent Basic {PAIR} twice", f"sent Basic {GONE} twice"),
    ("gitlab-token", f"cloned with glpat-{S}", f"cloned with {GONE}"),
    ("google-oauth-token", f"ya29.{S} is expired", f"{GONE} is expired"),
    ("stripe-key", f"charged with sk_live_{S}", f"charged with {GONE}"),
    ("sendgrid-key", f"SG.{S}.{S} refused", f"{GONE} refused"),
    ("package-registry-token", f"npm_{S}{S} refused", f"{GONE} refused"),
    ("vault-token", f"hvs.{S} refused", f"{GONE} refused"),
    ("cloud-token", f"dop_v1_{S}{S} refused", f"{GONE} refused"),
    ("password-hash", f"root:$6$salt${S}:1", f"root:{GONE}:1"),
    ("command-line-flag", f"sshpass -p {S} ssh host", f"sshpass -p {GONE} ssh host"),
    ("command-line-user", f"curl -s -u admin:{S} http://x", f"curl -s -u admin:{GONE} http://x"),
    (
        "kubernetes-secret-data",
        f"kind: Secret\nmetadata:\n  name: db\ndata:\n  user: {B64}\n  tls.key: |\n    {B64}\ntype: Opaque",
        f"kind: Secret\nmetadata:\n  name: db\ndata:\n  user: {GONE}\n  tls.key: {GONE}\n    {GONE}\ntype: Opaque",
    ),
    (
        "kubernetes-secret-data",
        f'{{"kind": "Secret", "data": {{"user": "{B64}"}}, "type": "Opaque"}}',
        f'{{"kind": "Secret", "data": {{"user": "{GONE}"}}, "type": "Opaque"}}',
    ),
]

INNOCENT = [
    'FATAL: password authentication failed for user "app"',
    "token: expired while reading the header",
    "near token: unexpected end of file",
    "prompt tokens: 512, max_tokens=4096",
    "secretName: db-auth",
    "secretKeyRef: {name: db-auth, key: password}",
    "passwordFile: /run/secrets/db",
    "automountServiceAccountToken: false",
    'secret "db-auth" not found',
    "Secret: shop/db-auth lacks key password",
    "Secret: shop/db-auth",
    "command: psql -c password=$PGPASSWORD",
    "http://metrics.shop.svc:8080/@latest",
    "Bearer of responsibility-for-everything",
    "the basic authentication-and-authorization page",
    "Basic understanding of the subject",
    "curl -u admin http://api:8080/x@y",
    "listening on tcp(0.0.0.0:80)",
    "cookie: not set",
    "image sk-8s and sk_buff are fine",
    "costs $5 to $60",
    "10.1.2.3 refused oncall@example.org",
    "kind: ConfigMap\ndata:\n  max_connections: '100'",
    "metadata:\n  annotations:\n    description: disk is full\n    team: shop",
]


# Names of their own: the texts hold random secrets, which belong into no report, and parallel runs must agree.
@pytest.mark.parametrize(
    ("rule", "text", "expected"), LEAKS, ids=[f"{number}-{rule}" for number, (rule, _, _) in enumerate(LEAKS)]
)
def test_a_secret_is_taken_out_and_the_rule_named(rule: str, text: str, expected: str):
    redacted = redact(text)

    assert redacted.text == expected
    assert rule in redacted.rules


@pytest.mark.parametrize("text", INNOCENT)
def test_what_people_need_to_understand_stays(text: str):
    assert redact(text).text == text


def test_every_rule_is_shown_to_fire():
    assert {rule for rule, _, _ in LEAKS} == set(RULE_NAMES)


@given(
    st.lists(st.sampled_from([text for _, text, _ in LEAKS] + INNOCENT) | st.text(max_size=30), max_size=6)
)
def test_redacting_twice_changes_nothing_more(parts: list[str]):
    once = redact("\n".join(parts)).text

    again = redact(once)

    assert (again.text, again.rules) == (once, ())


@given(before=st.sampled_from(INNOCENT), after=st.sampled_from(INNOCENT), leak=st.sampled_from(LEAKS))
def test_neighbouring_lines_neither_hide_a_secret_nor_vanish(
    before: str, after: str, leak: tuple[str, str, str]
):
    _, text, _ = leak

    redacted = redact(f"{before}\n---\n{text}\n---\n{after}").text

    assert S not in redacted
    assert B64 not in redacted
    if "BEGIN PRIVATE" not in text:  # a key without its end takes what follows
        assert redacted.startswith(before)
        assert redacted.endswith(after)
