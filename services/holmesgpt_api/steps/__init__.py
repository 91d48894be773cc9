"""The uses of this service, one file each: take an investigation, conduct it, wait for its end."""
