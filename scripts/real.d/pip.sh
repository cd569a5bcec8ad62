# needs: python3
#
# Installs wheels with their dependencies from an empty cache, and again from a cache that pip validates. Resolves with
# range requests for the ends of wheels, where the index supports them. Includes pip's check for a newer version.
set -euo pipefail
# A local folder of wheels would replace the index.
export PIP_FIND_LINKS= PIP_CACHE_DIR=$CACHE PIP_DISABLE_PIP_VERSION_CHECK=0
pip=("${PYTHON:-python3}" -m pip -q)
"${pip[@]}" download --dest "$OUT/cold" requests
"${pip[@]}" download --dest "$OUT/warm" requests
"${pip[@]}" --use-feature=fast-deps --no-cache-dir download --dest "$OUT/ranges" rich
"${pip[@]}" install --target "$OUT/installed" --no-compile --no-deps six
