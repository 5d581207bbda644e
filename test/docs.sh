#!/bin/bash
# docs.sh - runs every SQL block of README.md and docs/ in a fresh database of the server that PGHOST and
# PGPORT name, file after file, so that the documentation cannot promise what does not work.
#
# Usage: docs.sh FOLDER   (the checkout). Fails at the first statement that fails.
set -euo pipefail
folder=${1:-$(dirname "${BASH_SOURCE[0]}")/..}

sql_blocks() { awk '/^```sql$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$1"; }

createdb zdm_docs
for file in "$folder/README.md" "$folder"/docs/*.md; do
    echo "-- $file"
    sql_blocks "$file" | psql -X -q -v ON_ERROR_STOP=1 -d zdm_docs -f - >/dev/null
done
dropdb zdm_docs
