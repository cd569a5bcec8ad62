# needs: cargo:reqwest
# took: nothing with native roots (`rustls-tls-native-roots`); `webpki-roots` needs the CA added
set -euo pipefail
"$CARGO_TARGET_DIR/debug/reqwest-client"
