"""What the service does, one step a file: read, decide in `domain`, write down, and defer the next step.

`receive` serves the webhook; all others run in the worker. Each of those may be repeated at any point: it
writes its effect, its timeline entry and its next job in one transaction, and calls peers with a key that
makes a second call the same call.
"""
