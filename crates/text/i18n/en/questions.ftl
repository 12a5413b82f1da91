# What is asked.

question-secret = { $secret ->
    [pin] PIN needed
   *[other] Password needed
}
question-secret-of = { $secret ->
    [pin] PIN of { $what }
   *[other] Password of { $what }
}
question-secret-used = It is used { $uses }.
question-secret-refused = { $secret ->
    [pin] That PIN was not right.
   *[other] That password was not right.
}
question-secret-tries = { $tries_left ->
    [one] One try is left before it locks.
   *[other] { $tries_left } tries are left before it locks.
}
question-secret-prompt = { $secret ->
    [pin] PIN
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
question-consent-other = { $name }: go on?
question-consent-ends = The certificate ends on { $not_after }.
question-consent-makes = A new key and a new certificate will be made and written to { $to }.
question-consent-makes-somewhere = A new key and a new certificate will be made and written to a new file.
question-consent-adopts = The certificate that is there already will be checked and taken into use.
question-consent-keeps = The old file stays as it is.
question-consent-secret = { $secret ->
    [pin] You are asked for your PIN once.
   *[other] If the old file has a password, you are asked for it once.
}
question-consent-then = What follows: { $steps }.
question-consent-prompt = Go on?
question-consent-yes = Renew
question-yes = Go on
question-no = Not now
# What a programme's renewal means for others; a programme without such a line says nothing.
question-programme-self-signed = It is self-made, as the old one is: whoever trusts the old one has to be given the new one.

question-link = Open a page for { $name }?
question-link-body = { $link }
question-link-yes = Open
question-hand-step = { $name }: have you done this?
question-hand-step-body = { $instruction }
question-hand-step-yes = Done

use-open-old = to open the old file
use-protect-new = to protect the new file
use-look = to see which certificates are in it
list-two = { $first } and { $second }
list-more = { $first }, { $second }
