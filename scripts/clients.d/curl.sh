# needs: apt:curl
set -euo pipefail
get() { curl -sS --fail --compressed -o "$OUT/$1" "${@:2}"; }
get json "$BASE/api/json?page=2"
get gzip "$BASE/api/gzip"
get post -H 'content-type: application/json' -d '{"name":"Ada"}' "$BASE/api/items"
get redirect -L "$BASE/api/redirect"
get image "$BASE/api/image.png"
