# What was looked at to see whether a renewal can succeed: a sentence for each, and a hint where something can be done.

check-again = obnova doctor
check-clock = { $result ->
    [ok] The clock shows { $now }.
   *[other] The clock shows { $now }, but Obnova wrote something down at { $written } already.
}
    .hint = Set the clock right: all dates depend on it.
check-card-service = { $service ->
    [running] The computer's service for smart cards is running.
    [not-in-front] The computer's service for smart cards serves whoever sits at the screen.
   *[other] The computer's service for smart cards is not running.
}
    .hint = { $service ->
    [not-in-front] Log in at this computer itself.
   *[other] Install or start it: sudo systemctl start pcscd.socket
}
check-no-reader = No card reader is connected.
    .hint = Connect the reader in which your card is.
check-reader = { $card ->
    [nothing] Reader “{ $reader }”: no card in it.
   *[other] Reader “{ $reader }”: the card “{ $card }”.
}
check-module = The card program { $module } works.
check-card = The card “{ $card }” { $can ->
    [moves] makes new keys beside the old ones, and moves them.
    [retires] makes new keys beside the old ones only for decryption.
    [fixed] has one slot for each key.
   *[other] holds many keys.
}
check-pin = { $left ->
    [unknown] The card “{ $card }” does not say how many tries are left for the PIN.
    [1] One try is left for the PIN of the card “{ $card }”.
   *[other] { $left } tries are left for the PIN of the card “{ $card }”.
}
    .hint = If you are not sure of the PIN, set a new one with the PUK: obnova card unblock
check-puk = { $left ->
    [unknown] The card “{ $card }” does not say how many tries are left for the PUK.
    [0] The PUK of the card “{ $card }” is blocked: a PIN that is forgotten or blocked cannot be replaced.
    [1] One try is left for the PUK of the card “{ $card }”.
   *[other] { $left } tries are left for the PUK of the card “{ $card }”.
}
    .hint = Keep the PIN well, or ask whoever issued the card for a new one.
check-keys = { $algorithms ->
    [none] The card “{ $card }” makes no keys.
   *[other] The card “{ $card }” makes keys of these kinds: { $algorithms }.
}
check-free = Free slots on the card “{ $card }”: { $free }.
check-unwatched = The card “{ $card }” is not watched.
    .hint = Watch it: obnova watch { $path_quoted }
check-foreign = { $what ->
    [key] On the card “{ $card }”, a key lies in slot { $spot } of which Obnova knows nothing.
    [unknown] On the card “{ $card }”, something lies in slot { $spot } of which Obnova knows nothing.
   *[other] On the card “{ $card }”, “{ $what }” lies in slot { $spot }, of which Obnova knows nothing.
}
    .hint = Another program may need it. Obnova never takes or deletes it.
check-tool = { $name } is renewed by { $tool }; Obnova only watches it.
check-credential = The credential “{ $credential }” was handed over; it is to open { $path }.
check-notify = { $path } is told of each notice.
check-mailbox = { $state ->
    [connecting] The mailbox { $name } is being looked for.
   *[other] What comes into the mailbox { $name } is seen.
}
check-places = { $count ->
    [0] No file and no card is watched yet.
    [one] The one file or card that is watched can be read.
   *[other] All { $count } files and cards that are watched can be read.
}
check-certificate = { $result ->
    [ok] The certificate of { $name } ends on { $not_after }.
   *[other] The certificate of { $name } ended on { $not_after }.
}
    .hint = See what comes next: obnova show { $name_quoted }
check-programme = { $name } is renewed as { $programme }.
check-twins = { $name }: the { $count } certificates that belong together lie together.
check-program = { $result ->
    [ok] { $program } uses the certificate of { $name } for { $address }, { $purpose ->
        [sign] to sign.
       *[other] to decrypt.
    }
   *[other] { $program } uses another certificate than that of { $name } for { $address }, { $purpose ->
        [sign] to sign: number { $serial }.
       *[other] to decrypt: number { $serial }.
    }
}
    .hint = Close { $program }; what it used before a renewal is replaced by itself then. Or choose the certificate in its settings.
check-room = The card “{ $card }” has room for { $count ->
    [one] the new key
   *[other] the { $count } new keys
} of { $name } beside the old; { $moves ->
    [true] the old keys stay on it in slots for old keys.
   *[other] the old keys stay where they are.
}
check-chain = { $reach ->
    [nothing] The certificate of the authority that issued that of { $name } is not known here.
    [part] Of the authorities above the certificate of { $name }, not all are known here.
    [root] The authorities above the certificate of { $name } are known up to the highest, whom neither this computer nor Obnova's settings trust.
   *[anchor] The authorities above the certificate of { $name } are known up to one who is trusted.
}
    .hint = Whoever checks the certificate may lack them, too: have it sent along with them, or ask the authority where its certificates are.
check-revocation = { $standing ->
    [good] The certificate of { $name } has not been revoked: { $way ->
        [ocsp] its authority said so
       *[list] the list of its authority says so
    }, { $count ->
        [0] less than an hour ago
        [one] an hour ago
       *[other] { $count } hours ago
    }.
    [waiting] Whether the certificate of { $name } has been revoked is asked within the next minutes.
    [off] Nobody asks whether the certificate of { $name } has been revoked: the configuration says so.
   *[unknown] It is not known whether the certificate of { $name } has been revoked: { $why ->
        [no-address] it names nobody who would say it
        [no-issuer] the certificate of its authority is not known here
        [unreachable] its authority cannot be reached
        [late] its authority does not answer in time
        [forbidden] the address that it names leads into the local network
        [redirected] the address that it names leads elsewhere
        [refused] the server of its authority refuses
        [too-long] the answer is longer than what is read
        [malformed] the answer makes no sense
        [unproven] the answer was not signed by its authority
        [stale] the answer is out of date
        [other] the answer is about other certificates
        [failed] Obnova itself failed at it
       *[unknown] its authority does not know it
    }.
}
    .hint = { $why ->
    [forbidden] If that is where your authority is, allow it in the configuration: [network] local = true
   *[other] Obnova asks again by itself.
}
