# needs: cargo
#
# The sparse index and crates, over one HTTP/2 connection.
set -euo pipefail
config=${CARGO_HOME:-$HOME/.cargo}
export CARGO_HOME=$CACHE/cargo
mkdir -p "$CARGO_HOME" "$OUT/app/src"
# Keeps the configured registry, but not the cache.
for file in config.toml config credentials.toml; do
  [ ! -f "$config/$file" ] || cp "$config/$file" "$CARGO_HOME/"
done
cd "$OUT/app"
printf '[package]\nname = "app"\nversion = "1.0.0"\nedition = "2021"\n\n[dependencies]\nserde = { version = "1", features = ["derive"] }\n' > Cargo.toml
touch src/lib.rs
cargo fetch -q
cp -r "$CARGO_HOME/registry/cache" "$OUT/crates"
