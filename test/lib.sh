# lib.sh - what the scripts of this folder share: packages, a private server, a private build.
#
# Nothing of the machine is changed but missing packages being installed. Everything else lives in
# one temporary folder: a copy of the PostgreSQL installation (the server finds its files relative
# to its own program, so a copy is a full installation of its own), the sources, the build, and
# the cluster. `make install` goes into that copy: a zdm that this machine really uses, its
# clusters and this checkout (which may be read-only) are never touched, and two runs at the same
# time do not see each other. The folder and every server in it are gone when the script ends.
#
# Use: source it, then setup_work, require_server, build_zdm, start_cluster; see demo.sh.
#
#   PG_CONFIG       the server to use (default: the newest installed, else the distribution's)
#   ZDM_BUILD_DIR   keep the build there, so that the next run compiles only what has changed

set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=           # the temporary folder
server_config=  # pg_config of the private installation
server_bin=     # its programs
server_major=   # 15, 16 ...
build=          # the private copy of the sources
data=           # the private cluster
background=()   # processes to end with the script
small_disk=     # a file system that is soon full

say() { printf '%s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# ------------------------------------------------------------------------------------------------
# Packages
# ------------------------------------------------------------------------------------------------

apt_updated=no

apt_update_once() {
    [ "$apt_updated" = no ] || return 0
    apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null ||
        say "warning: apt-get update failed, trying with the lists that are there" >&2
    apt_updated=yes
}

# Installs packages, loudly: what cannot be installed ends the script.
install_packages() {
    command -v apt-get >/dev/null ||
        die "missing here: $*. There is no apt-get: install them with this system's own tools."
    [ "$(id -u)" = 0 ] || die "missing here: $*. Run as root, or: apt-get install $*"
    apt_update_once
    say "installing $*"
    local log=$work/apt.log
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 install "$@" >"$log" 2>&1 </dev/null || {
        tail -n 30 "$log" >&2
        die "apt-get could not install $*"
    }
}

# Debian's server package creates and starts a cluster when it is installed. We want the programs
# only; a drop-in says so for as long as the installation takes. Clusters that exist are not touched.
install_server_packages() {
    local folder=/etc/postgresql-common/createcluster.d
    no_cluster_file=$folder/zdm-no-main-cluster.conf
    mkdir -p "$folder"
    echo 'create_main_cluster = false' >"$no_cluster_file"
    install_packages "$@"
    remove_no_cluster_file
}

no_cluster_file=
remove_no_cluster_file() {
    if [ -n "$no_cluster_file" ]; then
        rm -f "$no_cluster_file"
        rmdir --ignore-fail-on-non-empty "$(dirname "$no_cluster_file")" 2>/dev/null || true
        no_cluster_file=
    fi
}

has_fmt() { echo '#include <fmt/format.h>' | g++ -x c++ -E - >/dev/null 2>&1; }

require_compiler() {
    local missing=()
    command -v g++ >/dev/null || missing+=(g++)
    command -v gcc >/dev/null || missing+=(gcc)
    command -v make >/dev/null || missing+=(make)
    if [ ${#missing[@]} -gt 0 ] || ! has_fmt; then
        install_packages "${missing[@]}" libfmt-dev
    fi
    has_fmt || die "g++ does not find <fmt/format.h>"
}

# A usable server: its programs and its headers.
is_complete() {
    local config=$1
    [ -x "$config" ] && [ -x "$("$config" --bindir)/postgres" ] && [ -x "$("$config" --bindir)/pgbench" ] &&
        [ -f "$("$config" --includedir-server)/postgres.h" ] && [ -f "$("$config" --pgxs)" ]
}

# The newest major version under Debian's layout that has a server, else the distribution's default.
debian_major() {
    local program newest=
    for program in $(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V); do
        [ ! -x "$program" ] || newest=$(basename "$(dirname "$(dirname "$program")")")
    done
    if [ -z "$newest" ]; then
        newest=$(apt-cache depends postgresql | sed -n 's/^ *Depends: *postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1)
    fi
    [ -n "$newest" ] || die "apt knows no PostgreSQL server package"
    echo "$newest"
}

# Prints the pg_config to use.
find_server() {
    if [ -n "${PG_CONFIG:-}" ]; then
        command -v "$PG_CONFIG" || die "PG_CONFIG=$PG_CONFIG is no program"
        return
    fi
    local program
    for program in $(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -rV) "$(command -v pg_config || true)"; do
        if [ -n "$program" ] && is_complete "$program"; then
            echo "$program"
            return
        fi
    done
}

# Makes sure that a server with its headers is there, and makes a private copy of it.
require_server() {
    local config
    config=$(find_server)
    if [ -z "$config" ]; then
        local major
        [ "$(id -u)" = 0 ] || die "no PostgreSQL server with headers here. Run as root, or install postgresql and postgresql-server-dev-all"
        apt_update_once
        major=$(debian_major)
        install_server_packages "postgresql-$major" "postgresql-server-dev-$major"
        config=/usr/lib/postgresql/$major/bin/pg_config
    fi
    is_complete "$config" || die "$config belongs to no complete installation (server, pgbench, headers, PGXS)"
    server_major=$("$config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    [ "$server_major" -ge 15 ] || die "PostgreSQL $server_major: zdm needs 15 or later"
    choose_owner
    copy_server "$config"
}

# Programs find the rest of their installation by the relative path from where they are, so the
# copy keeps the full paths below its own root. Only programs and libraries are copied, the rest
# is symbolic links.
copy_server() {
    local config=$1 root=$work/server item path
    for item in sharedir includedir includedir-server pkglibdir bindir; do
        path=$("$config" "--$item")
        [ ! -e "$root$path" ] || continue
        as_owner mkdir -p "$root$(dirname "$path")"
        case $item in
            bindir) as_owner cp -aL "$path" "$root$path" ;;
            *) as_owner cp -as "$path" "$root$path" ;;
        esac
    done
    server_bin=$root$("$config" --bindir)
    server_config=$server_bin/pg_config
    [ "$("$server_config" --sharedir)" = "$root$("$config" --sharedir)" ] ||
        die "the copy of $("$config" --bindir) does not find its own files"
    # An installed zdm must not be mistaken for the one that is built here.
    rm -f "$("$server_config" --pkglibdir)"/zdm.* "$("$server_config" --sharedir)"/extension/zdm[-.]*
}

# ------------------------------------------------------------------------------------------------
# The temporary folder, and who owns it
# ------------------------------------------------------------------------------------------------

# PostgreSQL refuses to run as root: then everything but apt runs as the user whom the server's
# package has created.
owner=
choose_owner() {
    if [ "$(id -u)" != 0 ]; then
        owner=$(id -un)
    elif id postgres >/dev/null 2>&1; then
        owner=postgres
    else
        owner=nobody
    fi
    mkdir -p "$work/tmp"
    chown "$owner" "$work" "$work/tmp"
}

# Runs a command as the owner of the temporary folder, in an environment of its own.
as_owner() {
    local command=(env HOME="$work" TMPDIR="$work/tmp" LC_ALL=C.UTF-8 PSQLRC=/dev/null "$@")
    if [ "$owner" = "$(id -un)" ]; then
        "${command[@]}"
    else
        setpriv --reuid="$owner" --regid="$(id -gn "$owner")" --init-groups -- "${command[@]}"
    fi
}

setup_work() {
    umask 022
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    work=$(mktemp -d "${TMPDIR:-/tmp}/zdm.XXXXXX")
    chmod 755 "$work"
    # The caller's folder may be closed to the owner, and programs want to know where they are.
    cd "$work"
    # Nothing of the caller's own PostgreSQL environment (PGHOST, PGPASSFILE ...) leaks in.
    local name
    for name in "${!PG@}"; do
        [ "$name" = PG_CONFIG ] || unset "$name"
    done
}

stop_background() {
    local pid
    for pid in "${background[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${background[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    background=()
}

# Stops every server that runs below the temporary folder, also one that an interrupted TAP test left.
stop_servers() {
    local pid_file
    while read -r pid_file; do
        as_owner "$server_bin/pg_ctl" -D "$(dirname "$pid_file")" -m immediate -w stop >/dev/null 2>&1 || true
    done < <(find "$work" ${build:+"$build"} -name postmaster.pid 2>/dev/null)
}

# A file system of its own that is soon full, for tests of what happens then. Prints why where there
# can be none: it takes root, and a system that lets root mount.
make_small_disk() {
    if [ "$(id -u)" != 0 ]; then
        echo "a small file system takes root"
        return 1
    fi
    mkdir "$work/small"
    mount -t tmpfs -o "size=96m,mode=700,uid=$(id -u "$owner"),gid=$(id -g "$owner")" zdm "$work/small" 2>&1 || return 1
    small_disk=$work/small
}

cleanup() {
    local status=$?
    trap '' INT TERM HUP
    remove_no_cluster_file
    if [ -n "$work" ]; then
        stop_background
        [ -z "$server_bin" ] || stop_servers
        cd /
        [ -z "$small_disk" ] || umount "$small_disk" || umount -l "$small_disk"
        rm -rf "$work"
    fi
    exit "$status"
}

# ------------------------------------------------------------------------------------------------
# Build
# ------------------------------------------------------------------------------------------------

# Copies the sources as they are in the checkout, tracked by git or not, without what a build left.
copy_sources() {
    build=${ZDM_BUILD_DIR:-$work/build}
    mkdir -p "$build"
    # Files are deleted there.
    [ -z "$(ls -A "$build")" ] || [ -f "$build/.zdm_build" ] || die "ZDM_BUILD_DIR=$build is no folder for builds: it has other files"
    chown "$owner" "$build"
    as_owner test -w "$build" || die "$owner cannot write to $build"
    # Kept from an earlier run: what has gone from the checkout must go here too.
    as_owner find "$build" -type f ! -name '*.o' ! -name '*.d' ! -name '*.so' -delete
    tar -C "$repo" --exclude=./.git --exclude='./build*' --exclude='*.o' --exclude='*.d' --exclude='*.so' \
        --exclude='*.bc' --exclude=./results --exclude=./tmp_check --exclude=./log --exclude=./output_iso \
        --exclude='regression.*' --exclude=./test/isolation/results -cf - . |
        as_owner tar -C "$build" --no-same-owner -xf -
    as_owner touch "$build/.zdm_build"
    find "$build/src" -type f -name '*.o' -print | while read -r object; do
        [ -f "${object%.o}.c" ] || [ -f "${object%.o}.cpp" ] || rm -f "$object" "${object%.o}.d"
    done
}

# make as the owner, in the private copy, against the private server.
make_zdm() { as_owner make -s -C "$build" PG_CONFIG="$server_config" "$@"; }

# Builds and installs into the private server. Prints the tail of the log when that fails.
build_zdm() {
    copy_sources
    local log=$work/build.log
    make_zdm -j "$(nproc)" all >"$log" 2>&1 && make_zdm install >>"$log" 2>&1 || {
        grep -n -A 3 -E 'error|Error' "$log" | head -n 60 >&2 || tail -n 30 "$log" >&2
        die "the build failed"
    }
}

# ------------------------------------------------------------------------------------------------
# The private cluster: one unix socket in the temporary folder, no network
# ------------------------------------------------------------------------------------------------

# Starts it with the given settings (name=value), and points psql and pgbench at it.
start_cluster() {
    data=$work/data
    mkdir -p "$work/run"
    chown "$owner" "$work/run"
    chmod 700 "$work/run"
    as_owner "$server_bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
        --no-sync >"$work/initdb.log" 2>&1 || {
        cat "$work/initdb.log" >&2
        die "initdb failed"
    }
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$work/run'"
        echo "port = 5432"
        local setting
        for setting in "$@"; do
            echo "${setting%%=*} = '${setting#*=}'"
        done
    } | as_owner tee -a "$data/postgresql.conf" >/dev/null
    as_owner "$server_bin/pg_ctl" -D "$data" -l "$work/server.log" -w -t 120 start >/dev/null || {
        tail -n 20 "$work/server.log" >&2
        die "the server does not start"
    }
    export PGHOST=$work/run PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
    export PGOPTIONS='' PSQLRC=/dev/null
    PATH=$server_bin:$PATH
}

# One value, or rows of values, of a statement; any error ends the script.
sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1" "${@:2}"; }

# A database that belongs to an ordinary role, as in production; psql and pgbench work as that role
# from here on.
create_application_database() {
    sql "CREATE ROLE app LOGIN"
    sql "GRANT pg_checkpoint, pg_monitor TO app"
    sql "CREATE DATABASE app OWNER app"
    sql "CREATE EXTENSION zdm" -d app
    export PGUSER=app PGDATABASE=app
}

# ------------------------------------------------------------------------------------------------
# The load: pgbench beside the work, and what its transactions met
# ------------------------------------------------------------------------------------------------

load_pid=
load_prefix=

# start_load NAME PGBENCH-OPTION...: every transaction is logged. With a rate (-R) the latency counts
# from when a transaction was due, so one that could not even start is not forgotten.
start_load() {
    load_prefix=$work/load.$1
    shift
    (cd "$work" && exec "$server_bin/pgbench" -n -T 86400 --log --log-prefix="$load_prefix" "$@") \
        >"$load_prefix.out" 2>"$load_prefix.err" </dev/null &
    load_pid=$!
    background+=("$load_pid")
}

load_runs() { [ -n "$load_pid" ] && kill -0 "$load_pid" 2>/dev/null; }

# pgbench ends -T by SIGALRM, so this is how to end it early and still get its summary.
stop_load() {
    kill -ALRM "$load_pid" 2>/dev/null || true
    wait "$load_pid" 2>/dev/null || true
    background=()
    load_pid=
}

# Transactions that did not commit: those that pgbench counts, and clients that an error ended.
load_failures() {
    local counted
    counted=$(sed -n 's/^number of failed transactions: *\([0-9]*\).*/\1/p' "$load_prefix.out")
    local ended
    ended=$(grep -c 'client [0-9]* .*aborted' "$load_prefix.err" || true)
    [ -n "$counted" ] || counted=0
    echo $((counted + ended))
}

load_transactions() {
    sed -n 's/^number of transactions actually processed: *\([0-9]*\).*/\1/p' "$load_prefix.out"
}

now() { date +%s.%N; }

# load_typical_p99 FROM TO: of the transactions that were under way between the two, the median of the
# 99th percentiles of stretches of about 3 seconds, in milliseconds: a machine that stalls now and then by
# itself moves it little.
load_typical_p99() {
    cat "$load_prefix".[0-9]* 2>/dev/null |
        awk -v from="$1" -v to="$2" '
            BEGIN { stretches = int((to - from) / 3 + 0.5); if (stretches < 1) stretches = 1 }
            $3 != "failed" && $3 != "skipped" {
                ended = $5 + $6 / 1e6
                stretch = int((ended - from) / (to - from) * stretches)
                if (ended >= from && ended - $3 / 1e6 <= to)
                    print stretch < stretches ? stretch : stretches - 1, $3 / 1000
            }' |
        sort -k 1,1n -k 2,2n |
        awk 'function give(  place) { place = int(count * 0.99); print latency[place ? place : 1] }
             NR > 1 && $1 != last { give(); count = 0 }
             { last = $1; latency[++count] = $2 }
             END { if (NR) give() }' |
        median
}

# load_latency [FROM TO]: "p50 p95 p99 max" in milliseconds of the transactions that were under way at
# some time between the two (seconds since 1970), or of all.
load_latency() {
    cat "$load_prefix".[0-9]* 2>/dev/null |
        awk -v from="${1:-0}" -v to="${2:-99999999999}" '
            $3 != "failed" && $3 != "skipped" {
                ended = $5 + $6 / 1e6
                if (ended >= from && ended - $3 / 1e6 <= to) print $3 / 1000
            }' |
        sort -n |
        awk 'function at(share,  place) { place = int(NR * share); return latency[place ? place : 1] }
             { latency[NR] = $1 }
             END {
                 if (NR == 0) { print "- - - -"; exit }
                 printf "%.2f %.2f %.2f %.1f\n", at(0.50), at(0.95), at(0.99), latency[NR]
             }'
}

# The median of the numbers on standard input.
median() {
    sort -g | awk '{ value[NR] = $1 }
        END { if (NR) print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2; else print "-" }'
}

# timed_ms STATEMENT: how long one statement took as psql sees it, in milliseconds.
timed_ms() {
    psql -X -q -A -t -v ON_ERROR_STOP=1 -c '\timing on' -c "$1" |
        sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n 1
}

# Numbers for people: 1234567 -> 1,234,567.
thousands() { sed -E ':again; s/^([0-9]+)([0-9]{3})/\1,\2/; t again' <<<"$1"; }
