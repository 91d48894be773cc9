"""Which parts of a text are secrets.

Rules go by the shape of a value (a key with a known prefix, a URL with a password) or by the name before it
(`password=…`). They look at the value only: names of Secrets, keys and fields are evidence and stay, as do IP
addresses, without which most explanations explain nothing. What looks like prose after a name ("token: expired
while …") stays too; after a password's name nothing does.

RE2, because the text is foreign and its patterns take linear time whatever it holds.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from libs.redaction.manifests import Hide, without_secret_data

GONE = "[REDACTED]"

Match = Any
"""re2's match object: the same face as the one of `re`, without types."""


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    apply: Callable[[str, Hide], str]


@dataclass(frozen=True, slots=True)
class Redacted:
    """The text without secrets, and the rules that took something out."""

    text: str
    rules: tuple[str, ...]


def redact(text: str) -> Redacted:
    """The same text, secrets replaced by `[REDACTED]`; applied again it changes nothing."""
    return replaced(text, lambda _rule, _secret: GONE)


def replaced(text: str, stand_in: Callable[[str, str], str], rules: Sequence[Rule] | None = None) -> Redacted:
    """The same text, each secret replaced by what `stand_in` makes of the rule's name and the secret.

    What stands in already (`[REDACTED]`, `[SECRET-…]`) is no secret and stays.
    """
    fired: list[str] = []
    if not _MAY_HOLD_ONE.search(text):
        return Redacted(text, ())
    for rule in RULES if rules is None else rules:
        before, name = text, rule.name
        text = rule.apply(text, lambda one, name=name: one if is_stand_in(one) else stand_in(name, one))  # type: ignore[misc]
        if text != before:
            fired.append(name)
    return Redacted(text, tuple(fired))


_STAND_IN = re2.compile(r"\[[A-Z]+(?:-[0-9a-f]{4,32})?(?::[a-z0-9-]+)?\]?")


def is_stand_in(text: str) -> bool:
    return text.startswith("[") and _STAND_IN.fullmatch(text) is not None


def names_a_secret(name: str) -> bool:
    """Whether a field, variable or key of this name holds a secret."""
    return _SECRET_NAME.fullmatch(name) is not None


def is_said_about(value: str) -> bool:
    """Whether what stands after a secret's name is no secret: a state, a reference, or a stand-in."""
    return _hidden_or_said(value)


def _by(pattern: str, instead: Callable[[Match, Hide], str]) -> Callable[[str, Hide], str]:
    compiled = re2.compile(pattern)
    return lambda text, hide: str(compiled.sub(lambda match: instead(match, hide), text))


def _whole(match: Match, hide: Hide) -> str:
    return hide(match.group(0))


def _after_first(match: Match, hide: Hide) -> str:
    """Keep the first group, which leads up to the secret."""
    return f"{match.group(1)}{hide(match.group(0)[len(match.group(1)) :])}"


def _url(match: Match, hide: Hide) -> str:
    scheme, user, password = match.groups()
    # `host:8080/path@x` is a port and a path, no password.
    port = password.split("/", 1)[0].split("?", 1)[0]
    if port.isdigit() and len(port) <= 5 and port != password:
        return str(match.group(0))
    return f"{scheme}{user}:{hide(password)}@"


def _bearer(match: Match, hide: Hide) -> str:
    token = match.group(2)
    return f"{match.group(1)}{hide(token)}" if any(sign.isdigit() for sign in token) else str(match.group(0))


def _basic(match: Match, hide: Hide) -> str:
    """`Basic` and the base64 of `user:password`; whatever else follows the word is prose."""
    try:
        said = base64.b64decode(match.group(2), validate=True)
    except (binascii.Error, ValueError):
        return str(match.group(0))
    return f"{match.group(1)}{hide(match.group(2))}" if b":" in said else str(match.group(0))


_STATES = frozenset(
    [
        "true",
        "false",
        "null",
        "none",
        "nil",
        "empty",
        "missing",
        "expired",
        "invalid",
        "unset",
        "required",
        "optional",
        "yes",
        "no",
        "ok",
        "unknown",
        "denied",
    ]
)
"""What is said about a secret and is not one."""

_LOOKS_RANDOM = 16


def _authorization(match: Match, hide: Hide) -> str:
    lead, value = match.groups()
    return str(match.group(0)) if value.lower() in _SCHEMES else f"{lead}{hide(value)}"


_SCHEMES = frozenset({"bearer", "basic", "token", "digest", "negotiate"})


def _assigned(match: Match, hide: Hide) -> str:
    lead, name, quote, value = match.groups()
    bare = value.strip("\\\"'")
    if _hidden_or_said(bare) or (name.lower() == "secret" and _OBJECT.fullmatch(bare)):
        return str(match.group(0))
    after = match.string[match.end() : match.end() + 2]
    in_prose = lead.rstrip().endswith(":") and not quote and after[:1] == " " and after[1:].isalpha()
    if in_prose and "pass" not in name.lower() and not _random(bare):
        return str(match.group(0))
    return f"{lead}{_quoted(value, hide)}"


_OBJECT = re2.compile(r"[a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9.-]*")
"""`Secret: shop/db-auth` names a Kubernetes object."""


_REFERENCE = re2.compile(r"\$[A-Z_({].*|\{\{.*|<.*>|\*+")
"""$PASSWORD, $(cat file), {{ password }}, <password>, ****: says where a secret would stand."""


def _hidden_or_said(value: str) -> bool:
    known = is_stand_in(value) or value.lower().strip(".!?") in _STATES
    return not value or known or _REFERENCE.fullmatch(value) is not None


def _random(value: str) -> bool:
    mixed = any(sign.isdigit() for sign in value) and any(sign.isalpha() for sign in value)
    return mixed or len(value) >= _LOOKS_RANDOM


_OPENING = re2.compile(r"\\*[\"']")


def _quoted(value: str, hide: Hide) -> str:
    """In its quotes, which may be escaped; the second one is missing where a text was cut."""
    opening = _OPENING.match(value)
    if opening is None:
        return hide(value)
    lead = opening.group(0)
    rest = value[len(lead) :]
    secret = rest[:-1].rstrip("\\") if rest.endswith(lead[-1]) else rest
    return f"{lead}{hide(secret)}{rest[len(secret) :]}"


_NAMES = (
    r"passw(?:or)?d|passphrase|pwd|secret|token|api[_.-]?key|access[_.-]?key|private[_.-]?key"
    r"|encryption[_.-]?key|signing[_.-]?key|client[_.-]?key|account[_.-]?key|connection[_.-]?string|credentials?"
)
_NUMBER = r"(?:[_.-]?(?:[0-9]{1,3}|old|new|current|previous|primary|secondary|value|b64|base64))?"
"""`API_TOKEN_2`, `password-old`: which one of several it is."""

_SECRET_NAME = re2.compile(rf"(?i)[\w./-]*(?:{_NAMES}){_NUMBER}")


def _shape(name: str, pattern: str) -> Rule:
    """A secret that is known by its looks alone."""
    return Rule(name, _by(pattern, _whole))


RULES: tuple[Rule, ...] = (
    # In this order: a key block and a URL may hold what later rules would take only half of.
    _shape(
        "private-key", r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"
    ),
    Rule("kubernetes-secret-data", without_secret_data),
    Rule(
        "kubeconfig",
        _by(
            r"(?i)\b((?:client-key-data|client-certificate-data|id-token|refresh-token)\\*[\"']?[ \t]*:[ \t]*\\*[\"']?)"
            r"[\w+/=.-]{16,}",
            _after_first,
        ),
    ),
    Rule(
        "docker-config",
        _by(r"(\"(?:auth|identitytoken|registrytoken)\\*\"\s*:\s*\\*\")[\w+/=.-]{8,}", _after_first),
    ),
    Rule(
        "slack-webhook",
        _by(
            r"(?i)(https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/)[\w/-]+", _after_first
        ),
    ),
    Rule(
        "chat-webhook",
        _by(
            r"(?i)(https://(?:discord(?:app)?\.com/api/webhooks|[\w.-]+\.webhook\.office\.com/webhookb2)/)[\w/@-]+",
            _after_first,
        ),
    ),
    Rule(
        "url-password",
        _by(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)([^\s/?#:@\"'<>\[]*):([^\s\"'<>]+)@", _url),
    ),
    Rule(
        "database-address",
        _by(
            r"\b([\w.-]{1,64}:)[^\s:@/\"'\[]{1,128}(?:@(?:tcp|unix)\()",
            lambda m, hide: (
                f"{m.group(1)}{hide(m.group(0)[len(m.group(1)) : m.group(0).rindex('@')])}{m.group(0)[m.group(0).rindex('@') :]}"
            ),
        ),
    ),
    Rule(
        "authorization-header",
        _by(
            r"(?i)\b((?:proxy-)?authorization\\*[\"']?[ \t]*[:=][ \t]*\\*[\"']?"
            r"(?:(?:bearer|basic|token|digest|negotiate)[ \t]+)?)([^\s\"',;\[\\]+)",
            _authorization,
        ),
    ),
    Rule(
        "cookie",
        _by(
            r"(?i)\b((?:set-)?cookie\\*[\"']?[ \t]*:[ \t]*\\*[\"']?[\w.-]{1,64}=)[^\s\"',;\[\\]+",
            _after_first,
        ),
    ),
    Rule("bearer-token", _by(r"(?i)\b(bearer[ \t]+)([\w.~+/=-]{16,})", _bearer)),
    Rule("basic-credentials", _by(r"(?i)\b(basic[ \t]+)([A-Za-z0-9+/]{8,}={0,2})", _basic)),
    _shape("jwt", r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"),
    _shape("openai-key", r"\bsk-[\w-]{20,}"),
    _shape("github-token", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})"),
    _shape("gitlab-token", r"\bgl(?:pat|ptt|dt|rt|cbt|ft|soat|agent)-[\w-]{20,}"),
    _shape("slack-token", r"\bxox[a-z]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}"),
    _shape("aws-access-key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    _shape("google-api-key", r"\bAIza[\w-]{35}"),
    _shape("google-oauth-token", r"\bya29\.[\w-]{20,}"),
    _shape("stripe-key", r"\b(?:sk|rk|pk|whsec)_(?:live|test)?_?[A-Za-z0-9]{16,}"),
    _shape("sendgrid-key", r"\bSG\.[\w-]{16,}\.[\w-]{16,}"),
    _shape("package-registry-token", r"\b(?:npm_[A-Za-z0-9]{30,}|pypi-[\w-]{30,}|dckr_pat_[\w-]{20,})"),
    _shape("vault-token", r"\bhv[sbr]\.[\w-]{20,}"),
    _shape("cloud-token", r"\bdo[opr]_v1_[0-9a-f]{32,}|\bglsa_[A-Za-z0-9_]{20,}"),
    _shape("password-hash", r"\$(?:2[aby]|argon2id?|5|6|y)\$[\w./$=,+-]{20,}"),
    Rule(
        "url-parameter",
        _by(
            rf"(?i)([?&](?:[\w.-]*(?:{_NAMES})|sig|signature|x-amz-signature|x-amz-credential)=)[^&\s\"'<>#\[]+",
            _after_first,
        ),
    ),
    Rule(
        "command-line-flag",
        _by(
            rf"(?i)((?:--(?:[a-z0-9-]*-)?(?:{_NAMES})|\bsshpass[ \t]+-p)[ \t]+)[^\s\"'\[-][^\s\"']*",
            _after_first,
        ),
    ),
    Rule(
        "command-line-user",
        _by(r"(\bcurl\b[^\n|;]{0,200}?[ \t](?:-u|--user)[ \t=]+[\w.@-]{1,64}:)[^\s\"'\[]+", _after_first),
    ),
    Rule(
        "assignment",
        _by(
            # Its quotes may be escaped: a log's line in JSON holds JSON.
            rf"(?i)(\b([\w.-]*(?:{_NAMES}){_NUMBER})((?:\\*[\"'])?)[ \t]*[:=][ \t]*)"
            r"(\\+\"[^\"\\\n]*(?:\\+\"|(?m:$))|"
            r"\"[^\"\n]*(?:\"|(?m:$))|'[^'\n]*(?:'|(?m:$))|[^\s,;&\"'}\]]+)",
            _assigned,
        ),
    ),
)
RULE_NAMES = tuple(rule.name for rule in RULES)

PERSONAL: tuple[Rule, ...] = (
    # `git@…` is how repositories are addressed, and nobody's name.
    Rule("email", _by(r"\b[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b", lambda m, hide: m.group(0) if m.group(0).startswith("git@") else hide(m.group(0)))),
)  # fmt: skip
"""What is no secret, and no business of a model either."""

_MAY_HOLD_ONE = re2.compile(
    r"(?i)pass|pwd|secret|token|key|connection|credential|authorization|cookie|bearer|basic|://|@|-----BEGIN|eyJ|sk[-_]|[rp]k_|whsec"
    r"|gh[pousr]_|github_pat|glpat|gl[a-z]+-|glsa_|xox|xapp|AKIA|ASIA|AIza|ya29|SG\.|npm_|pypi-|dckr_|hv[sbr]\.|do[opr]_v1"
    r"|\"auth\\*\"|[?&]sig|signature=|credential=|\$[a-z0-9]+\$|-data"
)
"""One pass over a text decides whether the rules are worth running."""
