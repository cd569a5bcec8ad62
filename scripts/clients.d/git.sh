# needs: apt:git
set -euo pipefail
export GIT_CONFIG_GLOBAL=/dev/null
git clone -q "$BASE/api/repo.git" repo.$$
git -C repo.$$ rev-parse HEAD > "$OUT/head"
git -C repo.$$ fsck --full > "$OUT/fsck" 2>&1; echo "status $?" >> "$OUT/fsck"
cp repo.$$/README "$OUT/README"
rm -rf repo.$$
