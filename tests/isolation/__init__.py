"""Callers of two tenants ask for everything at once, and no byte of what one may not read reaches another.

`ask.py`       one request, straight into the application
`archive.py`   the alerts service's past, told apart by tenant
`operations.py` what is asked: every route and tool, for what is one's own and for what is not
`campaign.py`  rounds of it, each with an application that knows nothing yet, and what came of them
"""
