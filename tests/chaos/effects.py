"""What was done on account of acknowledged alerts, judged: investigations end once, mails come once or say otherwise.

Pure. The history is what was seen from outside: rows as the services listed them while their processes were
killed, and every mail as the server on the other side took it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Inquiry:
    """An investigation as it was listed: `end` is what it came to, None while it runs."""

    id: str
    end: str | None


@dataclass
class Endings:
    """Every end that was ever seen of each investigation, in the order of the looks."""

    seen: dict[str, list[str]] = field(default_factory=dict)

    def look(self, listed: Iterable[Inquiry]) -> None:
        for one in listed:
            if one.end is not None:
                ends = self.seen.setdefault(one.id, [])
                if one.end not in ends:
                    ends.append(one.end)
            elif self.seen.get(one.id):
                self.seen[one.id].append("running again")


@dataclass(frozen=True, slots=True)
class InquiriesJudgement:
    ended: int
    missing: frozenset[str]
    """Incidents that nobody investigated."""
    unended: frozenset[str]
    changed: frozenset[str]
    """Investigations of which more than one end was seen."""
    doubled: frozenset[str]
    """Investigations that no incident names: the same question was asked twice."""
    shared: frozenset[str]
    """Investigations that several incidents name."""

    @property
    def holds(self) -> bool:
        return not (self.missing or self.unended or self.changed or self.doubled or self.shared)

    def __str__(self) -> str:
        return (
            f"{self.ended} investigations ended, {len(self.missing)} missing, {len(self.unended)} not ended, "
            f"{len(self.changed)} ended twice, {len(self.doubled)} doubled, {len(self.shared)} shared"
        )


def judge_inquiries(
    incidents: Mapping[str, str | None], listed: Sequence[Inquiry], endings: Endings
) -> InquiriesJudgement:
    """Compare the incidents (id to the investigation each names) with the investigations there are."""
    named = Counter(one for one in incidents.values() if one is not None)
    there = {one.id for one in listed}
    return InquiriesJudgement(
        ended=sum(one.end is not None for one in listed),
        missing=frozenset(id_ for id_, named_ in incidents.items() if named_ is None or named_ not in there),
        unended=frozenset(one.id for one in listed if one.end is None),
        changed=frozenset(id_ for id_, ends in endings.seen.items() if len(ends) > 1),
        doubled=frozenset(there - named.keys()),
        shared=frozenset(id_ for id_, count in named.items() if count > 1),
    )


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as the other side took it."""

    effect: str
    marked: bool
    """Whether it says of itself that it may be a repetition."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as the service records it; `attempts` is committed before each call of the server."""

    effect: str
    fact: tuple[str, ...]
    """What is told to whom: incident, transition, round, recipient."""
    state: str
    attempts: int
    possible_duplicate: bool


@dataclass(frozen=True, slots=True)
class MailsJudgement:
    taken: int
    repeated: int
    """Mails beyond the first of each; the promise allows them, marked."""
    untold: frozenset[str]
    """Incidents about which there is no delivery at all."""
    unended: frozenset[str]
    lost: frozenset[str]
    """Recorded as sent, and never taken."""
    invented: frozenset[str]
    """Taken, and recorded nowhere."""
    too_often: frozenset[str]
    """Taken more often than there were recorded attempts."""
    unmarked: frozenset[str]
    """Repeated without saying so, in the mail or in the record."""
    twice_named: frozenset[str]
    """One fact for one recipient under two names: no mailbox could tell that they are the same."""

    @property
    def holds(self) -> bool:
        return not any(
            (
                *(self.untold, self.unended, self.lost, self.invented),
                *(self.too_often, self.unmarked, self.twice_named),
            )
        )

    def __str__(self) -> str:
        return (
            f"{self.taken} mails taken, {self.repeated} of them repeats, {len(self.untold)} incidents untold, "
            f"{len(self.unended)} not ended, "
            f"{len(self.lost)} lost, {len(self.invented)} invented, {len(self.too_often)} too often, "
            f"{len(self.unmarked)} unmarked, {len(self.twice_named)} under two names"
        )


def judge_mails(
    mails: Sequence[Mail], deliveries: Sequence[Delivery], incidents: Iterable[str]
) -> MailsJudgement:
    """Compare what was taken, in its order, with what is recorded, and that with what had to be told."""
    taken: dict[str, list[Mail]] = defaultdict(list)
    for mail in mails:
        taken[mail.effect].append(mail)
    recorded = {one.effect: one for one in deliveries}
    names: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for one in deliveries:
        names[one.fact].add(one.effect)
    return MailsJudgement(
        taken=len(mails),
        repeated=len(mails) - len(taken),
        untold=frozenset(incidents) - {one.fact[0] for one in deliveries},
        unended=frozenset(one.effect for one in deliveries if one.state != "sent"),
        lost=frozenset(one.effect for one in deliveries if one.state == "sent" and one.effect not in taken),
        invented=frozenset(taken.keys() - recorded.keys()),
        too_often=frozenset(
            effect
            for effect, them in taken.items()
            if effect in recorded and len(them) > recorded[effect].attempts
        ),
        unmarked=frozenset(effect for effect, them in taken.items() if _unmarked(them, recorded.get(effect))),
        twice_named=frozenset(effect for effects in names.values() if len(effects) > 1 for effect in effects),
    )


def _unmarked(mails: Sequence[Mail], recorded: Delivery | None) -> bool:
    if len(mails) == 1:
        return False
    return not all(mail.marked for mail in mails[1:]) or (
        recorded is not None and not recorded.possible_duplicate
    )
