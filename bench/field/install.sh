#!/bin/sh
# Installs the queues that bench-peers compares with, from their registries, into bench/peers (which
# git ignores). What is there already is left alone.
set -eu
cd "$(dirname "$0")/../.."
into=$PWD/bench/peers
mkdir -p "$into/node" "$into/build"

if ! command -v npm >/dev/null; then
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y nodejs npm
fi
cp bench/field/package.json bench/field/*.mjs "$into/node/"
[ -d "$into/node/node_modules/graphile-worker" ] ||
    (cd "$into/node" && npm install --no-audit --no-fund --loglevel=error)

river=0.5.0
[ -x "$into/river/bin/riverqueue" ] ||
    CARGO_TARGET_DIR="$into/build" cargo install riverqueue-cli --version "$river" --locked \
        --no-default-features --features postgres --root "$into/river"

CARGO_TARGET_DIR="$into/build" cargo build --release --locked --quiet \
    --manifest-path bench/field/awa/Cargo.toml
