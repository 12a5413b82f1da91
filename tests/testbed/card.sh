#!/usr/bin/env bash
# Builds the card in software, unless these very sources were built before, and says where it is. Its many dependencies take minutes
# once; they stay in a target directory of their own. `card.sh check` holds its format, its lints and its own tests instead.
source "$(dirname "$0")/environment.sh"
wants_cards
cd tests/testbed/card
export CARGO_TARGET_DIR=$OBNOVA_CACHE/card
mkdir -p "$CARGO_TARGET_DIR"

sources=$(find Cargo.toml Cargo.lock src -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
card=$CARGO_TARGET_DIR/virtual-card-$sources

# Several tests want it at once; one of them builds.
exec {build}>"$CARGO_TARGET_DIR/build.lock"
flock "$build"
bring_lacking >&2
if [ "${1:-}" = check ]; then
    cargo fmt --check
    cargo clippy --locked --all-targets --quiet -- -D warnings
    exec cargo test --locked --quiet
fi
if ! [ -x "$card" ]; then
    echo "building the card in software" >&2
    cargo build --locked --quiet >&2
    find "$CARGO_TARGET_DIR" -maxdepth 1 -name 'virtual-card-*' -mtime +7 -delete
    cp "$CARGO_TARGET_DIR/debug/virtual-card" "$card.new"
    mv "$card.new" "$card"
fi
echo "$card"
