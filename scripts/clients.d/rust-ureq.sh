# needs: cargo:ureq
# took: `RootCerts::PlatformVerifier` (ureq 3 with `platform-verifier`)
set -euo pipefail
"$CARGO_TARGET_DIR/debug/ureq-client"
