# needs: apt:npm
#
# Installs into an empty cache, and again with a cached package, which npm validates.
set -euo pipefail
export npm_config_cache=$PWD/cache npm_config_registry=$BASE/api/npm/ npm_config_update_notifier=false
mkdir app
echo '{"name":"app","version":"1.0.0","private":true}' > app/package.json
npm install --silent --prefix app harproxy-demo
rm -r app/node_modules
npm install --silent --prefix app --prefer-online
cp app/node_modules/harproxy-demo/index.js app/node_modules/harproxy-demo/big.bin app/node_modules/.package-lock.json "$OUT"
mv "$OUT/.package-lock.json" "$OUT/package-lock.json"
npm view --silent harproxy-demo --json > "$OUT/view"
rm -r app cache
