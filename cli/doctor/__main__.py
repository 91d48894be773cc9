"""`python3 -m cli.doctor [--json]`, for any Python on this machine."""

from __future__ import annotations

import sys

from cli.doctor.command import arguments

if __name__ == "__main__":
    sys.exit(arguments(sys.argv[1:]))
