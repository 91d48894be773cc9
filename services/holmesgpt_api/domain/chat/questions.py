"""Which of the questions that triage can answer a text asks. Pure.

A question is taken only when all it talks about is known: the words of incidents, and the names of the findings
at hand. "Why is the sky blue?" asks why, and is none of ours. Orders are none either, nothing is done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum


class Topic(StrEnum):
    """What triage can be asked."""

    why = "why"
    evidence = "evidence"
    next = "next"
    changed = "changed"
    status = "status"
    sure = "sure"
    others = "others"
    gaps = "gaps"
    help = "help"


EXAMPLES: dict[Topic, str] = {
    Topic.why: "Why does it fail?",
    Topic.evidence: "What is the evidence?",
    Topic.next: "What should I do next?",
    Topic.changed: "What changed?",
    Topic.status: "What is the status?",
    Topic.sure: "How sure are you?",
    Topic.others: "What else could it be?",
    Topic.gaps: "What was not looked at?",
}
"""One question of each topic, as it is offered."""

# First match decides: what is more special stands before what is more general.
_TOPICS: tuple[tuple[Topic, str], ...] = (
    (
        Topic.help,
        (
            r"\b(?:what|which questions) (?:can|may|could|should) (?:i|we|you) (?:ask|answer)\b"
            r"|\bwhat (?:do|can|could) you (?:do|know|help)\b|\bhow (?:can|do) you help\b|^help(?: me)?$"
        ),
    ),
    (
        Topic.gaps,
        (
            r"(?:\bnot|n't|\bnever) (?:been |be )?(?:looked|look|checked|check|examined|read|seen|see|covered|consider(?:ed)?)\b"
            r"|\b(?:missing|overlooked|blind spots?|left out|gaps?)\b"
            r"|\b(?:what|anything) (?:did|do|have|could) (?:you|it|triage) (?:miss|missed|overlook|skip|skipped)\b"
            r"|\bdid (?:you|it|triage) (?:miss|overlook|skip)\b"
        ),
    ),
    (
        Topic.sure,
        (
            r"\b(?:how|are you|are we|is it|is that) (?:really )?(?:sure|certain|confident|reliable|likely|convinced)\b"
            r"|\bconfidence\b|\b(?:speaks?|evidence|points?|anything|argues?) against\b"
            r"|\b(?:could|might|can) (?:you|it|this|that|triage) be (?:wrong|mistaken)\b"
            r"|\bhow (?:much )?(?:can i |do we |should i )?trust\b"
        ),
    ),
    (
        Topic.others,
        (
            r"\b(?:what|anything|something|who|which) else\b(?!.*\b(?:do|try|check)\b)"
            r"|\b(?:other|another|alternative|further|more|contributing|second|secondary|remaining|possible) "
            r"(?:\w+ )?(?:causes?|reasons?|explanations?|factors?|suspects?|problems?|issues?|candidates?)\b"
            r"|\balternatives\b|\bonly (?:cause|reason|problem|issue)\b"
        ),
    ),
    (
        Topic.changed,
        (
            r"\b(?:chang(?:e|es|ed|ing)|deploy(?:ed|ment was|s)?|rolled out|rollouts?|releas(?:e|es|ed)|edit(?:s|ed)?|"
            r"modif(?:y|ied|ications?)|updat(?:e|es|ed)|upgrad(?:e|es|ed)|new version|touched|merged)\b|\b(?:recent|latest|last|new) deployments?\b"
            r"|\bwhat(?: is|'s| was)? (?:new|different)\b|\bwho did (?:it|this|that)\b"
        ),
    ),
    (
        Topic.evidence,
        (
            r"\b(?:evidence|proofs?|prove[sn]?|proved|facts?|claims?|logs?|events?|metrics|log lines?|symptoms|findings)\b"
            r"|\bhow (?:do|did|can|could) (?:you|we|it|triage) (?:know|find|tell|conclude|come|see|get)\b"
            r"|\bwhat (?:makes?|made|lets|let|led) (?:you|it|triage) (?:think|say|believe|conclude|to)\b"
            r"|\b(?:based|rests?|rely|relies|resting) on\b|\bsupports? (?:this|that|it)\b|\bsources?\b"
            r"|\bwhy do you (?:think|say|believe)\b|\bshow me\b"
        ),
    ),
    (
        Topic.next,
        (
            r"\bwhat(?: else| now)? (?:should|can|could|must|do|would|shall|is there to|needs? to) "
            r"(?:i|we|you|one|somebody|be|do)\b(?!.* mean\b)|\bwhat to (?:do|try|check|fix|run)\b"
            r"|\bwhat (?:next|now)\b|\bwhat(?:'s| is| are)(?: the)? (?:next|first|best|safest|recommended|right)\b"
            r"|\bnext (?:steps?|actions?|move)\b|\bwhere (?:do|should) (?:i|we) (?:start|begin|look)\b"
            r"|\bhow (?:do|can|could|should|would|to|did) ?(?:i|we|you|one|somebody|it|this|that)? ?(?:best |safely |quickly )?"
            r"(?:be )?(?:fix(?:ed)?|solved?|repair(?:ed)?|resolved?|mend(?:ed)?|recover(?:ed)?|remediated?|mitigated?|"
            r"undo|undone|rolled back|roll|revert(?:ed)?|stop|prevent|handle|address(?:ed)?)\b"
            r"|\b(?:should|can|may|must|do) (?:i|we) (?:need to |have to )?(?:restart|roll|revert|scale|undo|delete|fix|wait|"
            r"page|escalate|edit|put)\b"
            r"|\b(?:recommend\w*|remed(?:y|ies|iation)|mitigations?|fix(?:es)?|solutions?|advi[cs]e|work ?arounds?|"
            r"commands?|suggest(?:ions?|ed)?|action items?)\b"
        ),
    ),
    (
        Topic.status,
        (
            r"\b(?:status|progress|finished|ready yet|done yet|how far|eta)\b"
            r"|\b(?:is|are|does|do|has|have|did) (?:\w+ ){0,4}?(?:still|now|again|already|yet|over|ongoing|recovered|recover|"
            r"fixed|resolved|healthy|ok|okay|fine|down|up|back|better|working|stable)\b"
        ),
    ),
    (
        Topic.why,
        (
            r"\bwhy\b|\bhow come\b|\b(?:root )?(?:causes?|caused|causing|reasons?|culprit|explanation|explain)\b"
            r"|\bwhat(?:'s| is| was| has| did| went|'s gone)? (?:\w+ ){0,3}?"
            r"(?:wrong|happen(?:ed|ing|s)?|going on|broken?|broke|fail(?:ed|ing|s)?|trigger(?:ed|s)?|"
            r"the (?:problem|issue|matter|trouble|fault)|behind|crash(?:ed|ing|es)?|up with)\b"
            r"|\bwho(?:'s| is)? (?:to blame|responsible|at fault)\b|\bwhose fault\b|\bat fault\b"
            r"|\b(?:summar(?:y|ise|ize)|tell me (?:more )?about|describe|diagnos(?:e|is)|tl;?dr|investigat(?:e|ed|ion)|"
            r"problems? with|issues? with|wrong with|matter with|trouble with)\b"
        ),
    ),
)
_PATTERNS = tuple((topic, re.compile(pattern)) for topic, pattern in _TOPICS)

_ORDER = re.compile(
    r"^(?:(?:please|now|just|then|ok|okay)[, ]+)*(?:(?:can|could|would|will) you (?:please )?|go ahead and |i want you to )?"
    r"(?:please )?(?:delete|remove|restart|reboot|kill|scale|roll|revert|undo|apply|patch|edit|drain|cordon|uncordon|"
    r"create|deploy|install|upgrade|set|run|execute|exec|write|send|page|silence|mute|ignore|forget|disable|enable|"
    r"fix|repair|put|change|update|print|reveal|act|pretend|translate|repeat)\b"
)

_NAME = re.compile(r"[a-z][a-z0-9.]*/[^\s,;?!]+|[a-z0-9]+(?:[-._:][a-z0-9]+)+|ev-[0-9a-f]+")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+[a-z]*")

_SMALL = frozenset(
    _WORD.findall("""a about above actual actually after again against ago all almost already also am an and another any anybody
    anyone anything are aren't as ask asked at away back bad be because become been before begin behind being below
    best better between both but by call called came can can't cannot come could couldn't current currently day days
    did didn't different do does doesn't doing don't done down during each either else enough even ever every
    everything exactly far few first for found from get getting give given go goes going gone good got had happen
    happened happening happens has hasn't have haven't having he hello help her here hey hi him his hour hours how
    i i'm i've if in into is isn't it it's its itself just keep know known last late later least left less let let's
    like likely list little long look looked looking make makes many may maybe me mean means might mine minute minutes
    more morning most much must my near need needs never new next night no none not nothing now of off often ok okay
    old on once one only open or other others our out over part people please possible possibly probably put question
    questions quick quickly really reason reasons right safe safely safest same say says see seem seems seen should
    shouldn't show shown side since so some somebody someone something soon sorry start started step steps still such
    sure take tell than thank thanks that that's the their them then there there's these they they're thing things
    think this those though through time times to today together told too took true try turn two under until up us
    use very want was wasn't way we we're week well went were what what's when where which while who who's whose why
    will with without won't would wouldn't wrong yes yesterday yet you you're your yours second three whole main
    afraid answer answered asking bit briefly detail details else's explain explained explanation full further more
    in short sense someone's somewhere stand subject summary tl dr tldr understand word words worth whom""")
)
_INCIDENTS = frozenset(
    _WORD.findall("""action actions address admission advice advise affected alert alerting alerts alternative alternatives analysis
    api app application applied apps autoscaler backend blame blind blip bottleneck break breaking broke broken bug
    capacity cause caused causes causing certain certificate certificates change changed changes check checked claim
    claims cluster command commands component conclude conclusion conclusions conditions confidence confident config
    configmap configuration connect connected connection connections consider considered container containers
    contribute contributing cpu crash crashed crashes crashing crashloop crashloopbackoff cronjob culprit customers
    daemonset data database db degraded delete delay dependencies dependency depends deploy deployed deployment
    deployments deploys describe diagnose diagnosis disk dns down downtime edit edited edits endpoint endpoints error
    errors escalate eta evict evicted eviction event events evidence exhausted exit exited explains fact factor factors
    facts fail failed failing fails failure failures fault faults find finding findings fine finished firing fix fixed
    fixes fixing full gap gaps gateway guess handle health healthy hpa image impact incident incidents ingress
    investigate investigated investigating investigation issue issues job jobs kube kubernetes latency leak limit
    limits load log logs lost matter memory mend merged message metric metrics miss missed missing mistaken mitigate
    mitigation mitigations modification modifications modified modify move namespace network node nodes object
    objects occur occurred ongoing oom oomkilled operator order outage overlook overlooked owner page pending perform
    permission pod pods point points policy prevent problem problems production progress proof proofs prove proved
    proven proves provision pvc queue quota rates ready rebooted recommend recommendation recommendations recommended
    recover recovered recovers recovery reject rejected release released releases reliable rely remediate remediation
    remedy remove repair replica replicas replicaset request requests resolve resolved resource resources responsible
    rest restart restarted restarting restarts rests result results revert reverted risk risks roll rollback rolled
    rolling rollout rollouts root running scale scaled schedule scheduled scheduling secret secrets server serve
    serving service services severity sign skip skipped slow solution solutions solve solved source sources spot spots
    stable state stateful statefulset status stop stopped storage store stuck succeed suggest suggested suggestion
    suggestions supports suspect suspects symptom symptoms system target team throttled timeout timeouts timing touch
    touched traffic triage trigger triggered triggers trouble trust undo unhealthy unreachable update updated updates
    upgrade upgraded usage user users version versions volume volumes wait waiting warning warnings work workaround
    workarounds working works workload argues against analyse analyze appear began convinced candidate candidates
    commandline conclusive certificate's examined fall fell happen involved issue's kill killed line lines mind
    overview picture read reproduce ruled rule secondary seeing speak speaks steps summarise summarize verify worry
    worried covered remaining fire fires contribution contributed contributes map loop loops based run undone rolled recent recently
    couldn whats explains rely resting believe led lets made covers""")
)
_KNOWN = _SMALL | _INCIDENTS

MOST_WORDS = 60
"""A longer text is a story, and what it asks cannot be told by its words."""

ONE_UNKNOWN_IN = 4
"""Known words of incidents a question must have for one unknown word to be forgiven."""


def classify(text: str, names: Iterable[str] = ()) -> Topic | None:
    """What the text asks of the findings; None: nothing that they can answer.

    Args:
        names: of objects, namespaces and alerts of the findings at hand.
    """
    said = " ".join(text.lower().replace("’", "'").split())
    asked = said.strip(" ?!.")
    if not asked or len(asked.split()) > MOST_WORDS or _ORDER.match(asked):
        return None
    topic = next((topic for topic, pattern in _PATTERNS if pattern.search(asked)), None)
    if topic is None or not _only_about_incidents(asked, names):
        return None
    return topic


def _only_about_incidents(asked: str, names: Iterable[str]) -> bool:
    known = {part for name in names for part in _WORD.findall(name.lower())}
    words = _WORD.findall(_NAME.sub(" ", asked))
    unknown = [word for word in words if word not in _KNOWN and word not in known and not word[0].isdigit()]
    ours = sum(1 for word in words if word in _INCIDENTS or word in known)
    return not unknown or (len(unknown) == 1 and ours >= ONE_UNKNOWN_IN)


def what_can_be_asked() -> str:
    """For a refusal."""
    return "Without a model triage answers questions about its findings: " + " ".join(EXAMPLES.values())
