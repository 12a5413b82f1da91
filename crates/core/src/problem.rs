//! What went wrong, as data. The sentence and the advice are made of it where a person reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::item::Who;

/// What went wrong: a kind and what its sentence needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[error("{} {:?}", self.kind(), self.args())]
#[expect(missing_docs, reason = "the arguments are what their names say; the sentences explain them")]
pub enum Problem {
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
    /// The renewal of this item is already under way.
    AlreadyRenewing { job: String },
    /// The item has been renewed.
    AlreadyRenewed {},
    /// The job is not waiting for anything.
    NotWaiting { job: String },
    // --- the person ---
    /// The person (or a script's answers) said no.
    Refused {},
    /// Nobody can be asked: no tray, no terminal.
    NoAgent {},
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
    // --- renewing ---
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
        self.fields().remove("kind").unwrap_or_default()
    }

    /// What the sentence needs.
    pub fn args(&self) -> BTreeMap<String, String> {
        let mut fields = self.fields();
        fields.remove("kind");
        fields
    }

    /// Who must act.
    pub fn who(&self) -> Who {
        match self {
            Self::HelperFailed { .. }
            | Self::Internal { .. }
            | Self::Quarantined { .. }
            | Self::NotAuthorized {}
            | Self::JournalDamaged { .. }
            | Self::JournalNewer { .. }
            | Self::StateUnusable { .. } => Who::Administrator,
            Self::NoProgramme {} => Who::Authority,
            _ => Who::You,
        }
    }

    fn fields(&self) -> BTreeMap<String, String> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(fields)) => {
                fields.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
            }
            _ => BTreeMap::new(),
        }
    }
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
}
