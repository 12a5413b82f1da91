# What is shown of a thing: its kind, its state, its next step, its dates.

kind-identity = certificate
kind-place = file
kind-renewal = renewal
kind-card = card
kind-mailbox = mailbox
kind-found = certificate that is not watched

authority-self-signed = nobody: it is self-made
authority-signed-request = an authority in the network, by a request that the old key signs
authority-simulated = the simulated one of rehearsals

state-valid = valid
state-expiring = ends soon
state-expired = expired
state-revoked = revoked by its authority
state-authority-ended = the certificate of its authority has ended
state-receive-only = expired: can still receive, cannot send
state-not-yet-valid = not valid yet
state-renewing = being renewed
state-retired = replaced, kept
state-superseded = replaced by a newer one
state-changed = changed, password needed
state-unreadable = cannot be read
state-connecting = being looked for
state-connected = read
state-unreachable = not reached
state-refused = password refused
state-untrusted = not trusted
state-unread = a mailbox that is not read
state-empty = no certificate in it
state-away = not inserted
state-present = inserted
state-busy = in use by another program
state-blocked = PIN blocked
state-swapping = in the middle of putting the new keys where the old ones were
state-locked = password needed
state-broken = damaged
state-missing = not there
state-watching = watched
state-running = under way
state-waiting = waiting for you
state-waiting-administrator = waiting for your administrator
state-waiting-authority = waiting for the authority
state-done = done
state-cancelled = cancelled
state-quarantined = stopped, needs a look

level-ok = well
level-notice = good to know
level-warning = needs attention
level-critical = urgent

next-sign-in = Give the password
next-renew = Renew
next-by-hand = Do what only you can, then confirm it
next-renew-at-page = Renew at the authority’s page; what it brings is noticed here
next-help-tool = See why the program that renews it has not
next-renew-elsewhere = Renew it where its private key is
next-unlock = Type the password
next-resume = Continue the renewal
next-answer = Answer the open question
next-wait = { $who ->
    [authority] The authority is at work
    [administrator] Your administrator is at work
    [obnova] Obnova is at work
   *[other] Nothing to do now
}
next-watch = Have it watched
next-ask-authority = Ask whoever issued it for a new one
next-repair = See what is wrong
next-unblock = Open it with the PUK
# A next step with the last day on which it helps.
next-by = { $step } by { $date }
# A next step that somebody else takes.
next-administrator = For your administrator: { $step }

# The labels of buttons.
action-renew = Renew
action-unlock = Type the password
action-unblock = Open with the PUK
action-change-pin = Change the PIN
action-resume = Continue
action-cancel = Cancel
action-done = Done
action-adopt = Take over
action-backup = Copy
action-snooze = Later
action-dismiss = Dismiss
action-seen = Seen
action-sign-in = Give the password
action-test = Test
action-unwatch = Undo
action-ordered = Ordered
action-open-letter = Open the page
action-remember = Remember the password
action-forget = Forget the password

# What is told of a card.
card-can-moves = makes new keys beside the old ones, and moves them
card-can-retires = makes new keys beside the old ones only for decryption
card-can-fixed = has one slot for each key
card-can-token = holds many keys
card-tries = { $left ->
    [unknown] not told
    [0] blocked
   *[other] { $left }
}
card-key-key = key
card-key-unknown = something
card-key-unproven = told only after the PIN
card-key-free = free

# The deadline beside the end: the first is shown where the two differ.
ends-both = renew by { $by } · ends { $end }
ends-late = was to be renewed by { $by } · ends { $end }
ends-at = ends { $end }
ends-past = ended { $end }
ends-by = by { $by }
ends-done-by = was due by { $by }

date-short = { $day } { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
}
date-full = { $short } { $year }
date-in-days = { $days ->
    [0] today
    [1] tomorrow
   *[other] in { $days } days
}
date-days-ago = { $days ->
    [0] today
    [1] yesterday
   *[other] { $days } days ago
}

# One line for `systemctl status` and the tray's tooltip.
# What else there is stands behind it: a person's daemon knows nothing of the machine's, and the other way round.
status-line-user = { $line } · this computer's own: obnova --system status
status-line-system = { $line } · each person's own: obnova status
status-none = No certificate is watched yet
status-watched = { $count ->
    [one] 1 certificate watched
   *[other] { $count } certificates watched
}
status-well = { $watched } · nothing to do
status-next = { $watched } · next: { $step }
status-step = { $step }: “{ $name }”
status-step-dated = { $step }: “{ $name }” · { $deadline }
status-renew = renew “{ $name }”
status-renew-dated = renew “{ $name }” by { $by } · ends { $end }
status-renew-ends = renew “{ $name }” · ends { $end }
status-renew-past = renew “{ $name }” · ended { $end }

# What obnovad says of itself.
daemon-help =
    obnovad { $version }: watches certificates, warns before they end, renews them

    Usage: obnovad [OPTIONS]

    Options:
    {"      "}--system         Watch this computer's certificates: on the system bus, by /etc/obnova/obnova.toml
    {"      "}--config FILE    Read this configuration instead of ~/.config/obnova/obnova.toml
    {"      "}--state-dir DIR  Keep what is known here instead of in ~/.local/state/obnova or /var/lib/obnova
    {"      "}--bus ADDRESS    Serve on the bus at this address instead of the scope's own
    {"      "}--rehearse NAME  Play a renewal through for whoever started this, over the socket that is standard input
    {"      "}--check          Say whether the configuration is right, and exit
    {"  "}-h, --help           Print this help
    {"  "}-V, --version        Print the version
daemon-usage = See what there is: obnovad --help
