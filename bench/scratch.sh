# Sourced by scripts that count instructions: a PostgreSQL server of their own, that ends with them.
# Sets bloom, bin, dir and database; as COMMAND runs what PostgreSQL does not do for root.
bloom=$(realpath "${CARGO_TARGET_DIR:-target}/release/bloom")
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
dir=$(mktemp -d) && chmod 755 "$dir" && mkdir "$dir/run"
database="postgres://postgres@/postgres?host=$dir/run"
service=
[ "$(id -u)" = 0 ] && chown -R postgres "$dir"
as() { if [ "$(id -u)" = 0 ]; then su postgres -s /bin/sh -c "$1"; else sh -c "$1"; fi; }
end() {
    [ -z "$service" ] || kill "$service" 2>/dev/null || true
    as "$bin/pg_ctl -D $dir/data -m immediate stop" >/dev/null 2>&1 || true
    [ -n "${KEEP:-}" ] && echo "callgrind's files are in $dir" || rm -rf "$dir"
}
trap end EXIT
as "$bin/initdb -D $dir/data -A trust --locale=C -E UTF8" >/dev/null
as "$bin/pg_ctl -D $dir/data -o \"-k $dir/run -c listen_addresses= -c fsync=off\" -l $dir/log -w start" >/dev/null
"$bloom" migrate --database-url "$database" >/dev/null
