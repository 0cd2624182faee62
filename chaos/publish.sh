#!/usr/bin/env bash
# The whole proof: the controls, the main run, a run with a clock that jumps, and the page of their
# figures. Arguments go to the main run. Fails if a control is not caught or a promise is broken; the
# page is written all the same.
set -euo pipefail
cd "$(dirname "$0")/.."
release=${CARGO_TARGET_DIR:-target}/release
chaos=("$release/bloom-chaos")
bloom=(--bloom "$release/bloom")
out=${CARGO_TARGET_DIR:-target}/chaos
# Or what an earlier run left could be published as this one's.
rm -rf "$out/controls" "$out/clock" "$out/main"
mkdir -p "$out"
failed=0

"${chaos[@]}" run "${bloom[@]}" --out "$out/controls" --controls || failed=1
"${chaos[@]}" run "${bloom[@]}" --out "$out/clock" --clock-jumps --minutes 1.5 \
    --faults F26,F01,F05,F09,F06 || failed=1
"${chaos[@]}" run "${bloom[@]}" --out "$out/main" --minutes 60 --rate 60 "$@" || failed=1

newest() { find "$out/$1" -maxdepth 1 -name 'seed-*' -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2; }
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
"${chaos[@]}" report --run "$(newest main)" --controls "$(newest controls)/controls.json" \
    --beside "the database's clock jumps=$(newest clock)" --commit "$commit" \
    --page docs/RELIABILITY-RESULTS.md
exit "$failed"
