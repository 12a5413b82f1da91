//! A copy of a certificate and its key, under a password of its own, opened again before anybody is told that it is there.

use obnova_api::{QuestionView, RulesView};
use obnova_core::job::Old;
use obnova_core::programme::SecretRule;
use obnova_core::{Certificate, Place, Problem};

use super::sitting::{TRIES, opened};
use super::{Tools, trouble};
use crate::bus::agents::Requester;
use crate::helper::{Bytes, Format, HelperError, Product};

/// A file with a key: its owner alone.
const PRIVATE: u32 = 0o600;

/// What is copied where.
pub(crate) struct Backup {
    /// The item.
    pub(crate) item: String,
    /// What the person calls it.
    pub(crate) name: String,
    /// The certificate, where its key is.
    pub(crate) old: Old,
    /// What a new secret must look like, and how it is called.
    pub(crate) rule: SecretRule,
    /// The new PKCS#12 file.
    pub(crate) to: Place,
}

/// Writes the copy; never over a file that is there.
pub(super) async fn copy(tools: &Tools, backup: &Backup, whom: &Requester) -> Result<(), Problem> {
    let (from, to) = (&backup.old.place, backup.to.path());
    if from.scheme().is_card() {
        return Err(Problem::KeyOnCard { card: from.name() });
    }
    if to.symlink_metadata().is_ok() {
        return Err(Problem::TargetExists { path: to.display().to_string() });
    }
    let key = crate::stores::key_file(from).ok_or_else(|| Problem::NoKey { path: from.shown() })?;
    let der = tools.engine.journal().der(backup.old.certificate).await;
    let der = der.map_err(|error| crate::engine::journal_problem(&error))?;
    let der = der.ok_or_else(|| Problem::ChangedMeanwhile { path: from.shown() })?;
    let opens = match tools.helper.inspect_key(&key, None).await {
        Ok(_) => None,
        Err(HelperError::SecretNeeded) => {
            let mut question = question(backup, &["open-old"]);
            question.args = Some([("path".to_owned(), key.display().to_string())].into());
            Some(opened(tools, whom, question, &key).await?)
        }
        Err(error) => return Err(trouble::helper(&error, &key)),
    };
    let mut question = question(backup, &["protect-new"]);
    let rule = &backup.rule;
    question.rules = Some(RulesView { min: rule.min_length, max: rule.max_length, digits_only: rule.digits_only });
    question.args = Some([("path".to_owned(), to.display().to_string())].into());
    let mut seals = None;
    for _ in 0..TRIES {
        let new = tools.agents.new_secret(whom, &question).await?;
        if std::str::from_utf8(new.expose()).is_ok_and(|text| rule.permits(text)) {
            seals = Some(new);
            break;
        }
        question.refused = Some(true);
    }
    let seals = seals.ok_or(Problem::Refused {})?;

    let directory = tools.pending.join(format!("backup-{}", crate::random::hex(8)));
    let staging = Staging::make(&directory)?;
    let staged = directory.join("copy.p12");
    let certificate = Certificate::from_der(&der).map_err(|error| Problem::Internal { detail: error.to_string() })?;
    let product = Product {
        key: key.as_path().into(),
        certificate: Bytes(der.clone()),
        chain: Vec::new(),
        friendly_name: Some(certificate.name().to_owned()),
        out: staged.as_path().into(),
        format: Format::Pkcs12,
    };
    // Packaging opens what it has written, and compares key and certificate.
    let digest = tools.helper.package(product, opens.as_ref(), Some(&seals)).await;
    let digest = digest.map_err(|error| trouble::helper(&error, &key))?;
    let placed = tools.helper.place(&staged, &to, PRIVATE, digest).await;
    placed.map_err(|error| trouble::helper(&error, &to))?;
    drop(staging);
    // What counts is the file where it now is.
    tools.helper.trial(&to, &der, Some(&seals)).await.map_err(|error| trouble::helper(&error, &to))
}

fn question(backup: &Backup, uses: &[&str]) -> QuestionView {
    QuestionView {
        id: crate::random::hex(8),
        item: backup.item.clone(),
        name: backup.name.clone(),
        about: "backup".into(),
        secret: Some(backup.rule.kind.as_str().into()),
        uses: Some(uses.iter().map(|used| (*used).to_owned()).collect()),
        ..QuestionView::default()
    }
}

/// A directory that is gone when this is.
struct Staging<'a>(&'a std::path::Path);

impl<'a> Staging<'a> {
    fn make(directory: &'a std::path::Path) -> Result<Self, Problem> {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map(|()| Self(directory)).map_err(|error| trouble::io(&error, directory))
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(self.0) {
            tracing::warn!(%error, "a staged copy, which is protected, stays in the state directory");
        }
    }
}
