# shellcheck shell=bash
# Sourced by the scripts here and in packaging/. It owns where builds and tools are kept, how what is lacking comes here,
# and how a private bus with a daemon on it is started. It builds and tests nothing by itself.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
OBNOVA_CACHE=${OBNOVA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/obnova}
CARGO_TARGET_DIR=$OBNOVA_CACHE/target
export ROOT OBNOVA_CACHE CARGO_TARGET_DIR
export PATH=$PATH:$HOME/.cargo/bin
cd "$ROOT"

# --- what is lacking ---

lacking=()

# wants PACKAGE COMMAND…: the Debian package PACKAGE is lacking unless COMMAND succeeds.
wants() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || lacking+=("$package")
}

# Installs what is lacking when root; otherwise prints the one line that does, and stops.
bring_lacking() {
    if ! command -v cargo >/dev/null; then
        echo "Rust is needed (the version that Cargo.toml names): see https://rustup.rs" >&2
        exit 1
    fi
    [ ${#lacking[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "Please install what is lacking:  sudo apt-get install ${lacking[*]}" >&2
        exit 1
    fi
    echo "installing ${lacking[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -qq -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update </dev/null
    "${apt[@]}" install -y --no-install-recommends "${lacking[@]}" </dev/null >/dev/null
    lacking=()
}

wants_to_build() {
    wants build-essential command -v cc
    wants pkg-config command -v pkg-config
    wants libssl-dev pkg-config --exists openssl
}

wants_to_test() {
    wants_to_build
    wants dbus-daemon command -v dbus-daemon
    wants dbus-bin command -v dbus-monitor
    wants openssl command -v openssl
}

wants_desktop() {
    wants dbus-bin command -v dbus-send
    wants xvfb command -v Xvfb
    wants openbox command -v openbox
    wants xfce4-panel command -v xfce4-panel
    wants xfce4-notifyd test -x /usr/lib/x86_64-linux-gnu/xfce4/notifyd/xfce4-notifyd
    wants xfconf test -x /usr/lib/x86_64-linux-gnu/xfce4/xfconf/xfconfd
    wants xdotool command -v xdotool
    wants x11-xkb-utils command -v xkbcomp
    wants imagemagick command -v import
    wants adwaita-icon-theme test -d /usr/share/icons/Adwaita
    wants fonts-dejavu-core test -d /usr/share/fonts/truetype/dejavu
    wants pinentry-gtk2 command -v pinentry-gtk-2
    wants dbus-daemon command -v dbus-daemon
    # Where passwords are kept, and whoever looks into it without us.
    wants gnome-keyring command -v gnome-keyring-daemon
    wants libsecret-tools command -v secret-tool
}

# Shells that complete command lines, and a parser of calendars.
wants_shells() {
    wants zsh command -v zsh
    wants fish command -v fish
    wants python3-icalendar /usr/bin/python3 -c 'import icalendar'
}

# The card in software, the reader that it is put into, and others who speak with cards.
wants_cards() {
    wants_to_build
    wants clang command -v clang
    wants libclang-dev compgen -G '/usr/lib/llvm-*/lib/libclang.so'
    wants iproute2 command -v ip
    wants pcscd command -v pcscd
    wants libpcsclite-dev pkg-config --exists libpcsclite
    wants vsmartcard-vpcd test -e /usr/lib/pcsc/drivers/serial/libifdvpcd.so
    wants opensc command -v pkcs11-tool
    wants opensc-pkcs11 test -e /usr/lib/x86_64-linux-gnu/opensc-pkcs11.so
    wants yubico-piv-tool command -v yubico-piv-tool
    wants ykcs11 compgen -G '/usr/lib/x86_64-linux-gnu/libykcs11.so*'
}

# A mail server.
wants_mail() {
    wants dovecot-imapd test -x /usr/lib/dovecot/imap
    wants dovecot-lmtpd test -x /usr/lib/dovecot/lmtp
}

# Tokens behind PKCS#11, in software, and others who speak with tokens.
wants_tokens() {
    wants_to_build
    wants softhsm2 command -v softhsm2-util
    wants opensc command -v pkcs11-tool
}

# --- the programs as they are installed ---

# Builds them with the release profile, in $CARGO_TARGET_DIR.
build_release() {
    cargo build --locked --release -p obnovad -p obnova -p obnova-tray
}

# --- the target directory ---

# A target directory above 8 GB is mostly leftovers: what only saves seconds goes first, then everything. Never while somebody
# uses it: from here on this script counts as one who does, as long as anything runs that it started.
bound_target() {
    mkdir -p "$OBNOVA_CACHE"
    exec {target_lock}>"$OBNOVA_CACHE/target.lock"
    if above_bound && flock --nonblock "$target_lock" && ! target_runs; then
        rm -rf "$CARGO_TARGET_DIR"/*/incremental
        if above_bound; then
            echo "emptying $CARGO_TARGET_DIR (above 8 GB)"
            rm -rf "$CARGO_TARGET_DIR"
        fi
    fi
    flock --shared "$target_lock"
}

# Whether a build, or a program that was built, runs there without one of these scripts.
target_runs() {
    local profile
    for profile in "$CARGO_TARGET_DIR"/*/; do
        [ ! -e "$profile/.cargo-lock" ] || flock --nonblock "$profile/.cargo-lock" true || return 0
    done
    [[ $(readlink /proc/[0-9]*/exe || true) == *"$CARGO_TARGET_DIR/"* ]]
}

above_bound() {
    local kilobytes
    kilobytes=$(du -sk "$CARGO_TARGET_DIR" 2>/dev/null | cut -f1) || true
    [ "${kilobytes:-0}" -gt $((8 * 1024 * 1024)) ]
}

# --- a private bus and a daemon on it ---

# start_bus DIRECTORY: a session bus of our own with its socket in DIRECTORY, which activates only what DIRECTORY/services names. Sets
# BUS_PID, and BUS, which is the session bus of everything started afterwards.
start_bus() {
    local configuration=$1/bus.conf
    cat >"$configuration" <<EOF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=$1/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>$1/services</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
EOF
    dbus-daemon --config-file="$configuration" --nofork --nopidfile 2>"$1/bus.log" &
    BUS_PID=$!
    BUS=unix:path=$1/bus
    export BUS_PID DBUS_SESSION_BUS_ADDRESS=$BUS
    await 100 "the private bus" test -S "$1/bus" || { cat "$1/bus.log" >&2; exit 1; }
}

# start_daemon DIRECTORY: obnovad on BUS with its state and log in DIRECTORY and nobody's configuration. Sets DAEMON_PID.
start_daemon() {
    XDG_CONFIG_HOME=$1/config XDG_STATE_HOME=$1 "$CARGO_TARGET_DIR/debug/obnovad" --bus "$BUS" --state-dir "$1/state" 2>"$1/log" &
    DAEMON_PID=$!
    if ! await 200 "obnovad" daemon_answers; then
        cat "$1/log" >&2
        exit 1
    fi
}

# Exit code 4 of `obnova status` means that no daemon is there; 3 only that something waits for a person.
daemon_answers() {
    kill -0 "$DAEMON_PID" || return 1
    local code=0
    "$CARGO_TARGET_DIR/debug/obnova" --bus "$BUS" status || code=$?
    [ "$code" = 0 ] || [ "$code" = 3 ]
}

# await TRIES WHAT COMMAND…: until COMMAND succeeds, 50 ms apart; says what never came.
await() {
    local tries=$1 what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        if [ $tries -le 0 ]; then
            echo "$what did not come up" >&2
            return 1
        fi
        sleep 0.05
    done
}

# stop PID…: ends processes that we started, if they still run.
stop() {
    local process
    for process in "$@"; do
        kill "$process" 2>/dev/null || continue
        wait "$process" 2>/dev/null || true
    done
}
