#!/bin/sh
# Prints the path of the Claude CLI that the tests and the demo run, fetched from the npm registry
# into .cache where it is missing. Always this version, so that a new one cannot break a test
# overnight.
set -eu
cd "$(dirname "$0")/.."

version=2.1.197
dir=$PWD/.cache/claude-$version
bin=$dir/node_modules/.bin/claude
if [ ! -x "$bin" ]; then
    command -v npm >/dev/null || { echo "claude-cli: npm is needed to fetch the Claude CLI" >&2; exit 1; }
    mkdir -p .cache
    work=$(mktemp -d .cache/claude-new.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    npm install --prefix "$work" --no-audit --no-fund --loglevel=error \
        "@anthropic-ai/claude-code@$version" >&2
    chmod -R a+rX "$work"
    # Another process may have been as quick.
    mv "$work" "$dir" 2>/dev/null || [ -x "$bin" ]
fi
echo "$bin"
