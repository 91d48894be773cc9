"""The `kubernaut` command line. Talks to the services; nothing imports it."""
