//! What the wire says of mails: kinds of problems, events of the log, and words.

pub(super) const PROBLEMS: &[(&str, &[&str])] = &[
    ("no-mail", &["path"]),
    ("mail-unreachable", &["detail", "host"]),
    ("mail-untrusted", &["detail", "host"]),
    ("mail-bare", &["host"]),
    ("mail-refused", &["detail", "host", "user"]),
    ("mail-secret", &["detail", "host", "user"]),
    ("mail-answer", &["detail", "host"]),
    ("mail-pop3", &[]),
    ("mail-server-unknown", &["address"]),
    ("mail-server-elsewhere", &["address", "mailbox"]),
    ("no-maildir", &["path"]),
    ("no-mailbox", &[]),
    ("several-mailboxes", &["ids"]),
    ("mail-too-large", &["path", "limit"]),
    ("programme-mistaken", &["detail"]),
    ("programme-silent", &["path"]),
];

pub(super) const EVENTS: &[(&str, &[&str])] = &[
    ("mailbox-added", &["place"]),
    ("mailbox-removed", &["place"]),
    ("letter-came", &["kind", "standing", "programme"]),
    ("letter-invited", &["name"]),
    ("letter-doubtful", &["name"]),
    ("letter-forged", &["name"]),
    ("letter-missing", &["name"]),
    ("ordered", &["name"]),
];

pub(super) const FAMILIES: &[(&str, &[&str])] = &[
    ("letter-kind", &["invitation", "issued", "payment-due", "rejected", "challenge", "other"]),
    (
        "why",
        &[
            "policy-broken",
            "link-imitates",
            "sender-unlisted",
            "several-senders",
            "unsigned",
            "signature-broken",
            "unresolved",
            "signature-foreign",
            "signature-weak",
            "header-unsigned",
            "header-twice",
            "header-missing",
            "key-changed",
            "signer-unknown",
            "date-off",
            "replayed",
            "malformed",
            "link-differs",
            "link-unsafe",
            "not-addressed",
            "unawaited",
        ],
    ),
];
