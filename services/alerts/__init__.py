"""Takes webhooks, never loses an alert, decides what each one means and what happens next. Port 8092.

An acknowledged alert is a committed row. A worker makes episodes of the rows, decides environment and
priority, opens one incident per target owner, asks `context_api` whose object it is, `holmesgpt_api`
for the cause and `notifications` to tell people. Everything is written down with its reason.
"""
