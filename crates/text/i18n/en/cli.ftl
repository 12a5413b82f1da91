# What the command line says: its help, and its own few sentences.

cli-help-obnova = Keeps your certificates alive: shows what ends when, and renews it
cli-help-exit-codes =
    Exit codes: 0 done, all is well · 1 failure · 2 wrong usage · 3 something needs a person · 4 the service does not answer
cli-help-global-json = Print JSON, with the same keys in every version
cli-help-global-system = Speak to the service of this computer instead of your own
cli-help-global-bus = Address of the bus on which the service is
cli-help-global-secret-fd = Take answers from this descriptor instead of the terminal: lines such as password=…, new-password=…, consent=renewal:yes
cli-help-status = Say how everything stands, and what to do next
cli-help-list = List everything: state, end, next step
cli-help-list-all = Also what has been replaced or has ended
cli-help-show = Show all about one certificate, file or renewal
cli-help-show-id = Its name, or the beginning of its name or id
cli-help-watch = Watch files or directories with certificates
cli-help-watch-places = A .p12, .pfx, .pem, .crt or .cer file, or a directory
cli-help-remember = Keep the password of a file in your keyring, and take it from there from then on
cli-help-remember-id = Its name, or the beginning of its name or id
cli-help-forget = Take the password of a file out of your keyring
cli-help-forget-id = Its name, or the beginning of its name or id
cli-help-unwatch = Watch it no longer; the file stays as it is
cli-help-unwatch-id = Its name, or the beginning of its name or id
cli-help-renew = Renew a certificate: a new key, a new certificate, a new file beside the old one
cli-help-renew-id = Its name, or the beginning of its name or id; not needed when only one is due
cli-help-renew-to = The new file; if not given, a name beside the old file is chosen and told before anything is made
cli-help-renew-dry-run = Only say what would happen: which keys are made where, what is asked for, what cannot be undone
cli-help-renew-wait = Stay until it is done, and ask here for what is needed
cli-help-discover = Look for certificates that are not watched, where people keep them
cli-help-adopt = Use a certificate that was made elsewhere instead of the old one: it is checked and its key tried
cli-help-adopt-id = Its name, or the beginning of its name or id
cli-help-adopt-place = The file of the new certificate
cli-help-backup = Copy a certificate and its key into a new .p12 file under a password of its own
cli-help-backup-id = Its name, or the beginning of its name or id
cli-help-backup-to = The new file
cli-help-programme = See how certificates are renewed
cli-help-programme-list = List the ways in which certificates are renewed
cli-help-programme-show = Show all about one
cli-help-programme-show-name = Its name, as obnova programme list shows it
cli-help-programme-check = Say whether a file describes one rightly, and what it means
cli-help-programme-check-file = A TOML file, for programmes.d beside the configuration
cli-help-open = Open the window
cli-help-open-id = Its name, or the beginning of its name or id; if not given, everything is shown
cli-help-snooze = Put a warning off: tell me again later
cli-help-snooze-id = Its name, or the beginning of its name or id
cli-help-snooze-until = When to tell again: tomorrow, a span (3d, 12h), a day (2026-11-22) or a moment (2026-11-22T08:00:00Z)
cli-help-rehearse = Play a whole renewal through, with a certificate made up for it: nothing of yours is touched
cli-help-rehearse-programme = Which way of renewing, as obnova programme list shows them
cli-help-export = Print the dates for a calendar program
cli-help-export-form = ics: a calendar with a reminder three weeks and one week before each date
cli-help-check = Answer as a monitoring plugin: one line, and the exit codes 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN
cli-help-completions = Print what makes a shell complete these command lines: source <(obnova completions bash)
cli-help-completions-shell = bash, zsh or fish
cli-help-renewals = List the renewals under way
cli-help-renewals-all = Also those that have ended
cli-help-done = Say that you have done what a renewal waits for and only you could do
cli-help-done-renewal = Its name or number, as obnova renewals lists them
cli-help-done-wait = Stay until it is done, and ask here for what is needed
cli-help-resume = Go on with a renewal that waits
cli-help-resume-renewal = Its name or number, as obnova renewals lists them
cli-help-resume-wait = Stay until it is done, and ask here for what is needed
cli-help-cancel = End a renewal; what it made so far stays where it is
cli-help-cancel-renewal = Its name or number, as obnova renewals lists them
cli-help-card = Look at smart cards, and look after their PIN
cli-help-card-list = List the cards: state, tries left for the PIN, free slots, reader
cli-help-card-show = Show all that a card tells without its PIN
cli-help-card-show-id = Its name, number or id, or the beginning of one; not needed when there is only one
cli-help-card-unblock = Set a new PIN with the PUK, when the PIN is blocked or forgotten
cli-help-card-unblock-id = Its name, number or id, or the beginning of one; not needed when there is only one
cli-help-card-change-pin = Change the PIN
cli-help-card-change-pin-id = Its name, number or id, or the beginning of one; not needed when there is only one
cli-help-doctor = See whether renewals can succeed: readers, cards, files, clock; changes nothing
cli-help-doctor-id = Its name, or the beginning of its name or id; if not given, all that needs attention
cli-help-mail = Look at mails of authorities
cli-help-mail-add = Read a mailbox from now on; nothing in it is changed
cli-help-mail-add-mailbox = An address whose domain names its server, imaps://USER@HOST (in USER, %40 stands for @), imap://USER@HOST for STARTTLS, or maildir:/PATH
cli-help-mail-add-login = How to log in: password, xoauth2 or oauthbearer
cli-help-mail-add-command = A shell command whose first line is the password, or the access token
cli-help-mail-add-credential = The name of systemd's credential that is the password
cli-help-mail-add-authority = A file (PEM) with those who may have signed the server's certificate
cli-help-mail-list = Show the mailboxes that are read
cli-help-mail-test = Say whether a mailbox can be read now
cli-help-mail-test-id = Name, beginning of a name, or id
cli-help-mail-remove = Read a mailbox no longer
cli-help-mail-remove-id = Name, beginning of a name, or id
cli-help-mail-read = Read a mail from a file as if it had come now, and say what it is worth
cli-help-mail-read-file = The mail with all its lines, as mail programs save it (.eml)
cli-help-programme-test = Say what a mail would be by the rules in a file, and why; nothing is written down
cli-help-programme-test-file = The rules, a .toml file
cli-help-programme-test-mail = The mail with all its lines, as mail programs save it (.eml)
cli-help-log = Tell what has been done
cli-help-log-follow = Stay, and tell what is being done
cli-help-log-number = Only the newest N lines
cli-help-log-since = Only from then on: a day (2026-11-22), a moment (2026-11-22T08:00:00Z) or a span (3d, 12h)

cli-hint = hint: { $hint }
cli-error = obnova: { $sentence }

cli-column-name = NAME
cli-column-state = STATE
cli-column-ends = ENDS
cli-column-next = NEXT STEP
cli-column-number = NO
cli-column-pin = PIN TRIES
cli-column-free = FREE SLOTS
cli-column-reader = READER
cli-column-slot = SLOT
cli-column-key = KEY
cli-column-certificate = CERTIFICATE
cli-column-note = NOTE
cli-column-file = FILE
cli-column-certificates = CERTIFICATES
cli-column-authority = ISSUED BY
cli-ends = { $date } ({ $remaining })

cli-none = No certificate is watched yet.
cli-none-hint = Watch a file: obnova watch ~/certificates/mail.p12
cli-no-renewals = No renewal is under way.
cli-status-more = { $count ->
    [one] One more needs attention: obnova list
   *[other] { $count } more need attention: obnova list
}
cli-status-do = To do it: { $command }
cli-command-renew = obnova renew { $name_quoted } --wait
cli-command-resume = obnova resume { $name_quoted } --wait
cli-command-watch = obnova watch { $path_quoted }

cli-show-kind = what it is
cli-show-state = state
cli-show-deadline = dates
cli-show-next = next step
cli-show-command = to do it
cli-show-problem = problem
cli-show-advice = what to do
cli-show-renewed-by = renewed by
cli-show-programme = renewed as
cli-show-owner = whose
cli-show-file = file
cli-show-id = id
cli-show-certificate = certificate
cli-show-subject = subject
cli-show-issuer = issuer
cli-show-serial = serial
cli-show-valid = valid
cli-show-valid-span = { $from } – { $end }
cli-show-sha256 = SHA-256

cli-card-none = No card is there, and none is watched.
cli-card-none-hint = Insert one. If it is inserted, see what is wrong: obnova doctor
cli-card-can = kind
cli-card-model = model
cli-card-serial = number
cli-card-reader = reader
cli-card-pin = tries for the PIN
cli-card-puk = tries for the PUK
cli-card-pad = PIN
cli-card-pad-on-reader = typed on the reader
cli-card-makes = makes keys
cli-card-free = free slots
cli-card-watched = watched
cli-card-yes = yes
cli-card-no = no
cli-card-uri = URI
cli-card-seen-last = What was on it when it was last seen
cli-card-always = PIN each time
cli-card-unexplained = unknown to Obnova
cli-card-changed = The PIN of “{ $name }” is changed.
cli-card-unblocked = “{ $name }” has a new PIN.
cli-command-card-show = obnova card show { $name_quoted }
cli-command-sign-in = obnova mail test { $name_quoted }
cli-command-unblock = obnova card unblock { $name_quoted }
cli-command-change-pin = obnova card change-pin { $name_quoted }
cli-mark-ok = ✓
cli-mark-notice = ·
cli-mark-warning = !
cli-mark-critical = ✗
cli-doctor-hint = → { $hint }
cli-doctor-well = Nothing stands in the way of a renewal.
cli-doctor-found = { $count ->
    [one] One thing needs attention.
   *[other] { $count } things need attention.
}

cli-status-mailboxes = { $count ->
    [0] No mailbox can be read at the moment
    [one] 1 mailbox is read
   *[other] { $count } mailboxes are read
}
cli-mailbox-added = The mailbox { $name } is read from now on.
cli-mailbox-removed = The mailbox { $name } is read no longer. The letters that came stay known.
cli-mailbox-fine = The mailbox { $name } can be read.
cli-mailbox-none = No mailbox is read.
cli-mailbox-none-hint = Name one: obnova mail add maildir:/home/you/Maildir
cli-mail-verdict = verdict
cli-mail-why = why
cli-mail-from = from
cli-mail-to = to
cli-mail-date = written
cli-mail-serial = serial
cli-mail-link = link
cli-mail-programme = renewed as
cli-mail-about = about
cli-mail-stranger = This mail is no concern of any authority that Obnova knows. Nothing of it is kept.
cli-mail-stranger-here = By these rules the mail is no concern of this authority.

cli-show-roles = certificates
cli-show-authority = issued by
cli-show-key = new key
cli-show-validity = valid for
cli-show-days = { $days ->
    [one] 1 day
   *[other] { $days } days
}
cli-show-secret = new secret
cli-show-steps = steps
cli-show-mailboxes = mailboxes
cli-programme-right = { $path } is right.
cli-discovered-nothing = Nothing was found that is not watched already.
cli-discovered-hint = To have one watched: obnova watch { $path_quoted }
cli-backed-up = { $name } is copied; the copy opens with its new password.
cli-overtaken = { $name } has been renewed elsewhere meanwhile: nothing is left to do.
cli-rehearsal = A rehearsal of { $programme }: all of it happens in a directory of its own, which is gone afterwards. What protects the file in it is { $secret }.
cli-rehearsed = The rehearsal went well. Nothing of yours was touched, and nothing is left of it.
cli-calendar = Certificates
cli-calendar-summary = Renew { $name }
cli-snoozed = { $name }: you are told again on { $until }.
cli-watching = { $path } is watched.
cli-watching-nothing = { $path } is watched; there is nothing in it to show yet.
cli-remembered = The password of { $name } is in your keyring. Take it out again with: obnova forget { $name_quoted }
cli-forgotten = The password of { $name } is in your keyring no longer, and is asked for again.
cli-unwatched = { $name } is watched no longer. The file stays as it is.
cli-begun = The renewal of { $name } has begun.
cli-begun-hint = To follow it, and to be asked here: obnova resume { $name_quoted } --wait
cli-resumed = The renewal of { $name } goes on.
cli-cancelled = The renewal of { $name } is cancelled. What it made so far stays where it is.
cli-was-cancelled = The renewal of { $name } was cancelled.
cli-step = · { $step }
cli-renewed = { $name } has a new certificate:
cli-renewed-bare = { $name } has a new certificate.
cli-left = You leave the renewal of { $name }; nothing is lost.
cli-left-hint = Come back to it: obnova resume { $name_quoted } --wait
cli-choice = { $number }) { $choice }
cli-yes-no = { $prompt } [y/N]
cli-prompt = { $prompt }:
cli-yes-letters = yY
