"""Tells the right people, once, on a channel that works. Port 8093, metrics 9094.

Neighbours: alerts asks it to tell; it asks nobody but its channels (console, SMTP, Slack). A request is
committed before it is acknowledged, one row per channel and recipient. The same fact is never told twice
to the same recipient; what a crash leaves in doubt is marked as such.
"""
