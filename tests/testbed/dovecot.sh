#!/usr/bin/env bash
# dovecot.sh DIRECTORY IMAP IMAPS [CAPABILITIES]: Dovecot with everything in DIRECTORY, which holds cert.pem and key.pem and may be entered by
# everybody. Listens on these two ports of the loopback interface and takes mails by LMTP at DIRECTORY/lmtp. Says `ready` when it stands,
# and ends with its input.
source "$(dirname "$0")/environment.sh"
wants_mail
mkdir -p "$OBNOVA_CACHE"
# Several tests want it at once; one of them installs.
(flock 8; bring_lacking >&2) 8>"$OBNOVA_CACHE/dovecot.lock"

directory=$1 imap=$2 imaps=$3 capabilities=${4:-}
# Left by one that was ended before.
rm -f "$directory/lmtp"
mkdir -p "$directory/run" "$directory/mail" "$directory/keys/default/HS256"
chown 65534:65534 "$directory/mail"
printf 'anna:{PLAIN}hemmelig\n' >"$directory/passwd"
printf '%s' "$(printf 'a key for tokens' | base64)" >"$directory/keys/default/HS256/default"
cat >"$directory/oauth2.conf.ext" <<CONF
introspection_mode = local
local_validation_key_dict = fs:posix:prefix=$directory/keys/
username_attribute = sub
CONF
cat >"$directory/dovecot.conf" <<CONF
base_dir = $directory/run
state_dir = $directory/run
log_path = $directory/log
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <$directory/cert.pem
ssl_key = <$directory/key.pem
disable_plaintext_auth = yes
auth_mechanisms = plain login xoauth2 oauthbearer
mail_location = maildir:$directory/mail/%u
first_valid_uid = 65534
last_valid_uid = 65534
protocol imap {
  ${capabilities:+imap_capability = $capabilities}
}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = $directory/oauth2.conf.ext
}
passdb {
  driver = passwd-file
  mechanisms = plain login
  args = username_format=%u $directory/passwd
}
userdb {
  driver = static
  args = allow_all_users=yes uid=65534 gid=65534 home=$directory/mail/%u
}
namespace inbox {
  inbox = yes
  mailbox Junk {
    auto = create
    special_use = \\Junk
  }
}
service imap-login {
  inet_listener imap {
    port = $imap
  }
  inet_listener imaps {
    port = $imaps
    ssl = yes
  }
}
service lmtp {
  unix_listener $directory/lmtp {
    mode = 0600
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
CONF

/usr/sbin/dovecot -F -c "$directory/dovecot.conf" >>"$directory/log" 2>&1 &
server=$!
trap 'stop $server' EXIT
if ! await 400 "Dovecot" test -S "$directory/lmtp" || ! kill -0 $server; then
    cat "$directory/log" >&2
    exit 1
fi
echo ready
cat >/dev/null
