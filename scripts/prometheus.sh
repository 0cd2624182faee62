#!/bin/sh
# Prints the directory of prometheus and promtool. Where the machine has none, they are taken out of
# Debian's package into .cache; the package itself is not installed.
set -eu
cd "$(dirname "$0")/.."
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    dirname "$(command -v prometheus)"
    exit
fi
dir=$PWD/.cache/prometheus
# Two tests may ask at once.
mkdir -p .cache
exec 9>.cache/prometheus.lock
flock 9
if [ ! -x "$dir/prometheus" ]; then
    command -v apt-get >/dev/null || { echo "install Prometheus" >&2; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 777 "$work"
    fetch() { (cd "$work" && apt-get download -q prometheus >/dev/null 2>&1); }
    fetch || { apt-get update -q >/dev/null; fetch; }
    dpkg -x "$work"/prometheus_*.deb "$work/x"
    mkdir -p "$dir"
    mv "$work/x/usr/bin/promtool" "$work/x/usr/bin/prometheus" "$dir/"
fi
echo "$dir"
