# needs: npm
#
# Installs about sixty packages in parallel into an empty cache, and again with a cache that npm validates.
set -euo pipefail
# npm does not wait for the response to this request, so it may be recorded or not.
export npm_config_update_notifier=false
mkdir "$OUT/app"
cd "$OUT/app"
echo '{"name":"app","version":"1.0.0","private":true}' > package.json
npm install --silent --cache "$CACHE" --ignore-scripts express
cp -r node_modules "$OUT/cold"
rm -r node_modules
npm install --silent --cache "$CACHE" --ignore-scripts --prefer-online
npm view --silent --cache "$CACHE" express dist-tags --json > "$OUT/view"
