#!/usr/bin/env bash
# Installs under $DESTDIR$PREFIX: programs, units, bus activation, the policies of system bus and polkit, documents. Builds the release profile first, unless
# $OBNOVA_PROGRAMS names a directory that holds the built programs.
source "$(dirname "$0")/../tests/testbed/environment.sh"
PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
TARGET=$DESTDIR$PREFIX

if [ -z "${OBNOVA_PROGRAMS:-}" ]; then
    wants_to_build
    bring_lacking
    bound_target
    build_release
    OBNOVA_PROGRAMS=$CARGO_TARGET_DIR/release
fi

# put MODE FILE TO: with the paths of /usr turned into those of PREFIX, for texts that name a program.
put() {
    mkdir -p "$(dirname "$3")"
    sed "s|=/usr/bin/|=$PREFIX/bin/|" "$2" >"$3"
    chmod "$1" "$3"
}

for program in obnovad obnova obnova-tray; do
    install -D -m 755 "$OBNOVA_PROGRAMS/$program" "$TARGET/bin/$program"
done
for program in obnova-helper obnova-courier; do
    install -D -m 755 "$OBNOVA_PROGRAMS/$program" "$TARGET/libexec/obnova/$program"
done
put 644 systemd/user/obnovad.service "$TARGET/lib/systemd/user/obnovad.service"
put 644 systemd/user/obnova-tray.service "$TARGET/lib/systemd/user/obnova-tray.service"
put 644 packaging/dbus/org.obnova.Daemon1.service "$TARGET/share/dbus-1/services/org.obnova.Daemon1.service"
put 644 systemd/system/obnovad.service "$TARGET/lib/systemd/system/obnovad.service"
put 644 systemd/obnova.sysusers "$TARGET/lib/sysusers.d/obnova.conf"
put 644 packaging/dbus/system-services/org.obnova.Daemon1.service "$TARGET/share/dbus-1/system-services/org.obnova.Daemon1.service"
put 644 packaging/dbus/org.obnova.Daemon1.conf "$TARGET/share/dbus-1/system.d/org.obnova.Daemon1.conf"
put 644 packaging/polkit/org.obnova.policy "$TARGET/share/polkit-1/actions/org.obnova.policy"
put 644 packaging/polkit/org.obnova.rules "$TARGET/share/polkit-1/rules.d/org.obnova.rules"
install -D -m 644 packaging/icons/obnova-ok.svg "$TARGET/share/icons/hicolor/scalable/apps/obnova.svg"
for document in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE; do
    install -D -m 644 "$document" "$TARGET/share/doc/obnova/$document"
done
for page in packaging/man/*.1; do
    install -D -m 644 "$page" "$TARGET/share/man/man1/$(basename "$page")"
done
for page in packaging/pages/*; do
    install -D -m 644 "$page" "$TARGET/share/man/man${page##*.}/${page##*/}"
done
for shell in bash zsh fish; do
    case $shell in
        bash) completion=share/bash-completion/completions/obnova ;;
        zsh) completion=share/zsh/site-functions/_obnova ;;
        fish) completion=share/fish/vendor_completions.d/obnova.fish ;;
    esac
    "$OBNOVA_PROGRAMS/obnova" completions $shell | install -D -m 644 /dev/stdin "$TARGET/$completion"
done
install -D -m 644 packaging/obnova.toml "$TARGET/share/doc/obnova/obnova.toml"
install -D -m 644 packaging/notify.d/README "$TARGET/share/doc/obnova/notify.d/README"
for example in packaging/notify.d/*.example; do
    install -D -m 644 "$example" "$TARGET/share/doc/obnova/notify.d/${example##*/}"
done
for programme in packaging/programmes/*.toml; do
    install -D -m 644 "$programme" "$TARGET/share/doc/obnova/programmes/${programme##*/}"
done

# What the system reads nowhere but in /etc. A configuration that somebody may have changed stays.
if [ "$PREFIX" = /usr ]; then
    put 644 packaging/autostart/obnova-tray.desktop "$DESTDIR/etc/xdg/autostart/obnova-tray.desktop"
    [ -e "$DESTDIR/etc/obnova/obnova.toml" ] || install -D -m 644 packaging/obnova.toml "$DESTDIR/etc/obnova/obnova.toml"
fi

if [ -z "$DESTDIR" ]; then
    echo "Installed under $PREFIX. Each person who wants it:  systemctl --user enable --now obnovad obnova-tray"
    if [ "$PREFIX" = /usr ]; then
        # The bus must know the policy before the daemon asks for its name.
        echo "For this computer's own certificates:  systemd-sysusers && systemctl reload dbus && systemctl enable --now obnovad"
    else
        echo "This computer's own certificates need PREFIX=/usr: system bus and polkit read their policies nowhere else."
    fi
fi
