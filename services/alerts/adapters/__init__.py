"""PostgreSQL and the peers, one foreign language each."""
