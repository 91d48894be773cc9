"""Evidence sources, one foreign language each."""
