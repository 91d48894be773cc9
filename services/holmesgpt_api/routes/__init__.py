"""HTTP in, contract out."""
