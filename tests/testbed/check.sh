#!/usr/bin/env bash
# Everything that a change must pass. The tests run last, so that the output closes with their own summary.
source "$(dirname "$0")/environment.sh"
wants_to_test
wants systemd command -v systemd-analyze
# The units name its dbus.socket.
wants dbus-user-session test -e /usr/lib/systemd/user/dbus.socket
wants_desktop
# The other tools that renew certificates, and what opens files to one more user.
wants certmonger command -v certmonger
wants certbot command -v certbot
wants acl command -v setfacl
wants nginx-light test -x /usr/sbin/nginx
wants polkitd test -x /usr/lib/polkit-1/polkitd
wants_shells
wants_mail
wants_tokens
wants libnss3-tools command -v certutil
wants_cards
# A dump of a running process, as root makes one.
wants gdb command -v gcore
bring_lacking
bound_target

cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

echo "== format"
cargo fmt --all --check
echo "== dependency policy"
tests/testbed/deny.sh
echo "== lints"
cargo clippy --locked --workspace --all-targets --features obnova-tests/peers -- -D warnings
echo "== the card in software"
tests/testbed/card.sh check
tests/testbed/card.sh
echo "== tests"
tests/testbed/test.sh --features obnova-tests/peers
