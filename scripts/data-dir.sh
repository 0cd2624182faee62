#!/bin/sh
# Prints the data directory for `make run`: $BLOOM_DATA_DIR, else .bloom in this directory.
#
# Started by root, Postgres runs as an ordinary user, who must be able to get there. Below a
# closed directory such as /root that user cannot, so then it is a place under /var/lib, one for
# each checkout.
set -eu

if [ -n "${BLOOM_DATA_DIR:-}" ]; then
    echo "$BLOOM_DATA_DIR"
    exit
fi
dir=$(pwd -P)
if [ "$(id -u)" = 0 ]; then
    parent=$dir
    while [ "$parent" != / ]; do
        case $(ls -ld "$parent") in
            d????????[xt]*) parent=$(dirname "$parent") ;;
            *)
                echo "/var/lib/bloom/$(printf %s "$dir" | cksum | cut -d ' ' -f 1)"
                exit
                ;;
        esac
    done
fi
echo .bloom
