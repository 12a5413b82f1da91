#!/usr/bin/env bash
# system.sh DIRECTORY STORY: boots a clean Debian of the release that this machine runs, with systemd as its first process, and runs
# the script STORY in it as root. DIRECTORY is /mnt there, and cannot be written. The clean system is made once and kept; what happens
# to it is forgotten, every time. There is no network, no device and no udev, and no limit of memory or tasks holds. Needs root.
#
# STORY is outside the sandboxes of the units in there: what these may do is judged from within units alone.
source "$(dirname "$0")/../testbed/environment.sh"
PACKAGES=init,systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,libnss-systemd,polkitd,pcscd,libssl3

# What makes such a system and boots it: taken out of their packages, for installing them would exchange this machine's own systemd.
bring_tools() {
    TOOLS=$OBNOVA_CACHE/debian/tools
    [ ! -d "$TOOLS" ] || return 0
    local scratch=$OBNOVA_CACHE/debian/tools.new package
    rm -rf "$scratch"
    mkdir -p "$scratch/packages"
    echo "fetching mmdebstrap and systemd-nspawn, once" >&2
    (
        cd "$scratch/packages"
        timeout 300 apt-get -qq update </dev/null
        # As root, apt would rather give up its own rights, but may not write here then.
        timeout 300 apt-get -qq -o APT::Sandbox::User=root download mmdebstrap systemd-container libsystemd-shared </dev/null
    ) >&2
    for package in "$scratch"/packages/*.deb; do dpkg-deb --extract "$package" "$scratch"; done
    mv "$scratch" "$TOOLS"
}

bring_clean_system() {
    local release
    release=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") || { echo "this is no Debian" >&2; exit 1; }
    CLEAN=$OBNOVA_CACHE/debian/$release-$(sha256sum <<<"$PACKAGES" | cut -c1-16)
    [ ! -d "$CLEAN" ] || return 0
    echo "making a clean Debian, once" >&2
    rm -rf "$CLEAN.new"
    timeout 900 "$TOOLS/usr/bin/mmdebstrap" --quiet --mode=root --variant=minbase --include="$PACKAGES" "$release" "$CLEAN.new" </dev/null >&2
    mv "$CLEAN.new" "$CLEAN"
}

# In a mount namespace of our own.
boot() {
    local directory=$1 story=$2 cgroup=/sys/fs/cgroup/obnova-$RANDOM$RANDOM live=$OBNOVA_CACHE/debian/live code=0
    mount -t tmpfs none /run
    [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup
    mkdir "$cgroup"
    mkdir -p "$live"
    mount -t tmpfs none "$live"
    mkdir "$live"/{upper,work,root}
    mount -t overlay none -o "lowerdir=$CLEAN,upperdir=$live/upper,workdir=$live/work" "$live/root"
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        # Without these two the kernel's filters of addresses and locked memory would silently do nothing in there.
        LD_LIBRARY_PATH=$(dirname "$(find "$TOOLS" -name 'libsystemd-shared-*.so')") exec "$TOOLS/usr/bin/systemd-nspawn" \
            --quiet --boot --directory "$live/root" --machine obnova --register=no --keep-unit --private-network --console=pipe \
            --link-journal=no --resolv-conf=off --timezone=off --kill-signal=SIGRTMIN+4 --bind-ro "$directory:/mnt" \
            "--system-call-filter=bpf @memlock @keyring" --capability=CAP_IPC_LOCK,CAP_BPF
    ) </dev/null >"$live/console" 2>&1 &
    local container=$! leader=''
    await 600 "systemd in the clean Debian" booted || { cat "$live/console" >&2; exit 1; }
    inside systemctl is-system-running --wait >/dev/null || { inside systemctl --failed >&2; exit 1; }
    inside bash "/mnt/$story" </dev/null || code=$?
    if [ $code != 0 ]; then
        inside journalctl --no-pager --lines 200 >&2
    fi
    kill -RTMIN+4 "$leader"
    wait "$container" || true
    await 200 "the end of what ran in the clean Debian" grep -q 'populated 0' "$cgroup/cgroup.events" || echo 1 >"$cgroup/cgroup.kill"
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
    exit $code
}

# Sets `leader`, the first process in there.
booted() {
    leader=$(pgrep --parent "$container" systemd) || leader=$(pgrep --parent "$(pgrep --parent "$container")" systemd) || return 1
    [ -e "/proc/$leader/root/run/systemd/private" ] && [ -S "/proc/$leader/root/run/dbus/system_bus_socket" ]
}

inside() {
    nsenter --target "$leader" --all --root --wd env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
}

if [ "${1:-}" = --inside ]; then
    CLEAN=$2 TOOLS=$3
    boot "$4" "$5"
fi
[ "$(id -u)" = 0 ] || { echo "only root can boot a system: run it with sudo" >&2; exit 1; }
mkdir -p "$OBNOVA_CACHE/debian"
# Several may want it at once; one of them makes it.
exec {making}>"$OBNOVA_CACHE/debian/lock"
flock "$making"
bring_tools
bring_clean_system
exec {making}>&-
exec timeout --kill-after=10 300 unshare --mount --pid --fork --kill-child --mount-proc --propagation private "$0" --inside "$CLEAN" "$TOOLS" "$@"
