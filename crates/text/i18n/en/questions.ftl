# What is asked.

question-secret = { $secret ->
    [pin] PIN needed
    [puk] PUK needed
    [management-key] Management key needed
   *[other] Password needed
}
question-secret-of = { $secret ->
    [pin] PIN of { $what }
    [puk] PUK of { $what }
    [management-key] Management key of { $what }
   *[other] Password of { $what }
}
question-secret-used = It is used { $uses }.
question-secret-refused = { $secret ->
    [pin] That PIN was not right.
    [puk] That PUK was not right.
   *[other] That password was not right.
}
question-secret-tries = { $tries_left ->
    [one] One try is left before it locks.
   *[other] { $tries_left } tries are left before it locks.
}
question-secret-prompt = { $secret ->
    [pin] PIN
    [puk] PUK
    [management-key] Management key
   *[other] Password
}

question-new-secret = { $secret ->
    [pin] New PIN
   *[other] New password
}
question-new-secret-of = { $secret ->
    [pin] A new PIN for { $what }
   *[other] A new password for { $what }
}
question-new-secret-prompt = { $secret ->
    [pin] New PIN
   *[other] New password
}
question-new-secret-again = The same once more
question-new-secret-differ = The two are not the same.
question-rules = { $digits ->
    [true] { $min } to { $max } digits.
   *[other] { $min } to { $max } characters.
}
question-rules-short = { $digits ->
    [true] Too short: at least { $min } digits.
   *[other] Too short: at least { $min } characters.
}
question-rules-long = { $digits ->
    [true] Too long: at most { $max } digits.
   *[other] Too long: at most { $max } characters.
}
question-rules-digits = Only digits, 0 to 9.

question-choose = Which one?
question-choose-body = For { $name }:
question-choose-prompt = Number

question-consent = Renew { $name }?
question-adopt = Use the new certificate of { $name }?
question-adopt-yes = Use it
question-consent-other = { $name }: go on?
question-consent-ends = The certificate ends on { $not_after }.
question-consent-makes = A new key and a new certificate will be made and written to { $to }.
question-consent-makes-somewhere = A new key and a new certificate will be made and written to a new file.
question-consent-adopts = The certificate that is there already will be checked and taken into use.
question-consent-adopts-from = The certificate in { $to } will be checked, its key tried, and it will be used from then on.
question-consent-keeps = The old file stays as it is.
question-consent-replaces = They replace the old ones in { $to }; a copy of these is kept beside them, with today’s date in its name.
question-consent-tells = Then this is run: { $tells }
question-consent-programs = Then Thunderbird, Firefox and others learn of it, where they are used here.
question-consent-card = { $count ->
    [one] A new key will be made on the card “{ $card }”, beside the old one.
   *[other] { $count } new keys will be made on the card “{ $card }”, beside the old ones.
}
question-consent-card-keeps = { $moves ->
    [true] Once the new ones have been tried, they replace the old; the old keys stay on the card for old mail.
   *[other] The old keys stay on the card for old mail.
}
question-consent-sittings = { $sittings ->
    [2] You are asked for your PIN now, and once more when the authority has issued: the card is needed twice.
    [perhaps] You are asked for your PIN now, and once more if the authority does not issue at once.
   *[other] You are asked for your PIN once.
}
question-consent-sends = The request is signed by the new key and by the old one, and sent to { $host }. Nothing else is sent.
question-consent-mails = The request is signed by the new key and by the old one, and sent by mail from { $mail_from } to { $mail_to }. Nothing else is sent.
question-consent-page = { $computer ->
    [windows-or-macos] The authority’s page works on Windows and macOS only: take { $card ->
            [none] the file with your key
           *[other] the card “{ $card }”
        } to such a computer, and renew there{ $page ->
            [none] .
           *[other] : { $page }
        }
   *[other] You renew at the authority’s page{ $page ->
            [none] .
           *[other] , which is opened now: { $page }
        }
}
question-consent-page-test = Everything that can be tested here is in order. Leave the last window of that page open until the new certificates are made and installed.
question-consent-page-then = They are noticed here by themselves, checked and taken into use; then you are asked for your PIN or password once.
question-consent-page-yes = Open the page
question-differs = Take { $name } as it was issued?
question-differs-subject = The name says “{ $subject_new }” where “{ $subject_old }” was asked for.
question-differs-addresses = The e-mail addresses are “{ $addresses_new }” where “{ $addresses_old }” was asked for.
question-differs-usage = It is for { $usage_new } where { $usage_old } was asked for.
question-differs-names = Its alternative names are others than were asked for.
question-differs-then = If this is a mistake of the authority’s, say no and ask the authority. The old certificate stays in use until then.
question-differs-yes = Take it
question-send-again = Send the same request to { $host } once more?
question-send-again-body = It cannot be told whether the authority has it already. If it has, it could take the second one for another order. Ask the authority, if you are not sure.
question-send-again-yes = Send again
question-last-try = { $secret ->
    [puk] Use the last try for the PUK?
   *[other] Use the last try for the PIN?
}
question-last-try-body = { $secret ->
    [puk] Only one try is left for the PUK of the card “{ $card }”. If it is wrong, the card cannot be opened any more and has to be replaced.
   *[other] Only one try is left for the PIN of the card “{ $card }”. If it is wrong, the card is blocked until it is opened with the PUK from the letter that came with it.
}
question-last-try-yes = Try it
question-insert-card = Insert the card “{ $card }”
question-insert-card-body = It is needed for { $name }. As soon as it is there, this goes on by itself.
question-insert-card-yes = It is inserted
question-consent-secret = { $secret ->
    [pin] You are asked for your PIN once.
   *[other] If the old file has a password, you are asked for it once.
}
question-consent-new-secret = { $new_secret ->
    [pin] You are asked for the PIN of the old file, and for a PIN for the new one; it may be the same.
   *[other] You are asked for the password of the old file, and for one for the new file; it may be the same.
}
question-consent-subject = The name on the visiting card has changed: the new certificate says { $subject }.
question-consent-then = What follows: { $steps }.
question-consent-prompt = Go on?
question-consent-yes = Renew
question-yes = Go on
question-no = Not now
# What a programme's renewal means for others; a programme without such a line says nothing.
question-programme-vps-postfach = It is for your VPS mailbox: afterwards select it there (Postfach – Bearbeiten – Grundeinstellungen) and wait for the red text that confirms it. From then on only messages to the new certificate arrive.
question-programme-self-signed = It is self-made, as the old one is: whoever trusts the old one has to be given the new one.

question-link = Open a page for { $name }?
question-link-body = { $link }
question-link-yes = Open
question-link-unopened = No program here opens pages: open the address above yourself.
question-hand-step = { $name }: have you done this?
question-hand-step-body = { $copy ->
    [none] { $instruction }
   *[other] { $instruction } To copy there: “{ $copy }”
}
question-hand-step-yes = Done

use-open-old = to open the old file
use-protect-new = to protect the new file
use-sign-in = to log in to the mail server
use-try = to try its key
use-keep = to be kept in your keyring, from which Obnova takes it from now on
use-make-keys = to make the new keys
use-send-mail = to send the request by mail
use-sign-requests = to sign what is sent to the authority
use-store-certificates = to put the new certificates on the card
use-change-pin = to change it
use-unblock = to set a new PIN
use-look = to see which certificates are in it
list-two = { $first } and { $second }
list-more = { $first }, { $second }
