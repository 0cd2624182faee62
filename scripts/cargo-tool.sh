#!/bin/sh
# Prints the path of a program of crates.io (NAME VERSION); installs it below target/ where it is
# missing. Unoptimised: it runs for seconds, and is built for minutes.
set -eu
cd "$(dirname "$0")/.."
root=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools/$1-$2")
if [ ! -x "$root/bin/$1" ]; then
    (cd / && cargo install --locked --debug --quiet --root "$root" "$1@$2") >&2
fi
echo "$root/bin/$1"
