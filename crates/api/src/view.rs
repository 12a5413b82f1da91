//! What is shown, as it travels: every view is an `a{sv}` whose keys and values are exactly those of `--json`.
//!
//! Views carry kinds and arguments, never prose. Times are RFC 3339 in UTC, serials and digests lower-case hex.
//! A key whose value is not known is absent. A reader passes over keys that it does not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zbus::zvariant::{Type, as_value};

/// Declares a struct that is a `a{sv}` on the wire: `required` keys always stand in it, `optional` ones where known.
macro_rules! dictionary {
    ($(#[$meta:meta])* pub struct $name:ident {
        $(required { $($(#[$rmeta:meta])* $rfield:ident : $rtype:ty,)* })?
        $(optional { $($(#[$ometa:meta])* $ofield:ident : $otype:ty,)* })?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Type)]
        #[zvariant(signature = "a{sv}")]
        pub struct $name {
            $($($(#[$rmeta])* #[serde(with = "as_value")] pub $rfield: $rtype,)*)?
            $($($(#[$ometa])*
                #[serde(with = "as_value::optional", skip_serializing_if = "Option::is_none", default)]
                pub $ofield: Option<$otype>,)*)?
        }
    };
}

dictionary! {
    /// A thing with an owner, a state, a deadline and one next step.
    pub struct ItemView {
        required {
            /// Random, stable over restarts; what `Item` and `Act` take.
            id: String,
            /// `identity`, `place`, `renewal`, `card`, …: an open table; clients show kinds that they do not know.
            kind: String,
            /// What the person calls it: a certificate's holder, a file's name.
            name: String,
            /// Whose it is: a user's name, or the host's in the system scope.
            owner: String,
            /// `user` or `system`.
            scope: String,
            /// A word of the kind's own (`valid`, `expiring`, `expired`, `running`, …).
            state: String,
            /// How much it matters now, comparable over all kinds: see [`Level`].
            level: String,
        }
        optional {
            /// The last moment at which the next step still helps.
            deadline: String,
            /// What happens next, and who does it.
            next_step: NextStepView,
            /// What went wrong, if something did.
            problem: ProblemView,
            /// Identities: the programme by which they are renewed; absent where none fits.
            programme: String,
            /// Identities: the tool that renews them instead (`certbot`, `certmonger`); they are only watched.
            renewed_by: String,
            /// Identities: the earliest end of validity among the certificates.
            not_after: String,
            /// Identities: their current certificates, one for each role. Cards: those on them, seen now or last.
            certificates: Vec<CertificateView>,
            /// Places, cards and identities: the place as an URI, where there is just one.
            place: String,
            /// Cards: what was found on it; absent where it is in no reader and only remembered.
            card: CardView,
            /// Renewals: the item that is renewed.
            item: String,
            /// The object path of the job, if one is under way.
            job: String,
            /// Identities: the mail that invites to renew them.
            letter: LetterView,
            /// Identities: what was found out about the certificate that ends first; absent before anybody has looked.
            revocation: RevocationView,
        }
    }
}

dictionary! {
    /// Whether a certificate has been revoked, and what it stands on.
    pub struct RevocationView {
        required {
            /// `good`, `revoked` or `unknown`.
            standing: String,
            /// How far the chain above it is known: `nothing`, `part`, `root` or `anchor`.
            chain: String,
            /// When that was looked at last.
            at: String,
        }
        optional {
            /// How it was told: `ocsp` or `list`.
            way: String,
            /// Why it is not known: `unreachable`, `unproven`, …: an open table.
            why: String,
            /// Since when it is revoked.
            since: String,
            /// Why it is revoked: `key-compromise`, `hold`, …
            reason: String,
            /// When the chain ends, where that is before the certificate does.
            chain_ends: String,
        }
    }
}

dictionary! {
    /// A mail of an authority, or of somebody who says to be one.
    pub struct LetterView {
        required {
            /// The programme whose authority it is from, or says that it is.
            programme: String,
            /// `invitation`, `issued`, `payment-due`, `rejected`, `challenge` or `other`.
            kind: String,
            /// `trusted`, `doubtful` or `forged`.
            standing: String,
            /// Why it is not trusted, what weighs most first.
            reasons: Vec<ReasonView>,
            /// From whom it says that it is.
            sender: String,
            /// To which addresses it is.
            to: Vec<String>,
            /// When it came.
            arrived: String,
        }
        optional {
            /// When it was written.
            date: String,
            /// The serial number that it names, hex.
            serial: String,
            /// Where it leads; only of a trusted one.
            link: String,
            /// The item that it is about.
            item: String,
        }
    }
}

dictionary! {
    /// Why a mail is not trusted.
    pub struct ReasonView {
        required {
            /// `unsigned`, `signature-broken`, `sender-unlisted`, …: an open table.
            why: String,
            /// The header, domain or host that it is about; empty where there is nothing to name.
            about: String,
        }
    }
}

dictionary! {
    /// The one next step of an item.
    pub struct NextStepView {
        required {
            /// `you`, `administrator`, `authority` or `obnova`.
            who: String,
            /// The kind of step: `renew`, `wait`, `unlock`, `insert-card`, …
            what: String,
        }
        optional {
            /// Until when, if there is a limit.
            by: String,
            /// The action that `Act` takes for it; absent where the step is done elsewhere.
            action: String,
        }
    }
}

dictionary! {
    /// A certificate of an identity.
    pub struct CertificateView {
        required {
            /// `qualified`, `commercial`, `encryption`, … as the programme says.
            role: String,
            /// Distinguished name of the subject, RFC 4514.
            subject: String,
            /// Distinguished name of the issuer, RFC 4514.
            issuer: String,
            /// Serial number, hex.
            serial: String,
            /// Start of validity.
            not_before: String,
            /// End of validity.
            not_after: String,
            /// SHA-256 of the DER, hex.
            sha256: String,
            /// Where it was found, as an URI.
            place: String,
        }
    }
}

dictionary! {
    /// A smart card or token, as it was found without any secret.
    pub struct CardView {
        required {
            /// Its place as an URI.
            place: String,
            /// What a person may recognise it by.
            label: String,
            /// Its maker's name for it; empty where it says none.
            model: String,
            /// Its serial number; empty where it says none.
            serial: String,
            /// The reader that it is in; empty with tokens of software.
            reader: String,
            /// What it can do with keys: `moves`, `retires`, `fixed` (PIV cards), `token`.
            kind: String,
            /// Obnova looks after it.
            watched: bool,
            /// No try for the PIN is left.
            pin_blocked: bool,
            /// No try for the PUK is left.
            puk_blocked: bool,
            /// The PIN is typed on the reader.
            pin_pad: bool,
            /// The kinds of key that it makes.
            algorithms: Vec<String>,
            /// Where keys and certificates lie on it, and where there is room.
            spots: Vec<SpotView>,
        }
        optional {
            /// Tries left for the PIN, the last one included; absent where the card does not say.
            pin_tries: u32,
            /// Tries left for the PUK; absent where the card does not say.
            puk_tries: u32,
            /// How many places for new keys are free; absent where nothing limits them.
            free: u32,
        }
    }
}

dictionary! {
    /// Where on a card a key and its certificate lie.
    pub struct SpotView {
        required {
            /// A PIV slot (`9a`, `82`) or a token's `CKA_ID`, hex.
            spot: String,
            /// `free`; `key`; `unknown`: something may be there of which nothing is told; `unproven`: whether it is free can only
            /// be proved with the PIN.
            key: String,
            /// A certificate or a renewal of ours tells what it is.
            known: bool,
        }
        optional {
            /// The certificate's subject, RFC 4514.
            subject: String,
            /// The certificate's end of validity.
            not_after: String,
            /// SHA-256 of the certificate's DER, hex.
            sha256: String,
            /// What kind of key the certificate certifies.
            algorithm: String,
            /// The key demands the PIN before each use; absent where the card does not say.
            always: bool,
        }
    }
}

dictionary! {
    /// Something that was looked at to see whether a renewal can succeed.
    pub struct CheckView {
        required {
            /// `card-service`, `reader`, `card`, `pin`, `room`, …: an open table.
            check: String,
            /// What came of it, a [`Level`].
            state: String,
            /// What the sentence needs.
            args: BTreeMap<String, String>,
        }
        optional {
            /// What is wrong, where that has a name of its own.
            problem: ProblemView,
            /// The item concerned.
            item: String,
        }
    }
}

dictionary! {
    /// What went wrong, as data: `crates/text` makes the sentence and the hint out of `kind` and `args`.
    pub struct ProblemView {
        required {
            /// The kind, in kebab case; as a D-Bus error name it is in camel case behind [`crate::ERROR_PREFIX`].
            kind: String,
            /// What the sentence needs: paths, names, limits.
            args: BTreeMap<String, String>,
            /// Who must act: `you`, `administrator`, `authority` or `obnova`.
            who: String,
        }
        optional {
            /// Until when.
            by: String,
        }
    }
}

dictionary! {
    /// A job: one run of something that takes steps.
    pub struct JobView {
        required {
            /// The number in the object path.
            id: u64,
            /// The item of the job itself.
            item: String,
            /// The item that it works on.
            subject: String,
            /// `renewal`: the first kind.
            kind: String,
            /// What the person calls the thing that it works on.
            name: String,
            /// `running`, `waiting` (a person is needed), `done`, `cancelled`, `quarantined`.
            state: String,
            /// All steps in order.
            steps: Vec<StepView>,
            /// When it began.
            started: String,
        }
        optional {
            /// When it ended.
            finished: String,
            /// Why it waits.
            problem: ProblemView,
            /// What it made: paths of files, once they exist.
            made: Vec<String>,
        }
    }
}

dictionary! {
    /// A step of a job.
    pub struct StepView {
        required {
            /// `preflight`, `consent`, `generate-keys`, `request`, `verify`, `install`, `retire-old`, …
            step: String,
            /// `pending`, `active` or `done`.
            state: String,
        }
    }
}

dictionary! {
    /// A line of the log: one record of the journal.
    pub struct LogView {
        required {
            /// Position in the journal, from 1.
            sequence: u64,
            /// When it was written.
            at: String,
            /// The kind of event.
            event: String,
            /// What the sentence needs.
            args: BTreeMap<String, String>,
        }
        optional {
            /// The item concerned, if it is one that exists.
            item: String,
        }
    }
}

dictionary! {
    /// The daemon's health.
    pub struct StatusView {
        required {
            /// The daemon's version.
            version: String,
            /// `user` or `system`.
            scope: String,
            /// The worst [`Level`] of all items.
            level: String,
            /// How many certificates are watched, retired ones aside.
            watched: u64,
            /// How many items there are at each level.
            levels: BTreeMap<String, u64>,
            /// Counts every change; the number that `Changed` carries.
            revision: u64,
        }
        optional {
            /// The item that matters most now; absent when nothing needs anybody.
            first: ItemView,
            /// When the daemon next looks at the schedule.
            next_wake: String,
            /// How many mailboxes are read; absent where none is to be.
            mailboxes: u64,
        }
    }
}

dictionary! {
    /// How certificates of one kind are renewed.
    pub struct ProgrammeView {
        required {
            /// Its name.
            name: String,
            /// The roles of the certificates that are renewed together.
            roles: Vec<String>,
            /// Who issues: `self-signed`, `simulated`, …
            authority: String,
            /// What the new key is like: `same` as the old one's, or its kind.
            key: String,
            /// What a new secret must look like.
            secret: RulesView,
            /// The steps, in order.
            steps: Vec<String>,
            /// The mailboxes whose visiting cards are configured.
            visiting_cards: Vec<String>,
        }
        optional {
            /// Days of validity; absent: as many as the old certificate had, or as the authority gives.
            validity_days: u32,
        }
    }
}

dictionary! {
    /// A question to a person. It names an item, never a certificate.
    pub struct QuestionView {
        required {
            /// Names the question in `Withdraw`.
            id: String,
            /// The item that it is about.
            item: String,
            /// The item's name.
            name: String,
            /// What the answer is for: `renewal`, `watch`, …
            about: String,
        }
        optional {
            /// The object path of the job that asks.
            job: String,
            /// Secrets: `password`, `pin`, `puk` or `management-key`.
            secret: String,
            /// Secrets: what it will be used for, in order (kinds, not prose).
            uses: Vec<String>,
            /// Secrets: the answer given before was refused.
            refused: bool,
            /// Secrets: how many tries are left before the thing locks, where it counts.
            tries_left: u32,
            /// New secrets: what they must look like.
            rules: RulesView,
            /// Choices: what there is to choose from.
            choices: Vec<String>,
            /// Consent: the steps that follow, in order.
            steps: Vec<String>,
            /// What the sentence needs: paths, dates.
            args: BTreeMap<String, String>,
        }
    }
}

impl QuestionView {
    /// The page that an agent opens after a yes: the argument `link`, if it is an address that agents open.
    pub fn link(&self) -> Option<&str> {
        self.args.as_ref()?.get("link").map(String::as_str).filter(|link| link.starts_with("https://"))
    }
}

dictionary! {
    /// What a new secret must look like.
    pub struct RulesView {
        required {
            /// The fewest characters.
            min: u32,
            /// The most characters.
            max: u32,
            /// Decimal digits and nothing else.
            digits_only: bool,
        }
    }
}

dictionary! {
    /// What may be said with `Act` and `Watch`.
    pub struct Options {
        optional {
            /// `renew` and `backup`: path of the new file. `adopt`: the place of the certificate, an URI.
            to: String,
            /// `snooze`: until when, RFC 3339.
            until: String,
        }
    }
}

dictionary! {
    /// How a mailbox on a server is opened, where that is not by a password in the person's keyring.
    pub struct MailboxOptions {
        optional {
            /// `password`, `xoauth2` or `oauthbearer`: with the latter two, the secret is an access token.
            login: String,
            /// A shell command whose first line is the secret.
            command: String,
            /// The name of systemd's credential that is the secret.
            credential: String,
            /// The path of a file (PEM) with those who may have signed the server's certificate.
            authority: String,
        }
    }
}

dictionary! {
    /// What an agent says of itself when it registers.
    pub struct AgentOptions {
        optional {
            /// It shows notifications (the tray does, a terminal does not).
            notifies: bool,
        }
    }
}

/// How much an item matters now. Ordered: the icon shows the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing to do.
    #[default]
    Ok,
    /// Good to know.
    Notice,
    /// Something should be done in time.
    Warning,
    /// Something must be done now.
    Critical,
}

impl Level {
    /// All levels, the least first.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Notice, Self::Warning, Self::Critical];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The level of a word on the wire; one that a newer daemon may send is taken as a notice.
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|level| level.as_str() == word).unwrap_or(Self::Notice)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use zbus::zvariant::{LE, OwnedValue, Value, serialized::Context, to_bytes};

    use super::*;

    #[test]
    fn a_view_with_keys_of_a_newer_daemon_is_read() {
        let view = ItemView {
            id: "a1".into(),
            next_step: Some(NextStepView { who: "you".into(), what: "renew".into(), ..Default::default() }),
            ..Default::default()
        };
        let bytes = to_bytes(Context::new_dbus(LE, 0), &view).expect("encode");
        let (mut generic, _): (HashMap<String, OwnedValue>, _) = bytes.deserialize().expect("decode as dictionary");
        assert!(!generic.contains_key("deadline"), "what is not known is absent");
        generic.insert("from_the_future".into(), Value::new(vec![1_u32, 2]).try_into().expect("owned"));
        let bytes = to_bytes(Context::new_dbus(LE, 0), &generic).expect("encode again");
        let (read, _): (ItemView, _) = bytes.deserialize().expect("decode as view");
        assert_eq!(read, view);
    }

    #[test]
    fn levels_keep_their_order_and_their_words() {
        assert!(Level::Ok < Level::Notice && Level::Notice < Level::Warning && Level::Warning < Level::Critical);
        for level in Level::ALL {
            assert_eq!(Level::of(level.as_str()), level);
        }
        assert_eq!(Level::of("purple"), Level::Notice);
    }
}
