#!/usr/bin/env bash
# desktop.sh DIRECTORY: a whole desktop of its own, without a screen: X server, window manager, panel with a tray, notifications,
# on a private bus that starts nothing by itself. Says `DISPLAY=… BUS=…` when all stands, and ends with its input.
# With PANEL=later or NOTIFICATIONS=later it waits with that one until a line on its input names it (`panel`, `notifications`).
source "$(dirname "$0")/environment.sh"
wants_desktop
# Several desktops start at once; one of them installs.
mkdir -p "$OBNOVA_CACHE"
(flock 8; bring_lacking >&2) 8>"$OBNOVA_CACHE/desktop.lock"

directory=$1
started=()
trap 'stop "${started[@]}"' EXIT

start_bus "$directory" >&2
started+=("$BUS_PID")
export DBUS_SESSION_BUS_ADDRESS=$BUS
export HOME=$directory XDG_CONFIG_HOME=$directory/config XDG_CACHE_HOME=$directory/cache XDG_DATA_HOME=$directory/data
export XDG_RUNTIME_DIR=$directory LC_ALL=C.UTF-8 NO_AT_BRIDGE=1 GTK_MODULES= GDK_BACKEND=x11
unset XDG_CURRENT_DESKTOP DESKTOP_SESSION SESSION_MANAGER WAYLAND_DISPLAY

owned() { dbus-send --print-reply=literal --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner "string:$1" | grep -q true; }

# run COMMAND…: in the background, silent on our output.
run() {
    "$@" >>"$directory/desktop.log" 2>&1 </dev/null &
    started+=($!)
}

Xvfb -displayfd 7 -screen 0 1024x768x24 -nolisten tcp -noreset 7>"$directory/display" 2>>"$directory/desktop.log" &
started+=($!)
await 200 "the X server" test -s "$directory/display"
DISPLAY=:$(cat "$directory/display")
export DISPLAY

# Letters that the American keyboard lacks, on function keys: xdotool would lend them a key for a moment each, and on a busy
# machine the moment is over before the program looks.
xkbcomp -w 0 - "$DISPLAY" >>"$directory/desktop.log" 2>&1 <<'XKB'
xkb_keymap {
    xkb_keycodes { include "evdev+aliases(qwerty)" };
    xkb_types { include "complete" };
    xkb_compat { include "complete" };
    xkb_symbols {
        include "pc+us+inet(evdev)"
        replace key <FK01> { type = "TWO_LEVEL", symbols[Group1] = [ udiaeresis, Udiaeresis ] };
        replace key <FK02> { type = "TWO_LEVEL", symbols[Group1] = [ ssharp, ssharp ] };
        replace key <FK03> { type = "TWO_LEVEL", symbols[Group1] = [ uring, Uring ] };
        replace key <FK04> { type = "TWO_LEVEL", symbols[Group1] = [ ncaron, Ncaron ] };
        replace key <FK05> { type = "TWO_LEVEL", symbols[Group1] = [ zcaron, Zcaron ] };
    };
};
XKB

# One panel at the top with nothing but a tray; notifications top right that stay for ten seconds.
mkdir -p "$directory/config/xfce4/xfconf/xfce-perchannel-xml"
cat >"$directory/config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml" <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="32"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray"/>
  </property>
</channel>
XML
cat >"$directory/config/xfce4/xfconf/xfce-perchannel-xml/xfce4-notifyd.xml" <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-notifyd" version="1.0">
  <property name="do-fadeout" type="bool" value="false"/>
  <property name="do-slideout" type="bool" value="false"/>
  <property name="initial-opacity" type="double" value="1.0"/>
  <property name="notify-location" type="uint" value="2"/>
</channel>
XML

start_panel() {
    run xfce4-panel --disable-wm-check
    await 200 "the tray of the panel" owned org.kde.StatusNotifierWatcher
}

start_notifications() {
    run /usr/lib/x86_64-linux-gnu/xfce4/notifyd/xfce4-notifyd
    await 200 "the notifications" owned org.freedesktop.Notifications
}

run openbox
run /usr/lib/x86_64-linux-gnu/xfce4/xfconf/xfconfd
await 200 "the settings" owned org.xfce.Xfconf
[ "${PANEL:-}" = later ] || start_panel
[ "${NOTIFICATIONS:-}" = later ] || start_notifications
echo "DISPLAY=$DISPLAY BUS=$BUS"

while read -r line; do
    case $line in
    panel) start_panel ;;
    notifications) start_notifications ;;
    esac
done
