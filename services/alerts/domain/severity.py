"""Read a severity in whatever words a team uses; pass the original through untouched.

Hard-coded severities blocked the teams that say Sev1 or P0, so the words are a table that operators extend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libs.contracts.alerts import Decision, Severity

# Where words could mean two levels, the more urgent one is taken: `medium` is a warning.
_WORDS: dict[Severity, str] = {
    Severity.critical: "critical crit page pager fatal emergency emerg disaster alert blocker sev0 sev1 s0 s1 p0",
    Severity.warning: "warning warn high error err major medium moderate average minor sev2 sev3 s2 s3 p1 p2",
    Severity.info: "info information informational notice low debug none trivial ok sev4 sev5 s4 s5 p3 p4 p5",
}
WORDS: Mapping[str, Severity] = {word: level for level, words in _WORDS.items() for word in words.split()}


def normalise(
    labels: Mapping[str, str], *, names: Sequence[str], words: Mapping[str, Severity] = WORDS
) -> tuple[Severity, Decision]:
    """The level of an alert, and the label that said so. An unknown word is `unknown`, never `info`."""
    for name in names:
        said = labels.get(name, "").strip()
        if not said:
            continue
        level = words.get(said.lower().replace("-", "").replace("_", "").replace(" ", ""))
        if level is None:
            return Severity.unknown, _decision(Severity.unknown, "unknown-word", f"{name}={said[:100]}")
        return level, _decision(level, f"label:{name}", f"{name}={said[:100]}")
    return Severity.unknown, _decision(Severity.unknown, "no-severity-label", "")


def _decision(level: Severity, reason: str, detail: str) -> Decision:
    return Decision(subject="severity", outcome=level.value, reason=reason, detail=detail)
