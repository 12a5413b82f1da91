#!/usr/bin/env bash
# A daemon on a private bus with scratch state, and a shell in which `obnova` speaks to it. Everything ends with the shell. Without a
# terminal the shell takes its commands from standard input, and its exit code is ours.
source "$(dirname "$0")/environment.sh"
wants_to_build
wants dbus-daemon command -v dbus-daemon
bring_lacking
bound_target
cargo build --locked -p obnovad -p obnova >&2

# Not below $TMPDIR, which may have spaces in it: the bus address could not say them.
SCRATCH=$(mktemp -d /tmp/obnova.XXXXXX)
BUS_PID='' DAEMON_PID=''
trap 'stop $DAEMON_PID $BUS_PID; rm -rf "$SCRATCH"' EXIT
start_bus "$SCRATCH"
start_daemon "$SCRATCH"

cd "$SCRATCH"
export DBUS_SESSION_BUS_ADDRESS=$BUS PATH=$CARGO_TARGET_DIR/debug:$PATH
echo "obnovad runs on a bus of its own; state, log and your files are in $SCRATCH until you leave this shell." >&2
if [ -t 0 ]; then
    # One's own start-up file may set another prompt and path.
    cat >"$SCRATCH/.bashrc" <<EOF
[ ! -r ~/.bashrc ] || . ~/.bashrc
PS1='obnova> ' PATH=$(printf %q "$CARGO_TARGET_DIR/debug"):\$PATH
EOF
    # What the last command in it came to is no failure of ours.
    bash --rcfile "$SCRATCH/.bashrc" || true
else
    bash
fi
