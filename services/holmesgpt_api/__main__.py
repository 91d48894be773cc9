"""`python -m services.holmesgpt_api`: one process of this service."""

from services.holmesgpt_api.main import main

main()
