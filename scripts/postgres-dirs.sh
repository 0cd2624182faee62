#!/bin/sh
# Prints every directory that holds PostgreSQL server programs of version 14 or newer, one a line.
# The same places as `bloom serve` looks in (src/embedded/binaries.rs).
set -u

oldest=14

for dir in "${BLOOM_PG_BIN:-}" "$(pg_config --bindir 2>/dev/null)" \
    /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
    /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
    /usr/local/pgsql/bin /usr/local/bin /usr/bin \
    "$(dirname "$(command -v postgres 2>/dev/null || echo /none/none)")"; do
    [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ] && [ -x "$dir/pg_ctl" ] || continue
    major=$("$dir/postgres" --version | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
    [ "${major:-0}" -ge "$oldest" ] && echo "$dir"
done
exit 0
