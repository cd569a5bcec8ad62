# needs: npm
#
# A tree of some sixty packages, fetched many at a time into an empty cache, and once more into a warm one, which asks whether anything
# has changed.
set -euo pipefail
# npm does not wait for the answer to this question, so it may be recorded or not.
export npm_config_update_notifier=false
mkdir "$OUT/app"
cd "$OUT/app"
echo '{"name":"app","version":"1.0.0","private":true}' > package.json
npm install --silent --cache "$CACHE" --ignore-scripts express
cp -r node_modules "$OUT/cold"
rm -r node_modules
npm install --silent --cache "$CACHE" --ignore-scripts --prefer-online
npm view --silent --cache "$CACHE" express dist-tags --json > "$OUT/view"
