#!/usr/bin/env bash
# The life of the package on a computer: told inside a clean Debian by system.sh, where /mnt has the package in two versions, a
# certificate with its key, and one of a person. What the test judges is said behind `=`.
set -euo pipefail

say() { echo "=${*//$'\n'/ | }"; }

# until_is WHAT COMMAND…: until the command says this; else what it said last is what is told.
until_is() {
    local wanted=$1 tries=300 said=''
    shift
    until said=$("$@" 2>&1) && [[ $said == $wanted ]] || [[ $said == $wanted ]]; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || break
        sleep 0.1
    done
    echo "$said"
}

property() { systemctl show --property "$1" --value obnovad; }
# In the session of the person who is logged in.
hers() { systemd-run --quiet --pipe --wait --collect -p User=anna -p PAMName=login "$@"; }
her_property() { systemctl --user --machine anna@ show --property "$1" --value "$2"; }

everything() {
    find / -xdev \( -path /var/lib/dpkg -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path /tmp -o -path /var/tmp -o -path /root -o -path /home \
        -o -path /var/lib/systemd -o -path /etc/passwd- -o -path /etc/group- -o -path /etc/shadow- -o -path /etc/gshadow- -o -path '/etc/sub?id-' -o -path /etc/.pwd.lock \) -prune -o -print | sort
}

# --- what is installed runs ---
# Where certificates usually are; so small a system has none.
mkdir -p /etc/ssl
everything >/root/before
useradd --create-home anna
apt-get -qq install --yes --no-install-recommends /mnt/older/obnova_*.deb >&2
say installed "$(until_is active systemctl is-active obnovad)"
say version "$(dpkg-query --show --showformat '${Version}' obnova)"
say status-nothing "$(until_is '*watched*' property StatusText)"
say restarts "$(property NRestarts)"
say enabled "$(systemctl is-enabled obnovad)" "$(systemctl --global is-enabled obnovad)" "$(systemctl --global is-enabled obnova-tray)"
say user "$(systemctl show --property User --value obnovad)" "$(getent passwd obnova | cut -d: -f6,7)"
systemctl --no-pager status obnovad >&2

# --- systemd's own judgement of the units, with a word to show that it can speak ---
say verified "$(systemd-analyze verify --man=no /usr/lib/systemd/system/obnovad.service 2>&1)"
say verified-hers "$(XDG_RUNTIME_DIR=/tmp systemd-analyze --user verify --man=no /usr/lib/systemd/user/obnova{d,-tray}.service 2>&1)"
sed s/LockPersonality/LockPersonalty/ /usr/lib/systemd/system/obnovad.service >/tmp/obnovad.service
say verified-wrong "$(systemd-analyze verify --man=no /tmp/obnovad.service 2>&1)"
say secure "$(systemd-analyze security --threshold=15 obnovad.service >&2 && echo yes)"
say insecure "$(systemd-analyze security --threshold=15 dbus.service >/dev/null || echo yes)"

# --- a certificate of this computer, where such are and nobody has said anything; then elsewhere, where somebody has ---
install -m 640 -g obnova /mnt/machine.pem /etc/ssl/machine.pem
say status-unconfigured "$(until_is '*1 certificate*' property StatusText)"
say root-sees-unconfigured "$(obnova --system list)"
rm /etc/ssl/machine.pem
install -D -m 644 /mnt/machine.pem /srv/certificates/machine.pem
chown -R obnova: /srv/certificates
mkdir -p /etc/obnova/obnova.toml.d
printf '[watch]\nplaces = ["file:/srv/certificates"]\n' >/etc/obnova/obnova.toml.d/here.toml
systemctl reload obnovad
say status-machine "$(until_is '*1 certificate*' property StatusText)"
say root-sees "$(obnova --system list)"
say anna-sees "$(hers obnova --system list 2>&1)"
say anna-may-not "$(hers obnova --system log 2>&1)"
cat >/etc/polkit-1/rules.d/10-anna.rules <<'RULES'
polkit.addRule(function (action, subject) {
    if (action.id == "org.obnova.look" && subject.user == "anna") { return polkit.Result.YES; }
});
RULES
say anna-may "$(until_is '*certificates is watched*' hers obnova --system log)"
rm /etc/polkit-1/rules.d/10-anna.rules

# --- started by the bus, and again after a violent end ---
systemctl stop obnovad
say stopped "$(systemctl is-active obnovad || true)"
obnova --system status >&2 || true
say activated "$(until_is active systemctl is-active obnovad)"
first=$(property MainPID)
kill -KILL "$first"
say killed "$(until_is 1 property NRestarts)" "$(until_is active systemctl is-active obnovad)" "$([ "$(property MainPID)" != "$first" ] && echo another)"
say status-kept "$(until_is '*1 certificate*' property StatusText)"

# --- cards: where pcscd asks polkit (Debian's of release 12 does not), its user may reach them and a stranger may not ---
cat >/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy <<'POLICY'
<policyconfig>
  <action id="org.debian.pcsc-lite.access_pcsc">
    <description>Access to the PC/SC daemon</description><message>Authentication is required</message>
    <defaults><allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>yes</allow_active></defaults>
  </action>
</policyconfig>
POLICY
reaches_cards() {
    systemd-run --quiet --unit "cards-$1" -p User="$1" sleep infinity
    until_is "$2" pkcheck --action-id org.debian.pcsc-lite.access_pcsc --process "$(systemctl show --property MainPID --value "cards-$1")"
    systemctl stop "cards-$1"
}
say cards "$(reaches_cards obnova '')"
say cards-stranger "$(reaches_cards nobody '*authorized*')"
rm /usr/share/polkit-1/actions/org.debian.pcsc-lite.policy

# --- a person logs in ---
systemd-run --quiet --unit annas-login -p User=anna -p PAMName=login sleep infinity
say her-daemon "$(until_is active systemctl --user --machine anna@ is-active obnovad)"
install -o anna -m 600 /mnt/person.pem /home/anna/person.pem
hers obnova watch /home/anna/person.pem >&2
say her-status "$(until_is '*1 certificate*' her_property StatusText obnovad)"
say her-list "$(hers obnova list)"
# What a desktop does when it is there.
mkdir -p /run/systemd/user
printf '[Unit]\nBindsTo=graphical-session.target\nBefore=graphical-session.target\n[Service]\nExecStart=sleep infinity\n' >/run/systemd/user/desktop.service
systemctl --user --machine anna@ daemon-reload
say her-tray-before "$(systemctl --user --machine anna@ is-active obnova-tray || true)"
systemctl --user --machine anna@ start desktop
say her-tray "$(until_is active systemctl --user --machine anna@ is-active obnova-tray)"
# A system user who logs in has none.
say systems-daemon "$(systemd-run --quiet --pipe --wait --collect -p User=games -p PAMName=login systemctl --user is-active obnovad 2>&1 || true)"

# --- a newer version ---
sed -i 's/^# level = .*/level = "debug"/' /etc/obnova/obnova.toml
before_system=$(property MainPID) before_hers=$(her_property MainPID obnovad)
apt-get -qq install --yes --no-install-recommends /mnt/newer/obnova_*.deb >&2
say upgraded "$(dpkg-query --show --showformat '${Version}' obnova)" "$(until_is active systemctl is-active obnovad)" \
    "$([ "$(property MainPID)" != "$before_system" ] && echo another)" "$(property NRestarts)"
say upgraded-hers "$(until_is active systemctl --user --machine anna@ is-active obnovad)" \
    "$([ "$(her_property MainPID obnovad)" != "$before_hers" ] && echo another)" "$(until_is active systemctl --user --machine anna@ is-active obnova-tray)"
say upgraded-status "$(until_is '*1 certificate*' property StatusText)"
say upgraded-her-status "$(until_is '*1 certificate*' her_property StatusText obnovad)"
say upgraded-configuration "$(grep -c '^level = "debug"' /etc/obnova/obnova.toml)"
# An administrator who wants none of it is heard.
systemctl --quiet disable --now obnovad
apt-get -qq install --yes --reinstall --no-install-recommends /mnt/newer/obnova_*.deb >&2
say disabled "$(systemctl is-enabled obnovad || true)" "$(systemctl is-active obnovad || true)"
systemctl --quiet enable --now obnovad

# --- gone again ---
apt-get -qq remove --yes obnova >&2
say removed "$(readlink /proc/[0-9]*/exe | grep obnova || true)" "$(ls /var/lib/obnova/journal* >/dev/null && echo kept)"
apt-get -qq purge --yes obnova >&2
say hers-stays "$(ls -A /home/anna/.local/state/obnova >/dev/null && echo kept)"
systemctl stop annas-login
rm -r /srv/certificates
everything >/root/after
say left "$(diff /root/before /root/after | grep '^[<>]')"
