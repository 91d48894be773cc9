"""`python -m services.context_api`: one process of this service."""

from services.context_api.main import main

main()
