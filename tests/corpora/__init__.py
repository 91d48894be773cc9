"""Requests that somebody careless or malicious would send, as files that tests read.

`context_api.yaml` holds families: words, and the places where each of them is put. A case is one word in one place.
To add one, write the word into a list that fits, or a place into a family; `test_corpora.py` beside the tests of a
service says how each has to be answered. In a family:

places    a request each: `get` or `post` with the address, a `body`, a `header`; `§` is where the word goes; `names`
          is what the answer has to call wrong (a field of `errors`, or a word of `detail`)
words     texts, or `{repeat, times, before, after}` for long ones
written   how a word is put into its place: `percent` (every sign encoded), `json` (as a JSON text with its quotes), or
          `as-is` (the bytes that are sent)
status    what may be answered
"""
