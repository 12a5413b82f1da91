# What a notification says.

notice-ends = { $count ->
    [one] Certificate of { $name } ends { $when }
   *[other] Certificates of { $name } end { $when }
}
notice-renew-by = { $count ->
    [one] Certificate of { $name }: renew by { $by }
   *[other] Certificates of { $name }: renew by { $by }
}
notice-expired = { $count ->
    [one] Certificate of { $name } has expired
   *[other] Certificates of { $name } have expired
}
notice-revoked = { $count ->
    [one] Certificate of { $name } has been revoked
   *[other] Certificates of { $name } have been revoked
}
notice-renewed = { $count ->
    [one] Certificate of { $name } is renewed
   *[other] Certificates of { $name } are renewed
}
notice-renewed-body = { $count ->
    [one] The new one is valid until { $end }. The old one is kept.
   *[other] The new ones are valid until { $end }. The old ones are kept.
}
notice-renewed-body-undated = The old one is kept.
notice-body = { $deadline }.
notice-body-renew = { $deadline }. You are asked before anything is made, and the old one is kept.
notice-body-step = { $deadline }. { $step }.
notice-problem = { $who ->
    [administrator] { $name } needs your administrator
    [obnova] { $name }: something went wrong
    [authority] { $name }: the authority must act
   *[you] { $name } needs you
}
notice-found = The card of { $name } is watched from now on
notice-found-body = Obnova tells you three weeks and one week before its certificates end. It has changed nothing on it.
notice-letter-invited = The authority invites { $name } to renew
notice-letter-invited-body = Its letter has been checked; the certificate { $deadline }. You are asked before anything is made.
notice-letter-doubtful = A letter says that { $name } is to renew
notice-letter-doubtful-body = It says that it is from the authority, and that could not be confirmed: its link is not offered. The certificate { $deadline }; it can be renewed without the letter.
notice-letter-forged = A forged letter is after the certificate of { $name }
notice-letter-forged-body = Do not follow its links. Nothing was done, and nothing has to be done.
notice-letter-missing = The letter for { $name } has not come
notice-letter-missing-body = It was to follow the order. Look into the folder for junk, and order again if it is not there.
notice-elsewhere = { $name } has been renewed elsewhere
notice-elsewhere-body = Its renewal here is not needed any more and has ended. The old one is kept.
notice-locked = { $name } needs its password
notice-locked-body = Only with its password can Obnova see what is in it now. It is used once and not kept.
notice-other = { $event }
notice-other-step = { $event }. { $step }.
notice-later = Later
