#!/usr/bin/env bash
# user-manager.sh DIRECTORY COMMAND…: runs COMMAND as an ordinary user after login: with a systemd user manager and its session bus,
# DIRECTORY/home as home and DIRECTORY/local as /usr/local. Everything is in namespaces and a cgroup of its own and ends with COMMAND.
set -euo pipefail
NAME=anna
NUMBER=61234

outside() {
    if [ "$(id -u)" != 0 ]; then
        echo "only root can set up another user's session: run it with sudo" >&2
        exit 1
    fi
    exec unshare --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@"
}

inside() {
    local directory=$1 cgroup=/sys/fs/cgroup/obnova-$RANDOM$RANDOM code=0
    shift
    mkdir -p "$directory"/{home,run,local}
    mount --make-rprivate /
    mount --bind "$directory/local" /usr/local
    # To the programs, a system that systemd has booted, but none whose manager could be asked.
    mount -t tmpfs none /run/systemd
    mkdir /run/systemd/system
    { cat /etc/passwd; echo "$NAME:x:$NUMBER:$NUMBER::$directory/home:/bin/bash"; } >"$directory/passwd"
    mount --bind "$directory/passwd" /etc/passwd
    chmod 755 "$directory"
    chmod 700 "$directory/run"
    chown -R "$NUMBER:$NUMBER" "$directory/home" "$directory/run"

    [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup
    mkdir "$cgroup"
    chown -R "$NUMBER:$NUMBER" "$cgroup"
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        cd "$directory/home"
        exec setpriv --reuid "$NUMBER" --regid "$NUMBER" --clear-groups --inh-caps=-all --bounding-set=-all \
            env -i HOME="$directory/home" USER="$NAME" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 XDG_RUNTIME_DIR="$directory/run" \
            DBUS_SESSION_BUS_ADDRESS="unix:path=$directory/run/bus" bash -euo pipefail -c "$(declare -f session); session \"\$@\"" session "$@"
    ) || code=$?
    echo 1 >"$cgroup/cgroup.kill"
    while grep -q 'populated 1' "$cgroup/cgroup.events"; do read -rt 0.01 <> <(:) || true; done
    find "$cgroup" -depth -type d -exec rmdir {} +
    exit "$code"
}

# As the user: the manager first, then COMMAND.
session() {
    SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --user --unit=basic.target >"$XDG_RUNTIME_DIR/manager.log" 2>&1 &
    local tries=200
    until systemctl --user --quiet is-active basic.target 2>/dev/null; do
        tries=$((tries - 1))
        if [ $tries -le 0 ]; then
            echo "the user manager did not come up" >&2
            cat "$XDG_RUNTIME_DIR/manager.log" >&2
            return 1
        fi
        sleep 0.05
    done
    "$@"
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
else
    outside "$@"
fi
