#!/bin/bash
# check.sh - every test, on a fresh Debian machine as root or wherever the packages are installed.
#
#     bash test/check.sh                      everything
#     bash test/check.sh regress [NAME...]    pg_regress: sql/NAME.sql
#     bash test/check.sh isolation [NAME...]  test/isolation/specs/NAME.spec
#     bash test/check.sh tap [NAME...]        test/tap/NAME.pl
#     bash test/check.sh format | layers | cmake
#
# The last line is "N passed, N failed", the exit status is 1 if anything failed. A layer that could
# not run is a failure, never silence: TAP without perl's IPC::Run, a server that does not start,
# test files that no runner has seen. ZDM_BUILD_DIR=folder keeps the build between runs.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

passed=0
failed=0
pass() {
    passed=$((passed + 1))
    say "ok       $*"
}
fail() {
    failed=$((failed + 1))
    say "FAILED   $*"
}
skip() { say "skipped  $*"; }
heading() { say "" && say "== $*"; }

indent() { sed 's/^/         | /'; }

# ------------------------------------------------------------------------------------------------
# Without a server
# ------------------------------------------------------------------------------------------------

# Other major versions of clang-format lay out the same configuration differently.
format_major=14

find_clang_format() {
    local program
    for program in "clang-format-$format_major" clang-format; do
        if command -v "$program" >/dev/null &&
            [[ $("$program" --version) =~ version\ $format_major\. ]]; then
            echo "$program"
            return
        fi
    done
}

check_format() {
    heading "layout (clang-format $format_major)"
    local program files
    program=$(find_clang_format)
    if [ -z "$program" ] && [ "$(id -u)" = 0 ] && command -v apt-cache >/dev/null; then
        apt_update_once
        if [ -n "$(apt-cache search --names-only "^clang-format-$format_major\$")" ]; then
            install_packages "clang-format-$format_major"
            program=$(find_clang_format)
        fi
    fi
    if [ -z "$program" ]; then
        skip "clang-format: this system has no version $format_major"
        return
    fi
    mapfile -t files < <(find "$repo/src" -name '*.[ch]' -o -name '*.[ch]pp' | LC_ALL=C sort)
    if "$program" --style=file --dry-run --Werror "${files[@]}" >"$work/format.log" 2>&1; then
        pass "clang-format: ${#files[@]} files"
    else
        sed -n "s|^$repo/\([^:]*:[0-9]*\):.*|\1|p" "$work/format.log" | sort -u | head -n 20 | indent
        fail "clang-format: $program -i <files> mends it"
    fi
}

check_layers() {
    heading "includes point downwards"
    if bash "$repo/test/layers.sh" >"$work/layers.log" 2>&1; then
        pass "layers"
    else
        indent <"$work/layers.log"
        fail "layers"
    fi
}

# ------------------------------------------------------------------------------------------------
# Build
# ------------------------------------------------------------------------------------------------

# Warnings in our own files; a compiler newer than the server's headers may find fault with those.
our_warnings() { grep -E '^(\./|.*/)?src/[^:]*:[0-9]+:[0-9]+: warning' "$1" | sort -u; }

# Everything below needs it, so a failure ends the run.
check_build() {
    heading "build"
    require_compiler
    require_server
    say "PostgreSQL $("$server_config" --version | cut -d ' ' -f 2-)"
    copy_sources
    local log=$work/build.log
    if ! make_zdm -j "$(nproc)" all >"$log" 2>&1; then
        { grep -A 5 -E 'error' "$log" || tail -n 40 "$log"; } | head -n 60 | indent
        fail "make"
        finish
    fi
    if our_warnings "$log" >"$work/warnings.log"; then
        indent <"$work/warnings.log"
        fail "make: warnings"
    else
        pass "make"
    fi
    if make_zdm install >"$log" 2>&1; then
        pass "make install"
    else
        tail -n 20 "$log" | indent
        fail "make install"
        finish
    fi
}

exported_symbols() { nm -D --defined-only "$1" | awk '{ print $NF }' | LC_ALL=C sort; }

check_cmake() {
    heading "build with CMake"
    command -v cmake >/dev/null || install_packages cmake
    local log=$work/cmake.log folder=$work/cmake
    # Another folder and no optimisation: it is the description that is tested, and that it finds
    # the same sources. Configuring needs the default build type to work, so that is tried too.
    if ! { as_owner cmake -S "$build" -B "$folder/default" -DPG_CONFIG="$server_config" &&
        as_owner cmake -S "$build" -B "$folder/quick" -DPG_CONFIG="$server_config" -DCMAKE_BUILD_TYPE=Quick &&
        as_owner cmake --build "$folder/quick" -j "$(nproc)"; } >"$log" 2>&1; then
        { grep -A 5 -iE 'error' "$log" || tail -n 40 "$log"; } | head -n 60 | indent
        fail "cmake"
        return
    fi
    if our_warnings "$log" >"$work/warnings.log"; then
        indent <"$work/warnings.log"
        fail "cmake: warnings"
        return
    fi
    # Unoptimised code exports the same names: C functions and what is marked for export.
    if diff <(exported_symbols "$build/zdm.so" | grep -v '^_Z') \
        <(exported_symbols "$folder/quick/zdm.so" | grep -v '^_Z') >"$work/symbols.diff"; then
        pass "cmake"
    else
        indent <"$work/symbols.diff"
        fail "cmake: exports other symbols than make's library (< make, > cmake)"
    fi
}

# ------------------------------------------------------------------------------------------------
# pg_regress and the isolation tester
# ------------------------------------------------------------------------------------------------

names_of() { # FOLDER SUFFIX: the test files there, without their suffix
    find "$1" -maxdepth 1 -name "*$2" -printf '%f\n' 2>/dev/null | sed "s/\\$2\$//" | LC_ALL=C sort
}

start_test_cluster() {
    [ -z "$data" ] || return 0
    # Nothing is preloaded: zdm must work in a server that has only seen CREATE EXTENSION.
    start_cluster fsync=off autovacuum=on max_worker_processes=16 max_prepared_transactions=8 \
        wal_level=logical shared_preload_libraries= log_line_prefix='%m [%p] %q%a '
}

# run_installcheck LAYER MAKE-VARIABLE OUTPUT-FOLDER NAME...
# Both testers print a line for each file; a file without a line that says ok has failed, whatever
# the reason.
run_installcheck() {
    local layer=$1 variable=$2 folder=$3 log=$work/$1.log name
    shift 3
    local arguments=(REGRESS= ISOLATION= TAP_TESTS=)
    arguments+=("$variable=$*")
    start_test_cluster
    make_zdm installcheck "${arguments[@]}" >"$log" 2>&1 || true
    local missed=0
    for name in "$@"; do
        # 15: "test name   ... ok   12 ms"; from 16 on: "ok 1   - name   12 ms"
        if grep -qE "^(test )?\s*$name\s+\.\.\. ok|^ok [0-9]+\s+[-+] $name\s" "$log"; then
            pass "$layer $name"
        else
            missed=$((missed + 1))
            fail "$layer $name"
        fi
    done
    [ "$missed" = 0 ] && return
    if [ -s "$build/$folder/regression.diffs" ]; then
        head -n 300 "$build/$folder/regression.diffs" | indent
    else
        tail -n 40 "$log" | indent
    fi
}

# check_files LAYER FOLDER SUFFIX RUNNER [NAME...]: the files asked for, else all.
check_files() {
    local layer=$1 folder=$2 suffix=$3 runner=$4 names=()
    shift 4
    heading "$layer"
    if [ $# -gt 0 ]; then
        names=("$@")
        local name
        for name in "${names[@]}"; do
            [ -f "$repo/$folder/$name$suffix" ] || die "there is no $folder/$name$suffix"
        done
    else
        # zdm--X.Y.Z.sql lie beside pg_regress's inputs.
        mapfile -t names < <(names_of "$repo/$folder" "$suffix" | grep -v '^zdm--' || true)
    fi
    if [ ${#names[@]} = 0 ]; then
        skip "$layer: no files in $folder"
        return
    fi
    "$runner" "${names[@]}"
}

run_regress() { run_installcheck regress REGRESS . "$@"; }
run_isolation() {
    # In a folder of output that is not there the tester fails with an unclear message.
    as_owner mkdir -p "$build/test/isolation/results"
    run_installcheck isolation ISOLATION test/isolation "$@"
}

# A crash restarts the server, and the tests after it may pass again.
check_survival() {
    [ -n "$data" ] || return 0
    local crashes
    crashes=$(grep -nE 'was terminated by signal|PANIC:|TRAP:|terminated abnormally' "$work/server.log" | head -n 20 || true)
    if [ -z "$crashes" ]; then
        pass "the server has not crashed"
    else
        indent <<<"$crashes"
        fail "the server has not crashed"
    fi
}

# ------------------------------------------------------------------------------------------------
# TAP
# ------------------------------------------------------------------------------------------------

run_tap() {
    local name log=$work/tap.log ran=0
    if ! perl -MIPC::Run -e 1 2>/dev/null || ! command -v prove >/dev/null; then
        install_packages libipc-run-perl perl
    fi
    # A real schema with data, where it is at hand.
    export ZDM_SAMPLE=$repo/../shared/data/chinook.sql
    # Kept in a file: a subshell would keep what is to be unmounted to itself.
    make_small_disk >"$work/small_disk.log" || true
    export ZDM_SMALL_DISK=$small_disk ZDM_NO_SMALL_DISK
    ZDM_NO_SMALL_DISK=$(cat "$work/small_disk.log")
    for name in "$@"; do
        # One file a call: its own result, and its logs are still there when it has failed.
        if make_zdm installcheck REGRESS= ISOLATION= TAP_TESTS=1 PROVE_TESTS="test/tap/$name.pl" \
            PROVE_FLAGS=--timer >"$log" 2>&1; then
            if grep -q '^Result: PASS' "$log"; then
                ran=$((ran + 1))
                pass "tap $name"
            elif grep -q '^Result: NOTESTS' "$log"; then
                skip "tap $name: $(sed -n 's/.*skipped: //p' "$log" | head -n 1)"
            else
                tail -n 20 "$log" | indent
                fail "tap $name: it has not run"
            fi
        else
            grep -v '^+++' "$log" | tail -n 40 | indent
            show_tap_logs
            fail "tap $name"
        fi
    done
    # Each may have a reason to skip itself (a server version); all of them together have not.
    [ "$ran" -gt 0 ] || [ "$failed" -gt 0 ] || fail "tap: not one file has run"
}

show_tap_logs() {
    local file
    find "$build/tmp_check/log" -type f 2>/dev/null | LC_ALL=C sort | while read -r file; do
        say "         $(basename "$file"), its end:"
        tail -n 30 "$file" | indent
    done || true
    # Last, so that it is there where only the end of a log is kept.
    find "$build/tmp_check/log" -name 'regress_log_*' -exec grep -h -A 8 -E '\] not ok|^# died|died at' {} + | head -n 60 | indent || true
}

# ------------------------------------------------------------------------------------------------

finish() {
    say ""
    say "$passed passed, $failed failed"
    [ "$failed" = 0 ] || exit 1
    exit 0
}

# The documentation's SQL, on the server of the regression tests.
check_docs() {
    heading "docs: every SQL block of README.md and docs/"
    start_test_cluster
    if bash "$repo/test/docs.sh" "$repo" >"$work/docs.log" 2>&1; then
        pass "docs"
    else
        fail "docs"
        indent <"$work/docs.log"
    fi
}

check_regress() { check_files regress sql .sql run_regress "$@"; }
check_isolation() { check_files isolation test/isolation/specs .spec run_isolation "$@"; }
check_tap() { check_files tap test/tap .pl run_tap "$@"; }

main() {
    local layer=${1:-all}
    [ $# = 0 ] || shift
    # Run by its folder's name or by a full path: what counts is where the script lies.
    setup_work
    case $layer in
        all)
            check_format
            check_layers
            check_build
            check_cmake
            check_regress
            check_docs
            check_isolation
            check_survival
            check_tap
            ;;
        format | layers) "check_$layer" ;;
        cmake)
            check_build
            check_cmake
            ;;
        regress | isolation | docs)
            check_build
            "check_$layer" "$@"
            check_survival
            ;;
        tap)
            check_build
            check_tap "$@"
            ;;
        *) die "no such layer: $layer. One of: format layers cmake regress docs isolation tap" ;;
    esac
    finish
}

main "$@"
