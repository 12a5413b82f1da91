# What a mail is worth, and why.

letter-verdict = { $standing ->
    [trusted] Trusted: { $kind }
    [forged] Forged: { $kind }
   *[doubtful] Not confirmed: { $kind }
}
letter-kind-invitation = an invitation to renew
letter-kind-issued = the certificate has been made
letter-kind-payment-due = the authority waits for payment
letter-kind-rejected = the authority refuses
letter-kind-challenge = the authority wants the address confirmed
letter-kind-other = something else

why-policy-broken = The domain of the sender wants mails like this one rejected: nothing shows that it comes from there
why-link-imitates = A link leads to { $about }, which is made to look like the authority's
why-sender-unlisted = It is from { $about }, which is not the authority's address
why-several-senders = It names several senders
why-unsigned = It is not signed
why-signature-broken = The signature does not fit: something was changed on the way, or its key is not published
why-unresolved = The key or the policy of the sender's domain could not be asked for; read it again later
why-signature-foreign = It is signed by { $about }, which does not sign for the authority
why-signature-weak = The signature is too weak, or covers only a part
why-header-unsigned = The signature does not cover the line “{ $about }”
why-header-twice = The line “{ $about }” stands in it twice
why-header-missing = The line “{ $about }” is missing
why-key-changed = It is signed with another key than before ({ $about })
why-signer-unknown = Whoever signed it is not known, or is not the sender
why-date-off = It was not written when it came
why-replayed = The same came before as another mail
why-malformed = It is not made as mails are ({ $about })
why-link-differs = A link shows another address than { $about }, to which it leads
why-link-unsafe = A link may lead elsewhere than it says
why-not-addressed = It is not written to the holder of the certificate alone
why-unawaited = Nothing waits for it
