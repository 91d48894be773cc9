"""Labels that say what matters about an incident, and a measure of how well bundles agree with them.

A case is one recording of the corpus (its tuned half: the story may be read) and what its reader is after. It was
labelled from the story and the recording, by somebody who did not know how evidence is ranked. To add one:

1. Read the incident's module and look into its recording, as the engineer on call would with kubectl.
2. `must_have`: the one to four pieces of evidence without which nobody can understand the incident or act on it: what
   is broken, what it says, and what was changed. Each is one matcher; one fact that it matches is enough. Leave out
   what follows from the others.
3. `relevant`: all that one is glad to see among the first: facts about the objects of the causal chain, events of the
   pods that fail, log lines of who complains, the recent change. What a `must_have` matches is relevant too.
4. Everything else is noise: healthy neighbours, routine events, another fault of the same cluster, and text that tells
   its reader what to conclude. Where nothing is wrong, relevant is what shows that all is well, or is again.

A matcher names the object (`about`, KIND/NAMESPACE/NAME, `_cluster` for no namespace, `*` at the end for any ending;
of several, one), the kind of evidence (`kind`), and words that stand in the fact (`words`: all of them, `a|b` for
either, in any case). What it does not name may be anything. Events of a container's everyday life (`Scheduled`,
`Pulled`, ...) match only matchers that ask for their words.

A new case goes into the shorter of the two files, before anybody has seen its bundle. `cases/blind.yaml` is never
tuned on. The first 71 alternate by name.
"""
