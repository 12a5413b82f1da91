//! One sitting of the person at their secret: asked once, checked at once, kept in locked memory for a few minutes at most.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obnova_api::{QuestionView, RulesView};
use obnova_core::job::Home;
use obnova_core::programme::{NewSecret, SecretRule};
use obnova_core::{Fingerprint, Place, Problem, Scheme};
use obnova_secret::Secret;

use super::at_card::Opened;
use super::steps::Ground;
use super::{Tools, trouble};
use crate::bus::agents::Requester;
use crate::helper::HelperError;
use crate::outgoing::Outgoing;

/// How long a secret is kept at the most.
pub(crate) const LONGEST: Duration = Duration::from_mins(5);

/// How often a wrong answer is asked again within one sitting. A file counts no tries; an agent gone mad is stopped here.
pub(crate) const TRIES: usize = 20;

/// A sitting.
pub(super) struct Sitting {
    /// Who is asked.
    pub(super) whom: Requester,
    /// For the old certificate of this index.
    secret: Option<(usize, Arc<Secret>, Instant)>,
    /// What opens the old key's file of this index; `None` inside: nothing protects it.
    old: Option<(usize, Option<Arc<Secret>>, Instant)>,
    /// Of the person's mail server; `None` inside: nobody logs in.
    mail: Option<(Option<Arc<Secret>>, Instant)>,
    /// For a card.
    pub(super) opened: Opened,
    /// A PIN that was handed over has been tried on it.
    pub(super) handed_over: bool,
}

impl Sitting {
    pub(super) fn new(whom: Requester) -> Self {
        Self { whom, secret: None, old: None, mail: None, opened: Opened::default(), handed_over: false }
    }

    /// The secret that protects the new key; `None` where none does.
    ///
    /// Before the key exists, the old file's secret is asked for and tried on the old file; whether it serves the new one,
    /// too, is the programme's rule. Once the key exists, its own secret is asked for and tried on it.
    pub(super) async fn key_secret(&mut self, ground: &Ground<'_>) -> Result<Option<&Secret>, Problem> {
        let (_, protected) = ground.preflight()?;
        if !protected {
            return Ok(None);
        }
        let member = ground.job.member();
        if self.secret.as_ref().is_some_and(|(of, _, since)| *of != member || since.elapsed() > LONGEST) {
            self.secret = None;
        }
        if self.secret.is_none() {
            let rule = ground.programme().await?.secret;
            let there = matches!(ground.new_key()?.home, Home::There(_));
            let secret = if there || ground.job.public_key(ground.job.member()).is_some() {
                match self.old_that_opens_new(ground).await {
                    Some(old) => old,
                    None => self.secret_of_new_key(ground, &rule).await?,
                }
            } else {
                self.secret_for_new_key(ground, &rule).await?
            };
            self.secret = Some((member, secret, Instant::now()));
        }
        Ok(self.secret.as_ref().map(|(_, secret, _)| &**secret))
    }

    /// The secret that opens the old key's file, tried on it; `None` where nothing protects it. Where it protects the new key, too,
    /// it is asked for once.
    pub(super) async fn old_secret(&mut self, ground: &Ground<'_>) -> Result<Option<Arc<Secret>>, Problem> {
        let member = ground.job.member();
        if let Some((_, secret, _)) = self.old.as_ref().filter(|(of, _, since)| *of == member && since.elapsed() <= LONGEST) {
            return Ok(secret.clone());
        }
        self.old = None;
        let new = self.secret.as_ref().filter(|(of, _, since)| *of == member && since.elapsed() <= LONGEST);
        let new = new.map(|(_, secret, _)| Arc::clone(secret));
        let secret = if is_open(ground).await? {
            None
        } else if let Some(new) = new
            && opens_old(ground, &new).await?
        {
            Some(new)
        } else {
            let rule = ground.programme().await?.secret;
            Some(Arc::new(self.secret_of_old_key(ground, &rule, &["open-old", "sign-requests"]).await?))
        };
        self.old = Some((member, secret.clone(), Instant::now()));
        Ok(secret)
    }

    /// The password of the person's mail server, from its file or asked for; `None` where nobody logs in.
    pub(super) async fn mail_password(
        &mut self,
        ground: &Ground<'_>,
        outgoing: &Outgoing,
    ) -> Result<Option<Arc<Secret>>, Problem> {
        if let Some((password, _)) = self.mail.as_ref().filter(|(_, since)| since.elapsed() <= LONGEST) {
            return Ok(password.clone());
        }
        let password = match (&outgoing.user, outgoing.password()?) {
            (None, _) => None,
            (Some(_), Some(password)) => Some(Arc::new(password)),
            (Some(_), None) => {
                let question = QuestionView {
                    id: crate::random::hex(8),
                    secret: Some("password".into()),
                    uses: Some(vec!["send-mail".to_owned()]),
                    args: Some([("account".to_owned(), outgoing.account())].into()),
                    ..ground.matter()
                };
                Some(Arc::new(ground.tools.agents.secret(&self.whom, &question).await?))
            }
        };
        self.mail = Some((password.clone(), Instant::now()));
        Ok(password)
    }

    /// The mail server has refused it.
    pub(super) fn forget_mail_password(&mut self) {
        self.mail = None;
    }

    async fn secret_for_new_key(&mut self, ground: &Ground<'_>, rule: &SecretRule) -> Result<Arc<Secret>, Problem> {
        let uses: &[&str] =
            if rule.new == NewSecret::Keep || ground.job.start.auto { &["open-old", "protect-new"] } else { &["open-old"] };
        let old = Arc::new(self.secret_of_old_key(ground, rule, uses).await?);
        // It is needed again only where the old key signs.
        if ground.programme().await?.authority.takes_requests() {
            self.old = Some((ground.job.member(), Some(Arc::clone(&old)), Instant::now()));
        }
        let keeps_rules = std::str::from_utf8(old.expose()).is_ok_and(|text| rule.permits(text));
        // Where nobody is there the old one serves the new file, too.
        if (rule.new == NewSecret::Keep || ground.job.start.auto) && keeps_rules {
            return Ok(old);
        }
        drop(old);
        let mut question = question(ground, rule, &["protect-new"]);
        question.rules = Some(RulesView { min: rule.min_length, max: rule.max_length, digits_only: rule.digits_only });
        for _ in 0..TRIES {
            let new = ground.tools.agents.new_secret(&self.whom, &question).await?;
            if std::str::from_utf8(new.expose()).is_ok_and(|text| rule.permits(text)) {
                return Ok(Arc::new(new));
            }
            question.refused = Some(true);
        }
        Err(Problem::Refused {})
    }

    async fn secret_of_old_key(&self, ground: &Ground<'_>, rule: &SecretRule, uses: &[&str]) -> Result<Secret, Problem> {
        let place = &ground.old()?.place;
        // Some files have no password at all. Trying costs nothing: a file counts no tries.
        if place.scheme() == Scheme::Pkcs12 {
            let empty = Secret::from_slice(&mut []).map_err(|error| Problem::Internal { detail: error.to_string() })?;
            if opens_old(ground, &empty).await? {
                return Ok(empty);
            }
        }
        let (given, failed) = at_hand(ground, place).await?;
        if let Some(given) = given
            && opens_old(ground, &given).await?
        {
            return Ok(given);
        }
        let mut question = question(ground, rule, uses);
        question.args = Some([("path".to_owned(), place.path().display().to_string())].into());
        for _ in 0..TRIES {
            let secret = ground.tools.agents.secret(&self.whom, &question).await;
            let secret = secret.map_err(|problem| told_instead(problem, failed.as_ref()))?;
            if opens_old(ground, &secret).await? {
                return Ok(secret);
            }
            question.refused = Some(true);
        }
        Err(Problem::WrongSecret { path: place.path().display().to_string() })
    }

    /// What has opened the old key in this sitting, if it opens the new key's file, too.
    async fn old_that_opens_new(&self, ground: &Ground<'_>) -> Option<Arc<Secret>> {
        let asked =
            |(of, _, since): &&(usize, Option<Arc<Secret>>, Instant)| *of == ground.job.member() && since.elapsed() <= LONGEST;
        let old = self.old.as_ref().filter(asked)?.1.clone()?;
        // Whatever else is wrong with the file is told when its own secret is asked for.
        ground.tools.helper.inspect_key(&ground.key_file(), Some(&old)).await.is_ok().then_some(old)
    }

    async fn secret_of_new_key(&self, ground: &Ground<'_>, rule: &SecretRule) -> Result<Arc<Secret>, Problem> {
        let new = ground.new_key()?;
        let (key, known, uses): (_, _, &[&str]) = match &new.home {
            Home::There(_) => (ground.key_there()?, &new.place, &["try"]),
            Home::File(_) | Home::Card(_) | Home::Others(_) => (ground.key_file(), &ground.old()?.place, &["protect-new"]),
        };
        let (given, failed) = at_hand(ground, known).await?;
        if let Some(given) = given
            && opens_key(ground.tools, &given, &key).await?
        {
            return Ok(Arc::new(given));
        }
        let mut question = question(ground, rule, uses);
        question.args = Some([("path".to_owned(), known.path().display().to_string())].into());
        let opened = opened(ground.tools, &self.whom, question, &key).await;
        opened.map(Arc::new).map_err(|problem| told_instead(problem, failed.as_ref()))
    }
}

/// The secret that opens this file with a key: asked for until it does. Where none or an empty one does, nobody is asked.
pub(super) async fn opened(tools: &Tools, whom: &Requester, mut question: QuestionView, key: &Path) -> Result<Secret, Problem> {
    let empty = Secret::from_slice(&mut []).map_err(|error| Problem::Internal { detail: error.to_string() })?;
    if tools.helper.inspect_key(key, Some(&empty)).await.is_ok() {
        return Ok(empty);
    }
    for _ in 0..TRIES {
        let secret = tools.agents.secret(whom, &question).await?;
        if opens_key(tools, &secret, key).await? {
            return Ok(secret);
        }
        question.refused = Some(true);
    }
    let shown = question.args.and_then(|mut args| args.remove("path")).unwrap_or_else(|| key.display().to_string());
    Err(Problem::WrongSecret { path: shown })
}

/// Whether this secret opens a file with a key.
async fn opens_key(tools: &Tools, secret: &Secret, key: &Path) -> Result<bool, Problem> {
    match tools.helper.inspect_key(key, Some(secret)).await {
        Ok(_) => Ok(true),
        Err(HelperError::WrongSecret | HelperError::UnfitSecret) => Ok(false),
        Err(error) => Err(trouble::helper(&error, key)),
    }
}

/// What a credential, or else the person's keyring, has for a place; and what is to be told if that opens nothing and nobody is there.
async fn at_hand(ground: &Ground<'_>, place: &Place) -> Result<(Option<Secret>, Option<Problem>), Problem> {
    match ground.tools.credentials.find(place) {
        Some((named, Ok(secret))) => return Ok((Some(secret), Some(named.wrong(place)))),
        Some((_, Err(problem))) => return Ok((None, Some(problem))),
        None => {}
    }
    let known = place.clone();
    if !ground.tools.engine.read(move |state| state.world.remembers(&known)).await? {
        return Ok((None, None));
    }
    let found = ground.tools.keyring.find(place, true).await;
    if let Err(problem) = &found {
        // The person is asked instead.
        tracing::info!(kind = problem.kind(), "the keyring does not help");
    }
    Ok((found.ok().flatten(), None))
}

/// Where nobody is there to ask, it is told why somebody had to be asked.
pub(super) fn told_instead(problem: Problem, failed: Option<&Problem>) -> Problem {
    match (problem, failed) {
        (Problem::NoAgent {}, Some(failed)) => failed.clone(),
        (problem, _) => problem,
    }
}

/// Whether nothing protects the old key's file.
async fn is_open(ground: &Ground<'_>) -> Result<bool, Problem> {
    let place = &ground.old()?.place;
    if place.scheme() == Scheme::Pkcs12 {
        return Ok(false);
    }
    let no_key = || Problem::NoKey { path: place.path().display().to_string() };
    let key = crate::stores::key_file(place).ok_or_else(no_key)?;
    match ground.tools.helper.inspect_key(&key, None).await {
        Ok(_) => Ok(true),
        Err(HelperError::SecretNeeded) => Ok(false),
        Err(error) => Err(trouble::helper(&error, &key)),
    }
}

/// Whether this secret opens the old file; an error if the old key is not there any more.
async fn opens_old(ground: &Ground<'_>, secret: &Secret) -> Result<bool, Problem> {
    let old = ground.old()?;
    let path = old.place.path();
    let changed = || Problem::ChangedMeanwhile { path: path.display().to_string() };
    let opened = if old.place.scheme() == Scheme::Pkcs12 {
        ground.tools.helper.open_pkcs12(&path, secret).await.map(|opened| {
            opened.certificates.iter().any(|found| found.has_key && Fingerprint::of(&found.der.0) == old.certificate)
        })
    } else {
        let public_key = ground.old_public_key().await?;
        let key = crate::stores::key_file(&old.place).ok_or_else(changed)?;
        let inspected = ground.tools.helper.inspect_key(&key, Some(secret)).await;
        inspected.map(|key| Fingerprint::of(&key.spki.0) == public_key)
    };
    match opened {
        Ok(true) => Ok(true),
        Ok(false) => Err(changed()),
        Err(HelperError::WrongSecret | HelperError::UnfitSecret) => Ok(false),
        Err(error) => Err(trouble::helper(&error, &path)),
    }
}

fn question(ground: &Ground<'_>, rule: &SecretRule, uses: &[&str]) -> QuestionView {
    QuestionView {
        id: crate::random::hex(8),
        secret: Some(rule.kind.as_str().into()),
        uses: Some(uses.iter().map(|used| (*used).to_owned()).collect()),
        ..ground.matter()
    }
}
