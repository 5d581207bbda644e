#!/bin/bash
# layers.sh - do the includes point downwards only?
#
# The layers, from top to bottom; a file may include its own layer and those below it:
#
#     entry > api > worker > kind > step > pace > lint > carry > state > core > hot > pg
#
# And the language boundary: postgres.h (or any other header of the server) is for .c files and
# src/hot only. A C++ file that gets it through one of our own headers breaks the rule too, so the
# includes are followed. docs and design say why; this file only looks.
#
# Prints every violation with its file and line; exits 1 if there is any.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find src -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \) | LC_ALL=C sort |
    xargs grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]' |
    awk '
    BEGIN {
        layers = split("pg hot core state carry lint pace step kind worker api entry", name, " ")
        for (i = 1; i <= layers; i++) rank[name[i]] = i
    }

    function layer(file,   part) {
        split(file, part, "/")
        return part[2]
    }

    # C++ that must not see the server.
    function is_shielded(file) {
        return file ~ /\.(cpp|hpp)$/ && layer(file) != "hot"
    }

    function complain(place, text) {
        print place ": " text
        violations++
    }

    {
        # path:line:#include "target"  or  <target>
        match($0, /:[0-9]+:/)
        file = substr($0, 1, RSTART - 1)
        line = substr($0, RSTART + 1, RLENGTH - 2)
        if (!match($0, /["<][^">]+[">]/)) next
        quote = substr($0, RSTART, 1)
        target = substr($0, RSTART + 1, RLENGTH - 2)
        place = file ":" line
        files[file] = 1

        if (!(layer(file) in rank)) {
            if (!(layer(file) in unknown)) complain(place, "src/" layer(file) " is no layer; architecture says where it belongs")
            unknown[layer(file)] = 1
            next
        }
        part_count = split(target, part, "/")
        ours = quote == "\"" && part_count == 2 && (part[1] in rank) && (system("test -f src/" target) == 0)
        if (ours) {
            if (rank[part[1]] > rank[layer(file)])
                complain(place, layer(file) " includes \"" target "\" of the layer " part[1] " above it")
            includes[file] = includes[file] " src/" target
            place_of[file, "src/" target] = place
        } else if (quote == "\"" || target ~ /^(postgres|c|fmgr)\.h$/ || target ~ /^(access|catalog|commands|executor|nodes|parser|storage|utils)\//) {
            # Not a file of ours: the server.
            sees_server[file] = target
            if (is_shielded(file))
                complain(place, "C++ includes the server\047s \"" target "\"; add a function to src/pg/bridge.h instead")
        }
    }

    # Does the file get a header of the server through others? Returns the way there.
    function way_to_server(file, seen,   list, count, i, way) {
        if (file in sees_server) return "\"" sees_server[file] "\""
        if (file in seen) return ""
        seen[file] = 1
        count = split(includes[file], list, " ")
        for (i = 1; i <= count; i++) {
            way = way_to_server(list[i], seen)
            if (way != "") return substr(list[i], 5) " > " way
        }
        return ""
    }

    END {
        for (file in files) {
            if (!is_shielded(file) || (file in sees_server)) continue
            split("", visited)
            count = split(includes[file], direct, " ")
            for (i = 1; i <= count; i++) {
                way = way_to_server(direct[i], visited)
                if (way != "")
                    complain(place_of[file, direct[i]], "C++ gets a header of the server: " substr(direct[i], 5) " > " way)
            }
        }
        if (NR == 0) complain("src", "no includes found: nothing was checked")
        exit violations > 0
    }'
