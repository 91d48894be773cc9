"""What an investigation is, how it is judged and told. Pure; `ports.py` says what it needs from the world."""
