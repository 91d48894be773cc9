"""`python -m services.alerts`: one process of this service."""

from services.alerts.main import main

main()
