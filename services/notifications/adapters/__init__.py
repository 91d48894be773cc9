"""One foreign language each: a terminal, SMTP, Slack, PostgreSQL. Nothing of it leaks out."""
