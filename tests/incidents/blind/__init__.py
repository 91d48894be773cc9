"""One incident a file: `INCIDENT` says what a person would answer, `play` makes it happen on the test bed."""
