# What went wrong: a sentence that says what happened, and a hint that says what to do.
# `_quoted` arguments are ready for a shell; `$again` is the command that goes on with what was interrupted.

problem-again = obnova resume { $name_quoted } --wait

problem-no-such-item = There is nothing called “{ $id }”.
    .hint = See what there is: obnova list
problem-ambiguous = “{ $id }” fits more than one: { $matches }.
    .hint = Type more of the name, or the id that this shows: obnova list --json
problem-nothing-due = Nothing needs to be renewed now.
    .hint = To renew one all the same, name it: obnova renew { $name_quoted }
problem-several-due = More than one needs to be renewed: { $ids }.
    .hint = Say which: obnova renew { $name_quoted }
problem-not-possible = “{ $action }” does not apply now: it is { $state }.
    .hint = See what comes next: obnova list
problem-invalid-place = “{ $place }” cannot be watched: { $reason ->
    [not-absolute] the path does not begin with “/”
    [unknown-scheme] what stands before the colon is not known
    [empty] there is no path
    [not-utf8] its name is not valid UTF-8
    [bad-escape] a “%” in it is not followed by two hexadecimal digits
    [bad-attribute] a name in it is not one that tells cards apart (RFC 7512), or stands twice
    [holds-pin] it holds a PIN or says where one lies; take that out
   *[other] { $reason }
}.
    .hint = Give the path of a certificate file or of a directory: obnova watch ~/certificates/mail.p12
problem-invalid-argument = “{ $value }” is not a valid { $argument }.
    .hint = See what is allowed: obnova help
problem-refused = No answer was given, so nothing more was done.
    .hint = When it suits you: obnova renewals shows what waits, obnova resume { $name_quoted } --wait goes on
problem-no-agent = There was a question, and nobody to answer it.
    .hint = Answer it in a terminal: { $again }
problem-by-hand = { $copy ->
    [none] This is yours to do in another program: “{ $instruction }”
   *[other] This is yours to do in another program: “{ $instruction }” To copy there: “{ $copy }”
}
    .hint = When you have done it: obnova done { $name_quoted }
problem-not-authorized = You are not allowed to do this.
    .hint = Ask the administrator of this computer; an administrator puts sudo before the command.
problem-no-keyring = There is no keyring in which a password could be kept: { $detail }.
    .hint = Log in to a desktop that has one (GNOME Keyring, KWallet, KeePassXC); until then the password is asked for each time.
problem-keyring-closed = Your keyring stayed locked, so nothing was kept and nothing was read.
    .hint = Unlock it in your desktop's password program, then try again.
problem-no-credential = { $detail ->
    [missing] The credential “{ $credential }”, which is to open { $path }, was not handed to the service.
    [empty] The credential “{ $credential }”, which is to open { $path }, is empty.
   *[other] The credential “{ $credential }”, which is to open { $path }, cannot be read: { $detail }.
}
    .hint = Hand it over: { $command }
problem-wrong-credential = The credential “{ $credential }” does not open { $path }.
    .hint = Hand over the right one: { $command }
problem-renewed-by-tool = { $tool } renews this certificate; Obnova only watches it.
    .hint = { $tool ->
    [certbot] To renew it now: sudo certbot renew --force-renewal --cert-name { $called_quoted }
   *[other] To renew it now: sudo getcert resubmit -i { $called_quoted }
}
problem-tool-late = { $tool } renews this certificate, and should have done so by now.
    .hint = { $tool ->
    [certbot] See why it has not: sudo certbot renew --dry-run --cert-name { $called_quoted }
   *[other] See why it has not: sudo getcert list -i { $called_quoted }
}
problem-no-password = No password of { $name } could be kept or forgotten.
    .hint = Only files with a password have one to keep; obnova show { $name_quoted } names the files.
problem-place-missing = { $path } is not there.
    .hint = If it has moved, watch it where it is now: obnova watch FILE
problem-place-denied = { $path } may not be read by Obnova.
    .hint = Allow it: { $command }
problem-place-not-regular = { $path } is not an ordinary file.
    .hint = Watch a file or a directory; pipes, devices and links that go in circles are passed over.
problem-place-too-large = { $path } is larger than a certificate file may be ({ $limit }).
    .hint = Watch the file that holds only the certificate and its key.
problem-place-broken = { $path } is damaged: { $detail }.
    .hint = Put a good copy there; Obnova notices it by itself.
problem-too-many-files = { $path } holds more than { $limit } files.
    .hint = Watch the directory that holds only certificates, or the files one by one.
problem-wrong-secret = { $tries_left ->
    [none] That was not the right password.
    [one] That was not right. One try is left before it locks.
   *[other] That was not right. { $tries_left } tries are left before it locks.
}
    .hint = Mind Caps Lock and the keyboard layout, then try again: obnova resume { $name_quoted } --wait
problem-secret-needed = { $path } opens only with its password.
    .hint = Type it once: obnova watch { $path_quoted }
problem-no-key = The private key that belongs to { $path } is not beside it.
    .hint = Put the key into the same directory, or watch the .p12 file that holds both.
problem-key-mismatch = The private key in { $path } belongs to another certificate.
    .hint = Put the key that belongs to the certificate there.
problem-target-exists = { $path } exists already, and nothing is ever overwritten.
    .hint = Choose another file: obnova renew { $name_quoted } --to FILE
problem-target-denied = Obnova may not write { $path }.
    .hint = Choose a file in a directory of yours: obnova renew { $name_quoted } --to FILE
problem-target-missing = The directory { $path } does not exist.
    .hint = Make it, then go on: mkdir -p { $path_quoted }
problem-hook-failed = The new certificate is installed, but the command that makes it known failed: { $command } ({ $detail }).
    .hint = Run it by hand to see why; then let the renewal finish: { $again }
problem-notify-failed = { $command } was to tell of a notice, and did not: { $detail }.
    .hint = Run it by hand to see why. It must belong to you or to root, and nobody else may be able to write it.
problem-program-running = { $program } is running, and can only be told of the new certificate while it is closed.
    .hint = Close { $program }. Obnova tries again by itself; see whether it did: { $again }
problem-primary-password = { $program } keeps its certificates behind a password of its own, so Obnova cannot tell it of the new one.
    .hint = Choose the new certificate in the settings of { $program }; the card shows it there.
problem-program-untold = { $program } could not be told of the new certificate: { $detail }.
    .hint = Choose the new certificate in the settings of { $program }; the renewal itself is finished.
problem-nss-tools-missing = Nothing is installed by which Thunderbird, Firefox and others could be told of certificates.
    .hint = Install it: sudo apt install libnss3-tools
problem-owner-not-kept = { $path } belongs to { $owner }, and a new file instead of it would not.
    .hint = Give the file and its directory to the user that Obnova runs as, or have the new one put beside it: obnova renew --to FILE
problem-disk-full = There is no room left to write { $path }.
    .hint = Make room on that disk, then: obnova resume { $name_quoted } --wait
problem-read-only = { $path } lies on a disk that is read-only.
    .hint = Make it writable, then: obnova resume { $name_quoted } --wait
problem-journal-full = Obnova cannot write down what it does: there is no room left at { $path }.
    .hint = Make room on that disk; until then nothing is begun.
problem-journal-damaged = What Obnova has written down is damaged: { $path } ({ $detail }). Nothing was changed in it.
    .hint = Put back a copy of that file from a backup. Or move it away and begin anew: your certificates stay, but must be watched again.
problem-journal-newer = { $path } was written by a newer version of Obnova.
    .hint = Install that version again, or a newer one.
problem-state-unusable = Obnova cannot use { $path }: { $detail }.
    .hint = Obnova keeps there what it knows: make it writable for the user who runs it, or name another directory: obnovad --state-dir DIR
problem-state-locked = Obnova is running already, with the same directory: { $path }.
    .hint = See how it is: obnova status. To end it: systemctl --user stop obnovad
problem-name-taken = Another program answers for Obnova already ({ $name }).
    .hint = See how it is: obnova status. To end it: systemctl --user stop obnovad
problem-bus-lost = The bus on which programs speak to each other cannot be reached: { $detail }.
    .hint = Start obnovad within a session, or name a bus: obnovad --bus ADDRESS
problem-unclear = It cannot be told from { $path } whether the last move ({ $step }) happened before the interruption.
    .hint = Look at the file. Then go on with obnova resume { $name_quoted } --wait, or end it with obnova cancel { $name_quoted }
problem-secret-rules = The new password does not keep the rules: { $digits ->
    [true] { $min } to { $max } digits
   *[other] { $min } to { $max } characters
}.
    .hint = Choose one that does: { $again }
problem-already-renewing = It is already being renewed.
    .hint = See how far it is: obnova renewals
problem-already-renewed = It has already been renewed: there is a newer certificate.
    .hint = See it: obnova list
problem-changed-meanwhile = { $path } has changed since the renewal began.
    .hint = Look at what it holds now: obnova list. To begin anew: obnova cancel { $name_quoted }, then obnova renew { $name_quoted }
problem-helper-failed = The part of Obnova that handles keys failed: { $detail }.
    .hint = Try again: obnova resume { $name_quoted } --wait. If it stays so, this tells more: journalctl --user -u obnovad
problem-not-verified = The new certificate failed a check ({ $check }) and was not put to use. The old one is untouched.
    .hint = End this renewal and begin anew: obnova cancel { $name_quoted }, then obnova renew { $name_quoted } --wait
problem-consent-refused = You said no, so nothing was made.
    .hint = When it suits you: obnova resume { $name_quoted } --wait
problem-no-programme = Obnova cannot renew this certificate by itself.
    .hint = Ask whoever issued it for a new one; Obnova notices when it is there.
problem-unsupported-key = Obnova cannot make a key of this kind: { $algorithm }.
    .hint = Ask whoever issued it, or make the new certificate with your own tools; Obnova notices it.
problem-revoked = The authority has revoked this certificate on { $since }: { $reason ->
    [key-compromise] somebody else may have its private key
    [authority-compromise] the key of the authority itself was in other hands
    [affiliation-changed] what it says of its holder is not true any more
    [superseded] another one has replaced it
    [cessation-of-operation] it is needed no more
    [hold] it is suspended, which may be taken back
    [privilege-withdrawn] its holder has lost a right that it says they have
   *[unspecified] it does not say why
}.
    .hint = Its key cannot ask for a new one: apply to the authority for one as if it were the first, and have this one watched no more once you have it. Old mail can still be read with it.
problem-authority-ends = The certificate of { $authority }, which stands above this one, ends on { $ends }: from then on this one proves nothing, though it is valid longer.
    .hint = Renew it before that day, if the authority issues by a newer certificate of its own; ask the authority if you are not sure.
problem-not-waiting = This renewal is not waiting for anything.
    .hint = See how far it is: obnova renewals
problem-quarantined = What was written down about this renewal contradicts itself, so it was stopped: { $reason }.
    .hint = See what was done: obnova log. The certificate itself can be renewed anew: obnova renew { $name_quoted } --wait
problem-no-mail = { $path } is no mail.
    .hint = Save the mail with all its lines, as .eml: what a mail program shows of it is not enough.
problem-mail-too-large = { $path } is larger than a mail that is read ({ $limit }).
    .hint = Letters of authorities are far smaller: look whether this is one.
problem-no-mailbox = No mailbox is read.
    .hint = Name one: obnova mail add maildir:/home/you/Maildir
problem-several-mailboxes = Several mailboxes are read: { $ids }.
    .hint = Say which one you mean; all of them: obnova mail list
problem-mail-unreachable = The mail server { $host } cannot be reached ({ $detail }).
    .hint = Obnova tries again by itself, at once when the network is back. If it lasts, look whether the address is right.
problem-mail-untrusted = Whoever answers as the mail server { $host } does not prove to be it ({ $detail }). Nobody has logged in.
    .hint = Ask whoever runs the server. If it has an authority of its own, name that authority's certificate when you add the mailbox.
problem-mail-bare = The mail server { $host } offers no encryption that could be relied on. Nobody has logged in.
    .hint = Use the server's encrypted port: imaps:// and the same address. If it was encrypted before, somebody on the way may interfere.
problem-mail-refused = The mail server { $host } does not let { $user } in ({ $detail }).
    .hint = It is not tried again by itself, so that the account is not locked. Give the right password: obnova mail test { $name_quoted }
problem-mail-secret = The password of { $user } at the mail server { $host } is not at hand ({ $detail }).
    .hint = Give it: obnova mail test { $name_quoted }
problem-mail-answer = What the mail server { $host } answers makes no sense ({ $detail }).
    .hint = Obnova tries again later. Tell whoever runs the server if it lasts.
problem-mail-server-unknown = Which mail server has the mailbox of { $address } cannot be found out.
    .hint = Whoever gave you the address says which it is. Name it (%40 stands for the @ of the address): obnova mail add imaps://USER@HOST
problem-mail-server-elsewhere = The mailbox of { $address } is said to be at a server of somebody else. Your password has not been sent there.
    .hint = If whoever gave you the address says the same: obnova mail add { $mailbox }
problem-mail-pop3 = Mailboxes behind POP3 are not read.
    .hint = Most such servers speak IMAP, too: imaps:// and the same address. Else have the mails delivered into a Maildir, or read one: obnova mail read FILE
problem-no-maildir = { $path } is no Maildir: it has no directories “new” and “cur”.
    .hint = Name the directory into which your mails are delivered, one file for each: obnova mail add maildir:/home/you/Maildir
problem-programme-mistaken = The programme has a mistake: { $detail }.
    .hint = Correct it there, at the line that is named, and try again.
problem-programme-silent = { $path } says nothing about mails.
    .hint = Give it a [mail] table: from, domains, links, and [[mail.letters]] for each kind.
problem-internal = Something went wrong inside Obnova: { $detail }.
    .hint = This tells more, and belongs in a report: journalctl --user -u obnovad

# Said by the programs in front of the person, not by the daemon.
problem-unreachable = Obnova's service does not answer.
    .hint = Start it: systemctl --user start obnovad
problem-unreachable-system = Obnova's service for this computer does not answer.
    .hint = Start it: sudo systemctl start obnovad
problem-connection-lost = Obnova's service has gone while it was at work.
    .hint = Nothing is lost; start it and go on: systemctl --user start obnovad, then obnova renewals
problem-no-terminal = This cannot ask its question: there is no terminal.
    .hint = Run it in a terminal, or give the answers with --secret-fd
problem-bad-descriptor = Descriptor { $value } cannot be read.
    .hint = Open it for reading, for example: obnova renew { $name_quoted } --wait --secret-fd 3 3<answers
problem-not-a-time = “{ $value }” is not a time.
    .hint = Write a day (2026-11-22), a moment (2026-11-22T08:00:00Z) or a span (3d, 12h)
problem-not-a-time-to-come = “{ $value }” is not a time to come.
    .hint = Write tomorrow, a span (3d, 12h), a day (2026-11-22) or a moment (2026-11-22T08:00:00Z)
problem-no-successor = In { $path } there is no newer certificate of the same holder with its key.
    .hint = See what is in it: obnova watch { $path_quoted }
problem-key-on-card = The key is on the card “{ $card }”, which gives it to nobody.
    .hint = That is what the card is for: keep the card, and its PUK, safe.
problem-programme-mistake = { $file }, line { $line }, column { $column }: { $message }.
    .hint = Correct it there, then check again: obnova programme check { $file_quoted }
problem-no-such-programme = There is no programme called “{ $name }”.
    .hint = See which there are: obnova programme list
problem-no-rehearsal = “{ $name }” cannot be rehearsed yet.
    .hint = See what its renewal would do: obnova renew --dry-run
problem-no-daemon = obnovad, Obnova's service, is not installed.
    .hint = Install it beside this program, or in a directory of the PATH
problem-file-unreadable = { $path } cannot be read: { $detail }.
    .hint = See what stands there: ls -l { $path_quoted }
problem-no-window = The window is not installed.
    .hint = See everything here: obnova list
problem-no-card = No card is there.
    .hint = Insert it. If it is inserted, see what is wrong: obnova doctor
problem-several-cards = There is more than one card: { $ids }.
    .hint = Say which, by the beginning of its name or number.
problem-no-such-card = There is no card called “{ $id }”.
    .hint = See what there is: obnova card list
problem-card-refused = No answer was given, so nothing on the card was changed.
    .hint = When it suits you: { $again }
problem-output = The output could not be written: { $detail }.
    .hint = Look whether the disk is full.

# A kind that this version does not know.
problem-other = Something is wrong: { $words }.
    .hint = This tells more: journalctl --user -u obnovad

# Cards.
problem-card-absent = The card “{ $card }” is in no reader.
    .hint = Insert it; Obnova goes on by itself.
problem-card-removed = The card “{ $card }” was pulled out while it worked. Nothing on it is lost.
    .hint = Insert it again; Obnova looks what had been done, and goes on by itself.
problem-card-busy = The card “{ $card }” is in use by { $program ->
    [unknown] another program
   *[other] { $program }
}.
    .hint = Close that program. Then go on: { $again }
problem-card-opened = Another program has opened the card “{ $card }” with its PIN, so it cannot be told how many tries are left.
    .hint = Close that program or take the card out and insert it again. Then: { $again }
problem-not-in-front = The reader of the card “{ $card }” belongs to whoever sits at the screen.
    .hint = Log in at this computer itself; Obnova goes on as soon as it may.
problem-no-card-service = The computer's service for smart cards does not answer: { $detail }.
    .hint = Install or start it: sudo systemctl start pcscd.socket
problem-wrong-pin = The PIN was wrong. { $left ->
    [unknown] The card does not say how many tries are left.
    [1] One try is left before it locks.
   *[other] { $left } tries are left before it locks.
}
    .hint = When you are sure of the PIN: { $again }
problem-pin-blocked = The PIN of the card “{ $card }” is blocked after too many wrong tries. Its keys are still there.
    .hint = With the PUK from the letter that came with the card: obnova card unblock
problem-wrong-puk = The PUK was wrong. { $left ->
    [unknown] The card does not say how many tries are left.
    [1] One try is left; after it the card cannot be rescued.
   *[other] { $left } tries are left.
}
    .hint = Look for the letter that came with the card before you try again: obnova card unblock
problem-puk-blocked = The PUK of the card “{ $card }” is blocked, too. The card cannot be opened any more.
    .hint = Ask whoever issued the card for a new one.
problem-wrong-management-key = The management key of the card “{ $card }” is wrong. It was tried once and is not tried again.
    .hint = Ask your administrator for it. Then: obnova resume { $name_quoted } --wait
problem-card-full = The card “{ $card }” has too little room: { $needed } free slots are needed, it has { $free }.
    .hint = See what is on it: obnova card show. Obnova never deletes a key; its maker's program can.
problem-card-keeps-nothing = The card “{ $card }” { $can ->
    [retires] can make a new key beside the old one only for decryption
   *[other] cannot make a new key beside the old one
}, and the old one must not be destroyed before the new one works.
    .hint = Renew at the authority's own page, or ask for a new card. Nothing on this one was changed.
problem-card-algorithm = The card “{ $card }” makes no keys of the kind { $algorithm }.
    .hint = Ask whoever issued it for a card that does.
problem-card-key-gone = The old key is not on the card “{ $card }” any more (slot { $spot }).
    .hint = See what is on it: obnova card show. If it is the wrong card, insert the right one.
problem-card-occupied = On the card “{ $card }”, something lies where the new key should go (slot { $spot }). It was left alone.
    .hint = See what is on it: obnova card show. Then start anew: obnova cancel { $name_quoted }, obnova renew { $name_quoted } --wait
problem-card-unable = The card “{ $card }” cannot do this: { $what }.
    .hint = Renew at the authority's own page, or ask for a new card.
problem-not-touched = The card “{ $card }” waited for a touch that did not come.
    .hint = Touch it when it blinks: { $again }
problem-card-failed = The card “{ $card }” answered in a way that makes no sense: { $detail }.
    .hint = Take it out, insert it again, and go on: { $again }
problem-module-failed = The program that the card's maker supplies ({ $module }) failed: { $detail }.
    .hint = Update it, or ask its maker. Then: { $again }
problem-card-trial-failed = The new key on the card “{ $card }” did not pass its trial (slot { $spot }). The old one stays in use.
    .hint = Take the card out, insert it again, and go on: obnova resume { $name_quoted } --wait
problem-twin-missing = The certificate that belongs to it is not there: { $role }.
    .hint = Both are renewed together. Insert the card that holds both, or ask the authority.
problem-twins-apart = The certificate that belongs to it lies elsewhere: { $role }.
    .hint = Both are renewed together and must lie on one card. Ask the authority.

# The authority.
problem-not-yet-issued = The authority has taken the request ({ $order }) and has not issued yet.
    .hint = If it waits for a payment or an approval, see to that. Then: obnova resume { $name_quoted } --wait
problem-authority-refused = The authority refuses: { $reason }.
    .hint = Ask the authority. The old certificate stays as it is.
problem-awaiting-issue = The authority at { $host } has taken the request and has not issued yet.
    .hint = It is asked again by itself. If it waits for a payment or an approval, see to that; you may close everything.
problem-at-page = { $page ->
    [none] The new certificates are awaited: you renew at the authority’s own page.
   *[other] The new certificates are awaited: you renew at the authority’s page, { $page }.
}
    .hint = { $computer ->
        [windows-or-macos] The page works on Windows and macOS only. Renew there with this card or key, leave that page open until the certificates are made and installed, and bring the card or file back here: this goes on as soon as it is inserted or lies where it is watched.
       *[other] Renew there, and leave that page open until the certificates are made and installed: they are noticed where they are watched, on a card when it is inserted again, and this goes on. To look now: obnova resume { $name_quoted } --wait
    }
problem-awaiting-mail = The request has been sent to { $address }. The new certificate comes by mail.
    .hint = You may close everything: it is taken from the mail, or from the file in which you save it where certificates are watched. To hand a mail over yourself: obnova mail read FILE
problem-no-mail-server = The request goes by mail, and no mail server is configured.
    .hint = Say in [smtp] of obnova.toml through which server you send mail; the comments in that file show how.
problem-mail-server = The mail server { $server } did not take the mail ({ $detail }). Nothing was sent.
    .hint = Look at what [smtp] in obnova.toml says. Then: obnova resume { $name_quoted } --wait
problem-mail-login = The mail server { $server } refuses the user { $user } or the password. Nothing was sent.
    .hint = Look at what [smtp] in obnova.toml says; some providers want a password made for programs. Then: obnova resume { $name_quoted } --wait
problem-authority-unreachable = The authority's server { $host } cannot be reached ({ $detail }).
    .hint = Look whether this computer has a network connection. Then: obnova resume { $name_quoted } --wait
problem-authority-untrusted = Whoever answers as { $host } does not prove to be the authority ({ $detail }). Nothing was sent to them.
    .hint = Try another network connection; if it stays so, ask the authority whether its server has a new certificate. Then: obnova resume { $name_quoted } --wait
problem-authority-silent = The authority's server { $host } gave no whole answer within { $seconds } seconds.
    .hint = Go on later with obnova resume { $name_quoted } --wait: nothing is asked for twice.
problem-authority-busy = The authority's server { $host } does not work at the moment ({ $status }).
    .hint = It is asked again by itself, or now by obnova resume { $name_quoted } --wait
problem-authority-redirects = The authority's server { $host } sends us to { $to }, which is not followed.
    .hint = Ask the authority for its new address, and put it into the programme's file. Then: obnova resume { $name_quoted } --wait
problem-authority-answer = The answer of the authority's server { $host } makes no sense ({ $detail }).
    .hint = Nothing of it was put to use. Go on later with obnova resume { $name_quoted } --wait, or ask the authority.
problem-authority-wants = The authority at { $host } wants something that our request would not have: { $what }.
    .hint = If it is a kind of key, put it into the programme's file (algorithm, under [key]) and renew again. Else ask the authority.
problem-maybe-sent = It cannot be told whether the request has reached the authority at { $host }.
    .hint = Ask the authority whether it has it. To send the very same request once more: obnova resume { $name_quoted } --wait
