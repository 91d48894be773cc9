"""Take secrets out of text before it is stored or leaves by any channel.

Rules go by the shape of a value (a key with a known prefix, a URL with a password) or by the name before it
(`password=…`). They look at the value only: names of Secrets, keys and fields are evidence and stay, as do
e-mail and IP addresses, without which most explanations explain nothing. What looks like prose after a name
("token: expired while …") stays too; after a password's name nothing does.

RE2, because the text is foreign and its patterns take linear time whatever it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import re2

from services.notifications.domain.manifests import without_secret_data

GONE = "[REDACTED]"

Match = Any
"""re2's match object: the same face as the one of `re`, without types."""


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    apply: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Redacted:
    """The text without secrets, and the rules that took something out."""

    text: str
    rules: tuple[str, ...]


def redact(text: str) -> Redacted:
    """The same text, secrets replaced by `[REDACTED]`; applied again it changes nothing."""
    fired: list[str] = []
    for rule in RULES:
        before, text = text, rule.apply(text)
        if text != before:
            fired.append(rule.name)
    return Redacted(text, tuple(fired))


def _by(pattern: str, instead: Callable[[Match], str]) -> Callable[[str], str]:
    compiled = re2.compile(pattern)
    return lambda text: str(compiled.sub(instead, text))


def _whole(_: Match) -> str:
    return GONE


def _after_first(match: Match) -> str:
    """Keep the first group, which leads up to the secret."""
    return f"{match.group(1)}{GONE}"


def _url(match: Match) -> str:
    scheme, user, password = match.groups()
    # `host:8080/path@x` is a port and a path, no password.
    port = password.split("/", 1)[0].split("?", 1)[0]
    if port.isdigit() and len(port) <= 5 and port != password:
        return str(match.group(0))
    return f"{scheme}{user}:{GONE}@"


def _bearer(match: Match) -> str:
    token = match.group(2)
    return f"{match.group(1)}{GONE}" if any(sign.isdigit() for sign in token) else str(match.group(0))


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


def _authorization(match: Match) -> str:
    lead, value = match.groups()
    return str(match.group(0)) if value.lower() in _SCHEMES else f"{lead}{GONE}"


_SCHEMES = frozenset({"bearer", "basic", "token", "digest", "negotiate"})


def _assigned(match: Match) -> str:
    lead, name, quote, value = match.groups()
    bare = value.strip("\"'")
    if _hidden_or_said(bare) or (name.lower() == "secret" and _OBJECT.fullmatch(bare)):
        return str(match.group(0))
    after = match.string[match.end() : match.end() + 2]
    in_prose = lead.rstrip().endswith(":") and not quote and after[:1] == " " and after[1:].isalpha()
    if in_prose and "pass" not in name.lower() and not _random(bare):
        return str(match.group(0))
    return f"{lead}{_quoted(value)}"


_OBJECT = re2.compile(r"[a-z0-9][a-z0-9.-]*/[a-z0-9][a-z0-9.-]*")
"""`Secret: shop/db-auth` names a Kubernetes object."""


_REFERENCE = re2.compile(r"\$[A-Z_({].*|\{\{.*|<.*>|\*+")
"""$PASSWORD, $(cat file), {{ password }}, <password>, ****: says where a secret would stand."""


def _hidden_or_said(value: str) -> bool:
    known = value.startswith(GONE.rstrip("]")) or value.lower().strip(".!?") in _STATES
    return not value or known or _REFERENCE.fullmatch(value) is not None


def _random(value: str) -> bool:
    mixed = any(sign.isdigit() for sign in value) and any(sign.isalpha() for sign in value)
    return mixed or len(value) >= _LOOKS_RANDOM


def _quoted(value: str) -> str:
    quote = value[0] if value[:1] in {'"', "'"} else ""
    return f"{quote}{GONE}{quote}"


_NAMES = (
    r"passw(?:or)?d|passphrase|pwd|secret|token|api[_.-]?key|access[_.-]?key|private[_.-]?key"
    r"|encryption[_.-]?key|signing[_.-]?key|client[_.-]?key|credentials?"
)

RULES: tuple[Rule, ...] = (
    # In this order: a key block and a URL may hold what later rules would take only half of.
    Rule(
        "private-key",
        _by(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)", _whole),
    ),
    Rule("kubernetes-secret-data", lambda text: without_secret_data(text, GONE)),
    Rule(
        "slack-webhook",
        _by(
            r"(?i)(https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/)[\w/-]+", _after_first
        ),
    ),
    Rule(
        "url-password",
        _by(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)([^\s/?#:@\"'<>\[]*):([^\s\"'<>]+)@", _url),
    ),
    Rule(
        "authorization-header",
        _by(
            r"(?i)\b((?:proxy-)?authorization[\"']?[ \t]*[:=][ \t]*[\"']?"
            r"(?:(?:bearer|basic|token|digest|negotiate)[ \t]+)?)([^\s\"',;\[]+)",
            _authorization,
        ),
    ),
    Rule("bearer-token", _by(r"(?i)\b(bearer[ \t]+)([\w.~+/=-]{16,})", _bearer)),
    Rule("jwt", _by(r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*", _whole)),
    Rule("openai-key", _by(r"\bsk-[\w-]{20,}", _whole)),
    Rule("github-token", _by(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})", _whole)),
    Rule("slack-token", _by(r"\bxox[a-z]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}", _whole)),
    Rule("aws-access-key", _by(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", _whole)),
    Rule("google-api-key", _by(r"\bAIza[\w-]{35}", _whole)),
    Rule(
        "url-parameter",
        _by(
            rf"(?i)([?&](?:[\w.-]*(?:{_NAMES})|sig|signature|x-amz-signature|x-amz-credential)=)[^&\s\"'<>#\[]+",
            _after_first,
        ),
    ),
    Rule(
        "command-line-flag",
        _by(rf"(?i)(--(?:[a-z0-9-]*-)?(?:{_NAMES})[ \t]+)[^\s\"'\[-][^\s\"']*", _after_first),
    ),
    Rule(
        "assignment",
        _by(
            rf"(?i)(\b([\w.-]*(?:{_NAMES}))([\"']?)[ \t]*[:=][ \t]*)"
            r"(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&\"'}\]]+)",
            _assigned,
        ),
    ),
)
RULE_NAMES = tuple(rule.name for rule in RULES)
