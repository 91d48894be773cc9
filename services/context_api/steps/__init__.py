"""What is done with a question: see what the caller may see, find the answer once, give it to everybody who asks."""
