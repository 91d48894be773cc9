"""`python -m services.holmesgpt_api.engine FD CONFINEMENT`, in `.venv-holmes`: started by the service's worker alone."""

import sys

from services.holmesgpt_api.engine.zygote import main

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:3]))
