//! What went wrong, as data. The sentence and the advice are made of it where a person reads them.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::item::Who;

/// Makes the enum of these kinds, whose arguments are all texts, and what turns it into its parts and back. Deriving that from
/// serde takes twenty times the code, all of it resident: a hundred kilobytes in every process that reads a problem.
macro_rules! problems {
    ($($(#[$about:meta])* $kind:ident { $($argument:ident: String),* },)*) => {
        /// What went wrong: a kind and what its sentence needs.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("{} {:?}", self.kind(), self.args())]
        #[expect(missing_docs, reason = "the arguments are what their names say; the sentences explain them")]
        pub enum Problem {
            $($(#[$about])* $kind { $($argument: String),* },)*
        }

        impl Problem {
            /// The name of the variant, and the arguments.
            fn parts(&self) -> (&'static str, Vec<(&'static str, &String)>) {
                match self {
                    $(Self::$kind { $($argument),* } => (stringify!($kind), vec![$((stringify!($argument), $argument)),*]),)*
                }
            }

            /// The problem of these parts; `None` if it is none, or `take` has not all of its arguments.
            fn of(kind: &str, mut take: impl FnMut(&str) -> Option<String>) -> Option<Self> {
                $(if kind == kebab(stringify!($kind)) {
                    return Some(Self::$kind { $($argument: take(stringify!($argument))?),* });
                })*
                None
            }

            /// One of each kind, the arguments being their own names.
            #[cfg(test)]
            fn all() -> Vec<Self> {
                vec![$(Self::$kind { $($argument: stringify!($argument).into()),* }),*]
            }
        }
    };
}

problems! {
    // --- what was asked for ---
    /// No item of this id.
    NoSuchItem { id: String },
    /// The item cannot do this in its state.
    NotPossible { action: String, state: String },
    /// The text is no place.
    InvalidPlace { place: String, reason: String },
    /// An argument that cannot be meant.
    InvalidArgument { argument: String, value: String },
    /// The caller may not do this.
    NotAuthorized {},
    /// There is no keyring, or it cannot be used.
    NoKeyring { detail: String },
    /// The person's keyring stays locked.
    KeyringClosed {},
    /// A credential that the configuration names was not handed over (`missing`), or cannot be read; the command makes it.
    NoCredential { credential: String, path: String, detail: String, command: String },
    /// A credential does not open what the configuration says; the command makes it anew.
    WrongCredential { credential: String, path: String, command: String },
    /// Nothing here has a password.
    NoPassword { name: String },
    /// The renewal of this item is already under way.
    AlreadyRenewing { job: String },
    /// The item has been renewed.
    AlreadyRenewed {},
    /// The job is not waiting for anything.
    NotWaiting { job: String },
    /// Nothing there takes the place of the item's certificate: none of its holder that is newer, with its key.
    NoSuccessor { path: String },
    /// The key lies on a card, which gives it to nobody.
    KeyOnCard { card: String },
    /// A mistake in a programme.
    ProgrammeMistake { file: String, line: String, column: String, message: String },
    /// This programme cannot be rehearsed yet.
    NoRehearsal { name: String },
    /// No programme is called so.
    NoSuchProgramme { name: String },
    // --- the person ---
    /// The person (or a script's answers) said no.
    Refused {},
    /// Nobody can be asked: no tray, no terminal.
    NoAgent {},
    /// The person is to do this in another program; `copy` is to be copied there (`none`: nothing).
    ByHand { instruction: String, copy: String },
    /// The consent was not given.
    ConsentRefused {},
    /// The secret does not open it.
    WrongSecret { path: String },
    /// A secret is needed to read it.
    SecretNeeded { path: String },
    /// The new secret breaks the rules.
    SecretRules { min: String, max: String, digits: String },
    // --- places ---
    /// Nothing is there.
    PlaceMissing { path: String },
    /// We may not read it; the command makes it readable.
    PlaceDenied { path: String, command: String },
    /// Neither a regular file nor a directory.
    PlaceNotRegular { path: String },
    /// Larger than anything that holds certificates.
    PlaceTooLarge { path: String, limit: String },
    /// It cannot be understood.
    PlaceBroken { path: String, detail: String },
    /// More files than are looked at.
    TooManyFiles { path: String, limit: String },
    /// No private key beside the certificate.
    NoKey { path: String },
    /// The private key beside it belongs to another certificate.
    KeyMismatch { path: String },
    /// The file has changed since the renewal began.
    ChangedMeanwhile { path: String },
    // --- cards ---
    /// The card is in no reader.
    CardAbsent { card: String },
    /// The card was pulled while it worked.
    CardRemoved { card: String },
    /// Another program holds the card.
    CardBusy { card: String, program: String },
    /// Another program has opened the card with its PIN: the counter cannot be read.
    CardOpened { card: String },
    /// The reader is for the session in front.
    NotInFront { card: String },
    /// No service for cards runs.
    NoCardService { detail: String },
    /// The PIN is wrong; so many tries are left, where the card says.
    WrongPin { card: String, left: String },
    /// The PIN is blocked.
    PinBlocked { card: String },
    /// The PUK is wrong; so many tries are left, where the card says.
    WrongPuk { card: String, left: String },
    /// The PUK is blocked.
    PukBlocked { card: String },
    /// The management key is wrong, and is not tried again.
    WrongManagementKey { card: String },
    /// The card has too few free places.
    CardFull { card: String, needed: String, free: String },
    /// The card would have to destroy the old key (what a PIV card can do: `retires`, `fixed`).
    CardKeepsNothing { card: String, can: String },
    /// The card makes no keys of this kind.
    CardAlgorithm { card: String, algorithm: String },
    /// The old key is not on the card.
    CardKeyGone { card: String, spot: String },
    /// Something lies on the card where the new key should go.
    CardOccupied { card: String, spot: String },
    /// The card cannot do this.
    CardUnable { card: String, what: String },
    /// Nobody touched the card in time.
    NotTouched { card: String },
    /// The card answered what makes no sense.
    CardFailed { card: String, detail: String },
    /// The maker's module ended, or did not answer in time.
    ModuleFailed { card: String, module: String, detail: String },
    /// The new key failed its trial on the card.
    CardTrialFailed { card: String, spot: String },
    /// The certificates that belong together are not all here.
    TwinMissing { role: String },
    /// The certificates that belong together lie in different places.
    TwinsApart { role: String },
    // --- the authority ---
    /// The authority has not issued yet.
    NotYetIssued { order: String },
    /// The authority refuses.
    AuthorityRefused { reason: String },
    /// The authority at this host has not issued yet; it is asked again at this time.
    AwaitingIssue { host: String, again: String },
    /// The person renews at the authority's page (`none`: nobody knows where that is) on such a computer: the new certificates
    /// are awaited.
    AtPage { page: String, computer: String },
    /// The request has been sent to this address; what comes of it comes by mail.
    AwaitingMail { address: String },
    /// Requests go by mail, and no mail server is configured.
    NoMailServer {},
    /// The person's mail server cannot be reached, or did not take the mail: nothing was sent.
    MailServer { server: String, detail: String },
    /// The person's mail server refuses user or password.
    MailLogin { server: String, user: String },
    /// The authority's server cannot be reached.
    AuthorityUnreachable { host: String, detail: String },
    /// Whoever answers at the authority's address does not prove to be it.
    AuthorityUntrusted { host: String, detail: String },
    /// The authority gave no whole answer in time.
    AuthoritySilent { host: String, seconds: String },
    /// The authority's server does not work now; at this time it may be asked again.
    AuthorityBusy { host: String, status: String, again: String },
    /// The authority's server sends us elsewhere.
    AuthorityRedirects { host: String, to: String },
    /// The authority's answer makes no sense.
    AuthorityAnswer { host: String, detail: String },
    /// The authority wants something in requests that they do not have.
    AuthorityWants { host: String, what: String },
    /// It cannot be told whether the request has reached the authority.
    MaybeSent { host: String },
    /// The authority has revoked the certificate, since then and for this reason.
    Revoked { since: String, reason: String },
    /// A certificate above this one ends before it does, and all that it has certified with it.
    AuthorityEnds { authority: String, ends: String },
    // --- mails ---
    /// The file is no mail.
    NoMail { path: String },
    /// The mail is longer than those that are read.
    MailTooLarge { path: String, limit: String },
    /// The mail server cannot be reached, or has ended the connection.
    MailUnreachable { host: String, detail: String },
    /// Whoever answers at the mail server's address does not prove to be it.
    MailUntrusted { host: String, detail: String },
    /// The mail server offers no encryption, or somebody on the way takes it away.
    MailBare { host: String },
    /// The mail server does not let the person in.
    MailRefused { host: String, user: String, detail: String },
    /// That by which one logs in to the mail server is not known.
    MailSecret { host: String, user: String, detail: String },
    /// The mail server's answers make no sense.
    MailAnswer { host: String, detail: String },
    /// The domain of the address names no mail server.
    MailServerUnknown { address: String },
    /// The domain of the address names a mail server elsewhere, which is for the person to believe; the mailbox there.
    MailServerElsewhere { address: String, mailbox: String },
    /// Mailboxes of this kind are not read.
    MailPop3 {},
    /// The directory is no Maildir: it has no `new` and `cur`.
    NoMaildir { path: String },
    /// A programme has a mistake, at this place in its file.
    ProgrammeMistaken { detail: String },
    /// The programme says nothing of mails.
    ProgrammeSilent { path: String },
    // --- renewing ---
    /// Another tool renews it, and calls it so.
    RenewedByTool { tool: String, called: String },
    /// The tool that renews it should have done so by now.
    ToolLate { tool: String, called: String },
    /// No programme renews it.
    NoProgramme {},
    /// No new key of this kind is made.
    UnsupportedKey { algorithm: String },
    /// A file stands where the new one should go.
    TargetExists { path: String },
    /// The directory of the new file does not exist.
    TargetMissing { path: String },
    /// We may not write there.
    TargetDenied { path: String },
    /// A command that must learn of the new certificate failed.
    HookFailed { command: String, detail: String },
    /// An executable that is told of notices failed, or is not run.
    NotifyFailed { command: String, detail: String },
    /// A program that must learn of the new certificate runs, and cannot be told meanwhile.
    ProgramRunning { program: String },
    /// The program's certificates are behind a password of its own.
    PrimaryPassword { program: String },
    /// The program cannot be told.
    ProgramUntold { program: String, detail: String },
    /// Nothing is installed by which programs could be told.
    NssToolsMissing {},
    /// The file belongs to another user: a new one in its place would be ours.
    OwnerNotKept { path: String, owner: String },
    /// The disk is full.
    DiskFull { path: String },
    /// The file system is read-only.
    ReadOnly { path: String },
    /// The journal's disk is full.
    JournalFull { path: String },
    /// The journal is not what was written.
    JournalDamaged { path: String, detail: String },
    /// A newer version has written the journal.
    JournalNewer { path: String },
    /// The state directory, or something in it, cannot be opened or written.
    StateUnusable { path: String, detail: String },
    /// Another daemon works on the state directory.
    StateLocked { path: String },
    /// Another program has the daemon's name on the bus.
    NameTaken { name: String },
    /// The bus cannot be reached, or has gone away.
    BusLost { detail: String },
    /// It cannot be told whether the step has happened.
    Unclear { step: String, path: String },
    /// The new certificate fails a check.
    NotVerified { check: String },
    /// obnova-helper failed.
    HelperFailed { detail: String },
    /// The journal of this job contradicts itself.
    Quarantined { job: String, reason: String },
    /// A mistake of ours.
    Internal { detail: String },
}

impl Problem {
    /// The kind, in kebab case.
    pub fn kind(&self) -> String {
        kebab(self.parts().0)
    }

    /// What the sentence needs.
    pub fn args(&self) -> BTreeMap<String, String> {
        self.parts().1.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }

    /// Who must act.
    pub fn who(&self) -> Who {
        match self {
            Self::HelperFailed { .. }
            | Self::ModuleFailed { .. }
            | Self::NoCardService { .. }
            | Self::Internal { .. }
            | Self::Quarantined { .. }
            | Self::NotAuthorized {}
            | Self::HookFailed { .. }
            | Self::NotifyFailed { .. }
            | Self::NssToolsMissing {}
            | Self::OwnerNotKept { .. }
            | Self::NoCredential { .. }
            | Self::RenewedByTool { .. }
            | Self::ToolLate { .. }
            | Self::WrongCredential { .. }
            | Self::JournalDamaged { .. }
            | Self::JournalNewer { .. }
            | Self::StateUnusable { .. } => Who::Administrator,
            Self::NoProgramme {}
            | Self::NotYetIssued { .. }
            | Self::AwaitingIssue { .. }
            | Self::AwaitingMail { .. }
            | Self::AuthorityBusy { .. }
            | Self::AuthorityRefused { .. } => Who::Authority,
            Self::MailUnreachable { .. } => Who::Obnova,
            _ => Who::You,
        }
    }
}

/// The kind and the arguments, side by side.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (_, arguments) = self.parts();
        let mut map = serializer.serialize_map(Some(arguments.len() + 1))?;
        map.serialize_entry("kind", &self.kind())?;
        arguments.into_iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = BTreeMap::<String, String>::deserialize(deserializer)?;
        let kind = fields.remove("kind").ok_or_else(|| D::Error::missing_field("kind"))?;
        let problem = Self::of(&kind, |argument| fields.remove(argument));
        problem.ok_or_else(|| D::Error::custom(format_args!("no problem of the kind `{kind}` with these arguments")))
    }
}

/// The name of a variant as it travels: `NoSuchItem` as `no-such-item`.
fn kebab(variant: &str) -> String {
    let mut kind = String::with_capacity(variant.len() + 4);
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !kind.is_empty() {
            kind.push('-');
        }
        kind.push(letter.to_ascii_lowercase());
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_arguments_come_apart() {
        let problem = Problem::PlaceTooLarge { path: "/x".into(), limit: "1 MiB".into() };
        assert_eq!(problem.kind(), "place-too-large");
        assert_eq!(
            problem.args().into_iter().collect::<Vec<_>>(),
            [("limit".to_owned(), "1 MiB".to_owned()), ("path".to_owned(), "/x".to_owned())]
        );
        assert_eq!(Problem::Refused {}.kind(), "refused");
    }

    #[test]
    fn each_survives_being_written() {
        let all = Problem::all();
        assert!(all.len() > 60, "all of them");
        for problem in all {
            let written = serde_json::to_string(&problem).expect("JSON");
            assert_eq!(serde_json::from_str::<Problem>(&written).expect("read again"), problem, "{written}");
            let names: Vec<String> = problem.args().into_keys().collect();
            assert_eq!(problem.args().into_values().collect::<Vec<_>>(), names);
            let kind = problem.kind();
            assert!(written.starts_with(&format!(r#"{{"kind":"{kind}""#)), "{written}");
            assert_eq!(Problem::of(&kind, |_| None).is_none(), !names.is_empty(), "{kind} without its arguments");
        }
        for bad in ["{}", r#"{"kind":"nothing"}"#, r#"{"kind":"no-key"}"#, r#"{"kind":"no-key","path":1}"#, r#""refused""#] {
            serde_json::from_str::<Problem>(bad).expect_err(bad);
        }
        let old = r#"{"kind":"place-too-large","path":"/x","limit":"1 MiB"}"#;
        let problem = Problem::PlaceTooLarge { path: "/x".into(), limit: "1 MiB".into() };
        assert_eq!(serde_json::to_string(&problem).expect("JSON"), old, "as it always was");
    }
}
