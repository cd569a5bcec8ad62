# needs: npm:bun
set -euo pipefail
"$TOOLS/node_modules/.bin/bun" "$(dirname "$0")/node-fetch.mjs"
