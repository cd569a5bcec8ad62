# needs: apt:python3 pip:requests
# took: none; pip itself asks for `--trusted-host` when an index has no TLS
#
# Installs into an empty cache, again with a cached index, and with range requests for parts of the wheel.
set -euo pipefail
export PIP_CONFIG_FILE=/dev/null PIP_CACHE_DIR=$PWD/cache PIP_FIND_LINKS= PIP_DISABLE_PIP_VERSION_CHECK=1
options=(--index-url "$BASE/api/simple/" -q)
case $BASE in http:*) options+=(--trusted-host api.test);; esac
pip() { "${PYTHON:-python3}" -m pip "$@" "${options[@]}"; }
pip download --dest "$OUT" harproxy-demo
pip download --dest again harproxy-demo
cmp "$OUT"/*.whl again/*.whl
pip install --dry-run --ignore-installed --no-cache-dir --use-feature=fast-deps --report report harproxy-demo
grep -o '"version": "[^"]*"' report > "$OUT/report"
rm -r again cache report
