#!/usr/bin/env bash
# system-bus.sh DIRECTORY: a system bus of its own with the policy that is installed, and polkitd on it with the actions that are
# installed, in a mount namespace in which the user `obnova` exists. By a rule, `games` may look, `daemon` may look and act, and
# nobody else may do anything. Says `BUS=… UID=…` when both stand, and ends with its input. Needs root.
source "$(dirname "$0")/environment.sh"
wants dbus-daemon command -v dbus-daemon
wants dbus-bin command -v dbus-send
wants polkitd test -x /usr/lib/polkit-1/polkitd
wants systemd command -v systemd-sysusers
mkdir -p "$OBNOVA_CACHE"
# Several start at once; one of them installs.
(flock 8; bring_lacking >&2) 8>"$OBNOVA_CACHE/system-bus.lock"

directory=$1
if [ "${2:-}" != inside ]; then
    exec unshare --mount --propagation private "$0" "$directory" inside
fi
started=()
trap 'stop "${started[@]}"' EXIT

# The user, as the package makes it.
mkdir -p "$directory/root/etc"
cp /etc/passwd /etc/group "$directory/root/etc"
systemd-sysusers --root="$directory/root" - <systemd/obnova.sysusers >&2
for file in passwd group; do
    mount --bind "$directory/root/etc/$file" "/etc/$file"
done

# What polkit allows.
mkdir -p "$directory/actions" "$directory/rules"
cp /usr/share/polkit-1/actions/org.freedesktop.policykit.policy packaging/polkit/org.obnova.policy "$directory/actions"
cat >"$directory/rules/10-test.rules" <<'RULES'
polkit.addRule(function (action, subject) {
    var allowed = { "games": ["org.obnova.look"], "daemon": ["org.obnova.look", "org.obnova.act"] };
    if ((allowed[subject.user] || []).indexOf(action.id) >= 0) {
        return polkit.Result.YES;
    }
});
RULES
# Their owner is polkitd's own user, which must be able to read them.
chmod -R a+rX "$directory"
mount --bind "$directory/actions" /usr/share/polkit-1/actions
mount --bind "$directory/rules" /etc/polkit-1/rules.d
mount --bind "$directory/rules" /usr/share/polkit-1/rules.d

cat >"$directory/bus.conf" <<CONF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=$directory/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <include>/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>
  <include>/usr/share/dbus-1/system.d/org.freedesktop.login1.conf</include>
  <include>$ROOT/packaging/dbus/org.obnova.Daemon1.conf</include>
</busconfig>
CONF
dbus-daemon --config-file="$directory/bus.conf" --nofork --nopidfile 2>"$directory/bus.log" &
started+=($!)
await 200 "the bus" test -S "$directory/bus" || { cat "$directory/bus.log" >&2; exit 1; }
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$directory/bus

/usr/lib/polkit-1/polkitd --no-debug >"$directory/polkit.log" 2>&1 &
started+=($!)
owned() { dbus-send --system --print-reply=literal --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:org.freedesktop.PolicyKit1 | grep -q true; }
await 200 "polkit" owned || { cat "$directory/polkit.log" >&2; exit 1; }
echo "BUS=$DBUS_SYSTEM_BUS_ADDRESS UID=$(id -u obnova)"
cat >/dev/null
