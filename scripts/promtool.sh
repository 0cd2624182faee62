#!/bin/sh
# Prints the path of promtool. Where the machine has none, it is taken out of Debian's package into
# .cache; the package itself is not installed.
set -eu
cd "$(dirname "$0")/.."
if command -v promtool >/dev/null; then
    command -v promtool
    exit
fi
dir=$PWD/.cache/promtool
if [ ! -x "$dir/promtool" ]; then
    command -v apt-get >/dev/null || { echo "promtool is missing: install Prometheus" >&2; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 777 "$work"
    fetch() { (cd "$work" && apt-get download -q prometheus >/dev/null 2>&1); }
    fetch || { apt-get update -q >/dev/null; fetch; }
    dpkg -x "$work"/prometheus_*.deb "$work/x"
    mkdir -p "$dir"
    mv "$work/x/usr/bin/promtool" "$dir/promtool"
fi
echo "$dir/promtool"
