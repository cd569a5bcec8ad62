# needs: cargo:reqwest
# took: none with native roots (`rustls-tls-native-roots`); with `webpki-roots`, add the CA
set -euo pipefail
"$CARGO_TARGET_DIR/debug/reqwest-client"
