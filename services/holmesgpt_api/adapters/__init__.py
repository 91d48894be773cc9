"""One foreign language each: PostgreSQL, the Context API. Nothing of it leaks out."""
