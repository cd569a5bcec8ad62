# needs: apt:python3 pip:requests
# took: nothing; pip itself asks for `--trusted-host` when an index has no TLS
set -euo pipefail
options=(--index-url "$BASE/api/simple/" --no-cache-dir --no-deps --disable-pip-version-check --isolated -q)
case $BASE in http:*) options+=(--trusted-host api.test);; esac
"${PYTHON:-python3}" -m pip download "${options[@]}" --dest "$OUT" harproxy-demo
