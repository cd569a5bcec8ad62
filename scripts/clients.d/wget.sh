# needs: apt:wget
set -euo pipefail
get() { wget -q -O "$OUT/$1" "${@:2}"; }
get json "$BASE/api/json?page=2"
get gzip --compression=auto "$BASE/api/gzip"
get post --header 'content-type: application/json' --post-data '{"name":"Ada"}' "$BASE/api/items"
get redirect "$BASE/api/redirect"
get image "$BASE/api/image.png"
