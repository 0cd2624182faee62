#!/usr/bin/env bash
# Fuzzes each target for a while, or those named: fuzz/run.sh [SECONDS] [TARGET…]
#
# libFuzzer on the stable toolchain: coverage comes from LLVM's own pass, which needs no nightly
# flag. Needs a C++ compiler. The first build takes some minutes. An input that breaks a target is
# written to fuzz/target/found/.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-20}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(json_task router url_guard stream_json)

command -v c++ >/dev/null || { echo "fuzzing needs a C++ compiler, such as g++" >&2; exit 1; }
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
# With a target named, the flags are not for build scripts.
cargo build --release --target "$host" --bins
built=${CARGO_TARGET_DIR:-target}/$host/release

for target in "${targets[@]}"; do
    # What is found goes here; what is worth keeping is copied by hand, or by -merge=1.
    found=target/found/$target
    mkdir -p "$found"
    echo "== $target, $seconds s =="
    "$built/$target" "$found" "corpus/$target" -max_total_time="$seconds" -timeout=10 -max_len=8192 \
        -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 -artifact_prefix="target/found/$target-" \
        2>&1 | sed '/Recommended dictionary/,/End of recommended/d'
done
