#!/bin/sh
# Installs the programs that tests need from Debian, when this is Debian and we are root.
# Anywhere else it names what is missing; tests that need it are then skipped by name (and fail when CI=true).
# Usage: tools/test-programs.sh PROGRAM=PACKAGE…
set -eu
missing=
packages=
for pair in "$@"; do
    program=${pair%%=*}
    if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null 2>&1; then
        missing="$missing $program"
        packages="$packages ${pair#*=}"
    fi
done
[ -z "$missing" ] && exit 0

# Some of the packages are daemons that Debian starts as it installs them. We want the programs alone, so for
# that moment the machine's policy is "start nothing"; a policy that is there already is left as it is.
policy=/usr/sbin/policy-rc.d
ours=
without_daemons() {
    if [ ! -e "$policy" ]; then
        ours=$policy
        trap 'rm -f "$ours"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
}

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing for the tests:$packages …"
    export DEBIAN_FRONTEND=noninteractive
    without_daemons
    # shellcheck disable=SC2086 # a list of words is meant
    apt-get install -y -qq --no-install-recommends $packages >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages >/dev/null; }
else
    echo "Missing:$missing. Tests that need them are skipped by name (Debian: apt-get install --no-install-recommends$packages)." >&2
fi
