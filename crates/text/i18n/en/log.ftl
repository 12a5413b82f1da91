# The story of what was done, one line each; and the moves of a renewal.

log-born = Obnova was set up.
log-watched = { $place } is watched.
log-unwatched = { $place } is watched no longer.
log-excluded = { $place } is left out.
log-remembered = The password of { $place } is kept in your keyring.
log-forgotten = The password of { $place } is in your keyring no longer.
log-announced = { $name }: warned that it ends on { $not_after } ({ $days ->
    [0] on the day
    [one] 1 day before
   *[other] { $days } days before
}).
log-announced-past = { $name }: warned that it ended on { $not_after }.
log-announced-revoked = { $name }: told that it has been revoked.
log-revoked = { $name }: the authority says that it is revoked since { $since }.
log-reinstated = { $name }: the authority has taken back that it is suspended.
log-seen = { $name }: the warning was seen.
log-snoozed = { $name }: the warning was put off until { $until }.
log-replaced = { $name }: a newer certificate stands in { $place }; the older one warns no more.
log-mailbox-added = The mailbox { $place } is read.
log-mailbox-removed = The mailbox { $place } is read no longer.
log-letter-came = A mail came ({ $programme }): { $standing ->
    [trusted] { $kind }
    [forged] forged, { $kind }
   *[doubtful] not confirmed, { $kind }
}.
log-letter-invited = { $name }: told that the authority invites to renew.
log-letter-doubtful = { $name }: told of a mail that says it is from the authority.
log-letter-forged = { $name }: warned about a forged mail.
log-letter-missing = { $name }: told that the mail that was to follow the order has not come.
log-ordered = { $name }: its renewal was ordered; a mail is to follow.
log-job-started = Renewal { $job }: begun for { $name }.
log-step-begun = Renewal { $job }: { $doing }.
log-step-done = Renewal { $job }: { $done }.
log-step-done-detail = Renewal { $job }: { $done } ({ $detail }).
log-step-failed = Renewal { $job }: could not { $step }: { $problem }.
log-consented = Renewal { $job }: you agreed to renew { $name }.
log-job-resumed = Renewal { $job }: continued.
log-job-brought = Renewal { $job }: a certificate came for its key.
log-job-cancelled = Renewal { $job }: cancelled.
log-job-overtaken = Renewal { $job }: not needed any more; { $name } has been renewed elsewhere.
log-job-done = Renewal { $job }: done. { $name } has a new certificate: { $made }
log-job-quarantined = Renewal { $job }: stopped, a person must look: { $reason }.
# An event that this version does not know.
log-other = { $words }
log-other-named = { $name }: { $words }

step-preflight = check that everything is ready
    .doing = checking that everything is ready
    .done = everything is ready
step-consent = ask you
    .doing = asking you
    .done = you have agreed
step-generate-keys = make the new key
    .doing = making the new key
    .done = the new key is made
step-request = make the new certificate
    .doing = making the new certificate
    .done = the new certificate is made
step-submit = send the request to the authority
    .doing = sending the request to the authority
    .done = sent the request to the authority
step-await-issue = wait for the authority
    .doing = waiting for the authority
    .done = the authority has issued
step-fetch = fetch the new certificate
    .doing = fetching the new certificate
    .done = fetched the new certificate
step-verify = check the new certificate
    .doing = checking the new certificate
    .done = the new certificate is checked
step-install = install the new certificate
    .doing = installing the new certificate
    .done = the new certificate is installed
step-register = tell who uses the certificate
    .doing = telling who uses the certificate
    .done = whoever uses the certificate knows of the new one
step-by-hand = have you do what only you can
    .doing = waiting for what only you can do
    .done = you have done what only you could
step-retire-old = end the warnings of the old certificate
    .doing = ending the warnings of the old certificate
    .done = the old certificate warns no more, and its key is kept
