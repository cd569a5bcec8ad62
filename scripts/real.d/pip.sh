# needs: python3
#
# Wheels with their dependencies, from an empty cache and once more from a warm one, which asks whether anything has changed; a
# resolution that reads only the ends of wheels, by ranges, where the index lets it; and pip's own question for a newer pip.
set -euo pipefail
# A folder of wheels on this machine would answer instead of the index.
export PIP_FIND_LINKS= PIP_CACHE_DIR=$CACHE PIP_DISABLE_PIP_VERSION_CHECK=0
pip=("${PYTHON:-python3}" -m pip -q)
"${pip[@]}" download --dest "$OUT/cold" requests
"${pip[@]}" download --dest "$OUT/warm" requests
"${pip[@]}" --use-feature=fast-deps --no-cache-dir download --dest "$OUT/ranges" rich
"${pip[@]}" install --target "$OUT/installed" --no-compile --no-deps six
