#!/bin/sh
# Gets the machine ready to build and run the service: a Rust toolchain, a C compiler, and the
# PostgreSQL server programs; with the argument `tests` also what the tests use: psql, curl, npm (for
# the Claude CLI), pip and venv (for the S3 server and schemathesis), ip, nginx, systemd-analyze,
# pgbouncer, faketime, and Chromium with its driver.
# Changes nothing, and takes no time, where all of them are there.
#
# The Rust toolchain is only checked for. The others are installed with the system's package
# manager by root, or with sudo where that asks for no password; else the command to run is shown.
set -eu

here=$(dirname "$0")
rust_wanted=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*/\1/p' "$here/../Cargo.toml")

fail() {
    echo "setup: $*" >&2
    exit 1
}

check_rust() {
    PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
    if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
        fail "there is no Rust toolchain. Get one from https://rustup.rs:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y
then start again."
    fi
    found=$(rustc --version | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
    if [ "${found:-0}" -lt "$rust_wanted" ]; then
        fail "Rust 1.$rust_wanted or newer is needed, this is $(rustc --version). Get it with:
    rustup update stable"
    fi
}

package_manager() {
    for manager in apt-get dnf yum apk pacman zypper brew; do
        if command -v "$manager" >/dev/null; then
            echo "$manager"
            return
        fi
    done
}

# The command that installs what is missing: $1 is the manager; $2, $3, $4 and $5 say whether
# Postgres, the compiler, psql and curl are; $6 names the rest.
install_command() {
    case $1 in
        apt-get) pg=postgresql psql=postgresql-client cc="gcc libc6-dev" begin="apt-get install -y --no-install-recommends" ;;
        dnf | yum) pg=postgresql-server psql=postgresql cc=gcc begin="$1 install -y" ;;
        apk) pg=postgresql psql=postgresql-client cc=build-base begin="apk add" ;;
        pacman) pg=postgresql psql=postgresql cc=gcc begin="pacman -S --needed --noconfirm" ;;
        zypper) pg=postgresql-server psql=postgresql cc=gcc begin="zypper --non-interactive install" ;;
        brew) pg=postgresql@18 psql=libpq cc=gcc begin="brew install" ;;
    esac
    [ "$2" = no ] || begin="$begin $pg"
    [ "$3" = no ] || begin="$begin $cc"
    [ "$4" = no ] || begin="$begin $psql"
    [ "$5" = no ] || begin="$begin curl"
    begin="$begin $6"
    echo "$begin"
}

# How to become root: nothing for root, sudo where it does not ask. Fails where there is no way.
root_prefix() {
    if [ "$(id -u)" = 0 ]; then
        return 0
    fi
    command -v sudo >/dev/null && sudo -n true 2>/dev/null && echo "sudo -n"
}

# Debian's package makes and starts a cluster of its own. Nobody asked for that one; a machine
# that has the package already is left as it is.
without_debian_cluster() {
    conf=/etc/postgresql-common/createcluster.conf
    if [ ! -e "$conf" ]; then
        $1 mkdir -p "$(dirname "$conf")"
        printf '# Written by the set-up of BLOOM Runtime, which runs a cluster of its own.\n%s\n' \
            'create_main_cluster = false' | $1 tee "$conf" >/dev/null
    fi
}

install() {
    manager=$(package_manager)
    [ -n "$manager" ] || fail "no package manager that I know. Install the PostgreSQL server
(14 or newer) and a C compiler, or set BLOOM_PG_BIN to the server's programs; then start again."
    command=$(install_command "$manager" "$@")
    if [ "$manager" = brew ]; then
        prefix=
    elif ! prefix=$(root_prefix); then
        fail "this needs to be installed, and I may not do it:
    sudo $command
then start again."
    fi
    echo "setup: $prefix $command"
    case $manager in
        apt-get)
            [ "$1" = no ] || without_debian_cluster "$prefix"
            $prefix apt-get update -q
            $prefix env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 $command
            ;;
        *) $prefix $command ;;
    esac </dev/null
}

check_rust
postgres=no
[ -n "$("$here/postgres-dirs.sh")" ] || postgres=yes
compiler=no
command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || compiler=yes
psql=no
curl=no
more=
if [ "${1:-}" = tests ]; then
    command -v psql >/dev/null || psql=yes
    command -v curl >/dev/null || curl=yes
    command -v npm >/dev/null || more="$more npm"
    PATH="$PATH:/usr/sbin:/sbin" command -v ip >/dev/null || more="$more iproute2"
    PATH="$PATH:/usr/sbin:/sbin" command -v nginx >/dev/null || more="$more nginx"
    command -v systemd-analyze >/dev/null || more="$more systemd"
    python3 -m pip --version >/dev/null 2>&1 || more="$more python3-pip"
    python3 -c 'import ensurepip' 2>/dev/null || more="$more python3-venv"
    command -v chromedriver >/dev/null || more="$more chromium chromium-driver fonts-dejavu-core"
    PATH="$PATH:/usr/sbin:/sbin" command -v pgbouncer >/dev/null || more="$more pgbouncer"
    command -v faketime >/dev/null || more="$more faketime"
fi
if [ "$postgres$compiler$psql$curl$more" != nononono ]; then
    install "$postgres" "$compiler" "$psql" "$curl" "$more"
    [ -n "$("$here/postgres-dirs.sh")" ] || fail "the PostgreSQL that this system offers is older than
14. Install a newer one (https://www.postgresql.org/download), or set BLOOM_PG_BIN."
fi
