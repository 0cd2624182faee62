#!/bin/sh
# Writes a bill of materials of the program, in CycloneDX' JSON: target/sbom/bloom-runtime.cdx.json.
set -eu
cd "$(dirname "$0")/.."
out=${CARGO_TARGET_DIR:-target}/sbom
mkdir -p "$out"
tool=$(scripts/cargo-tool.sh cargo-cyclonedx 0.5.9)
# It writes beside each Cargo.toml; bench and chaos are no part of the program.
"$tool" cyclonedx --quiet --format json --features otel --no-build-deps --manifest-path Cargo.toml \
    --override-filename bloom-runtime.cdx
rm -f bench/bloom-runtime.cdx.json chaos/bloom-runtime.cdx.json
mv bloom-runtime.cdx.json "$out/"
echo "$out/bloom-runtime.cdx.json"
