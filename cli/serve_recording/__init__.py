"""`kubernaut serve-recording`: a recorded cluster as a read-only Kubernetes API on loopback, for kubectl and its like.

    command ─► server (a loopback port, until Ctrl-C)
                 └─► app (ASGI) ─► answers ─► paths, negotiation, index, selection, paging, tables, logs, reviews

What is answered is the recording itself: objects byte for byte as they were admitted (Secrets have no data), logs as
they were recorded, ages as of the recording's own "now". What was not recorded is said, never made up.
"""
