"""What alerts mean and what happens next: pure decisions, each with a named reason."""
