//! What callers do about mailboxes: which are read, and the passwords that open them. Reading them is `mailboxes`'.

use obnova_api::{MailboxOptions, QuestionView};
use obnova_core::mailbox::{AddressError, Imap, Login, SecretSource};
use obnova_core::{ItemId, Mailbox, Problem};
use obnova_secret::Secret;

use super::Desk;
use super::agents::Requester;
use crate::courier::protocol::Host;
use crate::credentials::Named;

/// How often a password is asked for that the server refuses: most accounts are locked after five.
const TRIES: usize = 3;

impl Desk {
    /// Has a mailbox read from now on, if it can be; the id of its item.
    pub(super) async fn add_mailbox(
        &self,
        written: &str,
        options: &MailboxOptions,
        requester: &Requester,
    ) -> Result<ItemId, Problem> {
        let found = match domain(written) {
            Some(domain) => self.server_of(written, domain).await?,
            None => written.to_owned(),
        };
        let mailbox = meant(&found, options)?;
        let Some(imap) = of_keyring(&mailbox) else { return self.mailboxes.add(mailbox, None).await };
        self.keyring.is_there()?;
        let id = self.mailbox_id(&mailbox).await?;
        let secret = self.working_secret(id, &mailbox, &imap, requester).await?;
        self.mailboxes.add(mailbox, Some(&secret)).await
    }

    /// The mailbox of an address, at the server that its domain names. The domain name system proves nothing: a server elsewhere is only
    /// proposed (RFC 6186 section 6), so that nobody who forges an answer gets the password.
    async fn server_of(&self, address: &str, domain: &str) -> Result<String, Problem> {
        let address = || address.to_owned();
        let found = self.courier.mail_server(domain.to_owned()).await?;
        let Host { host, port, security } = found.ok_or_else(|| Problem::MailServerUnknown { address: address() })?;
        let (login, secret) = (Login::default(), SecretSource::Keyring);
        let imap = Imap { user: address(), host, port, security, login, secret, anchors: None };
        let own = imap.host == domain || imap.host.ends_with(&format!(".{domain}"));
        let mailbox = Mailbox::Imap(Box::new(imap)).address();
        if own { Ok(mailbox) } else { Err(Problem::MailServerElsewhere { address: address(), mailbox }) }
    }

    /// Looks whether a mailbox can be read now. Where its password is what is wrong, it is asked for.
    pub(super) async fn test_mailbox(&self, id: ItemId, requester: &Requester) -> Result<(), Problem> {
        let mailbox = self.known(id).await?;
        match self.mailboxes.test(&mailbox).await {
            Err(problem @ (Problem::MailRefused { .. } | Problem::MailSecret { .. })) if of_keyring(&mailbox).is_some() => {
                match self.sign_in(id, requester).await {
                    Err(Problem::NoAgent {}) => Err(problem),
                    other => other,
                }
            }
            other => other,
        }
    }

    /// Asks for the password of a mailbox, and keeps the one that opens it.
    pub(super) async fn sign_in(&self, id: ItemId, requester: &Requester) -> Result<(), Problem> {
        let mailbox = self.known(id).await?;
        match of_keyring(&mailbox) {
            Some(imap) => {
                let secret = self.working_secret(id, &mailbox, &imap, requester).await?;
                self.mailboxes.sign_in(&mailbox, &secret).await
            }
            // Whoever has set it right elsewhere wants it tried.
            None => self.mailboxes.test(&mailbox).await,
        }
    }

    async fn known(&self, id: ItemId) -> Result<Mailbox, Problem> {
        self.mailboxes.by_id(id).await?.ok_or(Problem::NoSuchItem { id: id.to_string() })
    }

    async fn mailbox_id(&self, mailbox: &Mailbox) -> Result<ItemId, Problem> {
        let address = mailbox.address();
        self.engine.read(move |state| state.world.mailbox_id(&address)).await
    }

    /// A secret that opens the mailbox.
    async fn working_secret(
        &self,
        id: ItemId,
        mailbox: &Mailbox,
        imap: &Imap,
        requester: &Requester,
    ) -> Result<Secret, Problem> {
        let args = [("host".to_owned(), imap.server()), ("user".to_owned(), imap.user.clone())];
        let mut question = QuestionView {
            id: crate::random::hex(8),
            item: id.to_string(),
            name: mailbox.name(),
            about: "mailbox".into(),
            secret: Some("password".into()),
            uses: Some(vec!["sign-in".into(), "keep".into()]),
            args: Some(args.into()),
            ..QuestionView::default()
        };
        let mut tries = 0;
        loop {
            let secret = self.agents.secret(requester, &question).await?;
            match self.mailboxes.try_out(mailbox, Some(&secret)).await {
                Ok(()) => return Ok(secret),
                Err(Problem::MailRefused { .. }) if tries + 1 < TRIES => {
                    tries += 1;
                    question.refused = Some(true);
                }
                Err(problem) => return Err(problem),
            }
        }
    }
}

/// The domain of what is an address and names no server.
fn domain(written: &str) -> Option<&str> {
    let (user, domain) = written.rsplit_once('@')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    (!user.is_empty() && !user.contains([':', '/']) && !domain.is_empty() && domain.bytes().all(plain)).then_some(domain)
}

/// The server of a mailbox whose secret is kept in the keyring.
fn of_keyring(mailbox: &Mailbox) -> Option<Imap> {
    match mailbox {
        Mailbox::Imap(imap) if imap.secret == SecretSource::Keyring => Some((**imap).clone()),
        _ => None,
    }
}

/// The mailbox that somebody means.
pub(crate) fn meant(written: &str, options: &MailboxOptions) -> Result<Mailbox, Problem> {
    let mut mailbox = Mailbox::parse(written).map_err(|error| match error {
        AddressError::Pop3 => Problem::MailPop3 {},
        other => Problem::InvalidPlace { place: written.to_owned(), reason: other.to_string() },
    })?;
    let wrong = |argument: &str, value: &str| Problem::InvalidArgument { argument: argument.into(), value: value.to_owned() };
    let MailboxOptions { login, command, credential, authority } = options;
    match &mut mailbox {
        Mailbox::Imap(imap) => {
            if let Some(login) = login {
                imap.login = Login::parse(login).ok_or_else(|| wrong("login", login))?;
            }
            imap.secret = match (command, credential) {
                (Some(command), None) => SecretSource::Command(command.clone()),
                (None, Some(name)) if Named::is_name(name) => SecretSource::Credential(name.clone()),
                (None, None) => SecretSource::Keyring,
                (_, Some(name)) => return Err(wrong("credential", name)),
            };
            if authority.as_ref().is_some_and(|path| !path.starts_with('/')) {
                return Err(wrong("authority", authority.as_deref().unwrap_or_default()));
            }
            imap.anchors.clone_from(authority);
        }
        Mailbox::Maildir { .. } => {
            let given = [("login", login), ("command", command), ("credential", credential), ("authority", authority)];
            if let Some((argument, Some(value))) = given.iter().find(|(_, value)| value.is_some()) {
                return Err(wrong(argument, value));
            }
        }
    }
    Ok(mailbox)
}
