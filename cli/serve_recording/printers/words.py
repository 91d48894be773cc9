"""How tables write what several kinds have: selectors, lists that are cut, what is not set. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.context_api.domain.kube import entries, flat, label_selector, show_labels, strings, text

NONE, UNSET = "<none>", "<unset>"


def labels_of(labels: object) -> str:
    """`a=1,b=2`, or `<none>`."""
    return show_labels(flat(labels)) or NONE


def selector_of(selector: object) -> str:
    """A LabelSelector as `-l` would take it, in the order of its keys; `<none>` for one that says nothing."""
    labels, expressions = label_selector(selector)
    parts = [(key, f"{key}={value}") for key, value in labels.items()]
    parts += [(text(one.get("key")), _expression(one)) for one in expressions]
    return ",".join(words for _, words in sorted(parts)) or NONE


def _expression(one: object) -> str:
    found = entries([one])[0]
    key, operator = text(found.get("key")), text(found.get("operator"))
    if operator in ("Exists", "DoesNotExist"):
        return key if operator == "Exists" else f"!{key}"
    return f"{key} {operator.lower()} ({','.join(sorted(strings(found.get('values'))))})"


def listed(words: Sequence[str], *, most: int, between: str = ",") -> str:
    """The first of them, and how many more there are."""
    shown = between.join(words[:most])
    return f"{shown} + {len(words) - most} more..." if len(words) > most else shown
