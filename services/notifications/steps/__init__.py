"""What is done: a request is taken; what is due is delivered."""
