//! The configuration file: what an administrator or a person wrote, read into checked settings.
//!
//! Three stages: texts → fragments, each checked by itself (unknown keys refused) → [`Settings`]. The annotated default is [`DEFAULT`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use obnova_api::MailboxOptions;
use obnova_core::{Mailbox, Place, Problem};
use serde::Deserialize;
use toml::Spanned;

use crate::bus::mailboxes::meant;
use crate::cards::modules::Module;
use crate::credentials::Named;
use crate::outgoing::Outgoing;

/// The annotated default file; a test holds that it names every key and means the defaults.
pub const DEFAULT: &str = include_str!("../../packaging/obnova.toml");

/// What the daemon does by configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Places that are watched besides those that people name.
    pub watch: Vec<Place>,
    /// Somebody has said which, if only that there are none.
    pub watch_is_said: bool,
    /// PKCS#11 modules besides those that are registered with p11-kit.
    pub modules: Vec<Module>,
    /// Which of systemd's credentials opens what.
    pub credentials: Vec<Named>,
    /// Mailboxes that are read besides those that people name.
    pub mailboxes: Vec<Mailbox>,
    /// How mails are judged.
    pub mail: Mail,
    /// Through whom the person sends mail.
    pub outgoing: Option<Outgoing>,
    /// Where the daemon goes by itself.
    pub network: Network,
    /// The level of the log, as a `tracing` filter.
    pub log: Option<String>,
}

/// How mails are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// The servers (authserv-id) whose Authentication-Results the person trusts.
    pub servers: Vec<String>,
    /// Who is asked for keys and policies, instead of the servers that the system names.
    pub resolver: Option<SocketAddr>,
}

/// Where the daemon goes by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    revocation: Option<bool>,
    local: Option<bool>,
}

impl Network {
    /// Nowhere.
    pub fn none() -> Self {
        Self { revocation: Some(false), local: None }
    }

    /// To where certificates say that it is known whether they have been revoked.
    pub fn revocation(&self) -> bool {
        self.revocation.unwrap_or(true)
    }

    /// Such an address may lead to the local network and to this machine.
    pub fn local(&self) -> bool {
        self.local.unwrap_or(false)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    locked: Vec<Spanned<Key>>,
    modules: Vec<NamedModule>,
    credentials: Vec<NamedCredential>,
    mailbox: Vec<NamedMailbox>,
    watch: Watch,
    mail: Mail,
    smtp: Option<Spanned<Outgoing>>,
    network: Network,
    log: Log,
}

/// What an administrator may lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Key {
    #[serde(rename = "watch.places")]
    WatchPlaces,
    #[serde(rename = "modules")]
    Modules,
    #[serde(rename = "mailbox")]
    Mailboxes,
    #[serde(rename = "mail.servers")]
    MailServers,
    #[serde(rename = "mail.resolver")]
    MailResolver,
    #[serde(rename = "smtp")]
    Smtp,
    #[serde(rename = "network.revocation")]
    NetworkRevocation,
    #[serde(rename = "network.local")]
    NetworkLocal,
    #[serde(rename = "log.level")]
    LogLevel,
}

/// What one file says.
#[derive(Debug, PartialEq)]
struct Fragment {
    watch: Option<Vec<Place>>,
    modules: Vec<Module>,
    credentials: Vec<Named>,
    mailboxes: Vec<Mailbox>,
    mail: Mail,
    outgoing: Option<Outgoing>,
    network: Network,
    log: Option<String>,
    /// With the place of each in the text.
    locked: Vec<(Key, usize)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedModule {
    path: Spanned<PathBuf>,
    #[serde(default)]
    environment: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedCredential {
    place: Spanned<String>,
    name: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedMailbox {
    at: Spanned<String>,
    login: Option<String>,
    command: Option<String>,
    credential: Option<String>,
    authority: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Watch {
    places: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    level: Option<Spanned<String>>,
}

/// A mistake in the configuration, with the place where it stands.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What stands there is not allowed.
    #[error("{path}:{line}:{column}: {message}")]
    Mistake {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong, and what is allowed.
        message: String,
    },
}

/// Reads what there is: the administrator's file, if the scope has one beside its own, then its own. Each may be followed by further
/// ones, `FILE.d/*.toml`, in the order of their names. Later ones add to lists and replace the rest, but where the administrator's
/// lock a key, the scope's own say nothing about it. A file that does not exist says nothing, unless somebody named it.
pub fn load(administrators: Option<&Path>, own: &Path, named: bool) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    let mut locked = Vec::new();
    for (path, text) in administrators.map_or(Ok(Vec::new()), |path| texts(path, false))? {
        let fragment = fragment(&path, &text)?;
        locked.extend(fragment.locked.iter().map(|(key, _)| *key));
        settings.add(fragment, &[]);
    }
    for (path, text) in texts(own, named)? {
        let fragment = fragment(&path, &text)?;
        if let Some((_, offset)) = fragment.locked.first() {
            let message = "reserved for administrators".to_owned();
            return Err(mistake(&path, &text, *offset, message));
        }
        settings.add(fragment, &locked);
    }
    Ok(settings)
}

/// The texts of a file and of those that follow it.
fn texts(path: &Path, named: bool) -> Result<Vec<(PathBuf, String)>, ConfigError> {
    let unreadable = |path: &Path, source| ConfigError::Unreadable { path: path.to_owned(), source };
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let mut directory = path.as_os_str().to_owned();
    directory.push(".d");
    let directory = PathBuf::from(directory);
    let mut paths = vec![path.to_owned()];
    match std::fs::read_dir(&directory) {
        Ok(entries) => {
            for entry in entries {
                paths.push(entry.map_err(|error| unreadable(&directory, error))?.path());
            }
        }
        Err(error) if missing(&error) => {}
        Err(error) => return Err(unreadable(&directory, error)),
    }
    paths[1..].sort();
    let mut texts = Vec::new();
    for (position, path) in paths.into_iter().enumerate() {
        if position > 0 && path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => texts.push((path, text)),
            Err(error) if missing(&error) && position == 0 && !named => {}
            Err(error) => return Err(unreadable(&path, error)),
        }
    }
    Ok(texts)
}

impl Settings {
    /// Adds what a further file says, but for what is locked.
    fn add(&mut self, fragment: Fragment, locked: &[Key]) {
        let free = |key: Key| !locked.contains(&key);
        if free(Key::WatchPlaces) {
            self.watch_is_said |= fragment.watch.is_some();
            self.watch.extend(fragment.watch.into_iter().flatten());
        }
        if free(Key::Modules) {
            self.modules.extend(fragment.modules);
        }
        self.credentials.extend(fragment.credentials);
        if free(Key::Mailboxes) {
            self.mailboxes.extend(fragment.mailboxes);
        }
        if free(Key::MailServers) {
            self.mail.servers.extend(fragment.mail.servers);
        }
        if free(Key::MailResolver) {
            self.mail.resolver = fragment.mail.resolver.or(self.mail.resolver);
        }
        if free(Key::Smtp) {
            self.outgoing = fragment.outgoing.or(self.outgoing.take());
        }
        if free(Key::NetworkRevocation) {
            self.network.revocation = fragment.network.revocation.or(self.network.revocation);
        }
        if free(Key::NetworkLocal) {
            self.network.local = fragment.network.local.or(self.network.local);
        }
        if free(Key::LogLevel) {
            self.log = fragment.log.or(self.log.take());
        }
    }
}

/// Reads one file by itself; `path` names it in errors.
pub fn parse(path: &Path, text: &str) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    settings.add(fragment(path, text)?, &[]);
    Ok(settings)
}

fn fragment(path: &Path, text: &str) -> Result<Fragment, ConfigError> {
    let mistake = |offset: usize, message: String| mistake(path, text, offset, message);
    let file: File = toml::from_str(text)
        .map_err(|error| mistake(error.span().map_or(0, |span| span.start), error.message().trim().to_owned()))?;
    let place = |text: &Spanned<String>| {
        Place::parse(text.get_ref())
            .map_err(|error| mistake(text.span().start, format!("{error}: `file:/PATH` or `p12:/PATH` is expected")))
    };
    let watch = file.watch.places.map(|places| places.iter().map(place).collect::<Result<_, _>>()).transpose()?;
    let modules = file.modules.into_iter().map(|named| module(named, &mistake)).collect::<Result<_, _>>()?;
    let credential = |named: &NamedCredential| {
        if !Named::is_name(named.name.get_ref()) {
            return Err(mistake(named.name.span().start, "letters, digits, `.`, `_` and `-` are expected".to_owned()));
        }
        Ok(Named { place: place(&named.place)?, name: named.name.get_ref().clone() })
    };
    let credentials = file.credentials.iter().map(credential).collect::<Result<_, _>>()?;
    let mailbox = |named: NamedMailbox| {
        let NamedMailbox { at, login, command, credential, authority } = named;
        let options = MailboxOptions { login, command, credential, authority };
        meant(at.get_ref(), &options).map_err(|problem| {
            let expected = match problem {
                Problem::InvalidArgument { argument, .. } => format!("`{argument}` is not so with a mailbox like this"),
                _ => "`maildir:/PATH`, `imaps://USER@HOST` or `imap://USER@HOST` is expected".to_owned(),
            };
            mistake(at.span().start, expected)
        })
    };
    let mailboxes = file.mailbox.into_iter().map(mailbox).collect::<Result<_, _>>()?;
    let levels = ["error", "warn", "info", "debug", "trace"];
    if let Some(level) = &file.log.level
        && !levels.contains(&level.get_ref().as_str())
    {
        return Err(mistake(level.span().start, format!("one of {} is expected", levels.join(", "))));
    }
    if let Some(smtp) = &file.smtp
        && let Some(wrong) = smtp.get_ref().mistake()
    {
        return Err(mistake(smtp.span().start, wrong.to_string()));
    }
    let servers = file.mail.servers.iter().map(|server| server.to_lowercase()).collect();
    let mail = Mail { servers, ..file.mail };
    let locked = file.locked.into_iter().map(|key| (*key.get_ref(), key.span().start)).collect();
    Ok(Fragment {
        watch,
        modules,
        credentials,
        mailboxes,
        mail,
        outgoing: file.smtp.map(Spanned::into_inner),
        network: file.network,
        log: file.log.level.map(Spanned::into_inner),
        locked,
    })
}

fn mistake(path: &Path, text: &str, offset: usize, message: String) -> ConfigError {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigError::Mistake {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message,
    }
}

fn module(named: NamedModule, mistake: &impl Fn(usize, String) -> ConfigError) -> Result<Module, ConfigError> {
    if !named.path.get_ref().is_absolute() {
        return Err(mistake(named.path.span().start, "an absolute path is expected".to_owned()));
    }
    let variable = |(name, value): (Spanned<String>, Spanned<String>)| {
        if name.get_ref().is_empty() || name.get_ref().contains(['=', '\0']) {
            return Err(mistake(name.span().start, "the name of a variable is expected".to_owned()));
        }
        if value.get_ref().contains('\0') {
            return Err(mistake(value.span().start, "text without NUL is expected".to_owned()));
        }
        Ok((name.into_inner(), value.into_inner()))
    };
    let environment = named.environment.into_iter().map(variable).collect::<Result<_, _>>()?;
    Ok(Module { path: named.path.into_inner(), environment })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> String {
        parse(Path::new("obnova.toml"), text).expect_err("a mistake").to_string()
    }

    #[test]
    fn the_annotated_default_means_the_defaults_and_names_every_key() {
        assert_eq!(parse(Path::new("obnova.toml"), DEFAULT).expect("no mistake"), Settings::default());
        let uncommented: String = DEFAULT
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let all = fragment(Path::new("obnova.toml"), &uncommented).expect("each example is right");
        assert!(all.watch.is_some_and(|places| !places.is_empty()) && all.log.is_some() && !all.locked.is_empty());
        assert!(!all.mail.servers.is_empty() && all.mail.resolver.is_some());
        assert!(all.outgoing.is_some_and(|outgoing| outgoing.user.is_some()));
        assert!(all.network.revocation.is_some() && all.network.local.is_some());
        assert!(!all.credentials.is_empty() && !all.mailboxes.is_empty());
        assert!(all.modules.first().is_some_and(|module| !module.environment.is_empty()));
    }

    #[test]
    fn a_mistake_is_told_with_line_and_what_is_allowed() {
        assert!(mistake("[watch]\nplace = []\n").starts_with("obnova.toml:2:1: unknown field `place`, expected `places`"));
        assert!(mistake("[watch]\nplaces = [\"/etc/x\"]\n").contains("obnova.toml:2:11: unknown-scheme: `file:/PATH`"));
        assert!(mistake("[log]\nlevel = \"loud\"\n").contains("one of error, warn"));
        assert!(mistake("credentials = [{ place = \"p12:/a\", name = \"../a\" }]").contains("obnova.toml:1:43: letters"));
        assert!(mistake("[[mailbox]]\nat = \"/home/anna/Maildir\"\n").contains("obnova.toml:2:6: `maildir:/PATH`"));
        assert!(mistake("[watch\n").starts_with("obnova.toml:1:"));
        assert!(mistake("[[modules]]\npath = \"a.so\"\n").contains("obnova.toml:2:8: an absolute path"));
        assert!(mistake("[[modules]]\nenvironment = {}\n").contains("missing field `path`"));
        assert!(
            mistake("[[modules]]\npath = \"/a\"\nenvironment = { \"a=b\" = \"\" }\n").contains("obnova.toml:3:17: the name")
        );
        assert!(mistake("[[modules]]\npath = \"/a\"\nenvironment = { a = \"\\u0000\" }\n").contains("obnova.toml:3:21: text"));
    }

    #[test]
    fn a_file_that_was_named_must_exist() {
        let nowhere = Path::new("/nonexistent/obnova.toml");
        assert_eq!(load(Some(nowhere), nowhere, false).expect("defaults"), Settings::default());
        assert!(load(None, nowhere, true).is_err());
    }

    #[test]
    fn further_files_add_and_replace_and_what_is_locked_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            std::fs::write(&path, text).expect("written");
            path
        };
        let own = write("own.toml", "[watch]\nplaces = [\"file:/a\"]\n[log]\nlevel = \"warn\"\n");
        write("own.toml.d/20.toml", "[log]\nlevel = \"debug\"\n");
        write("own.toml.d/10.toml", "[watch]\nplaces = [\"file:/b\"]\n[log]\nlevel = \"error\"\n");
        write("own.toml.d/30.toml.dpkg-old", "no configuration");
        let settings = load(None, &own, true).expect("no mistake");
        let places: Vec<&str> = settings.watch.iter().map(Place::as_str).collect();
        assert_eq!((places, settings.log.as_deref()), (vec!["file:/a", "file:/b"], Some("debug")));

        let administrators = write("all.toml", "[watch]\nplaces = [\"file:/c\"]\n[log]\nlevel = \"info\"\n");
        let settings = load(Some(&administrators), &own, true).expect("no mistake");
        assert_eq!((settings.watch.len(), settings.log.as_deref()), (3, Some("debug")), "a default that a person changes");
        write("all.toml.d/lock.toml", "locked = [\"log.level\", \"watch.places\"]\n");
        let settings = load(Some(&administrators), &own, true).expect("no mistake");
        let places: Vec<&str> = settings.watch.iter().map(Place::as_str).collect();
        assert_eq!((places, settings.log.as_deref()), (vec!["file:/c"], Some("info")));

        assert!(
            settings.watch_is_said && !load(None, &write("other.toml", "[watch]"), true).expect("no mistake").watch_is_said
        );
        assert!(load(None, &write("other.toml", "[watch]\nplaces = []"), true).expect("no mistake").watch_is_said);

        let private = write("private.toml", "[network]\nrevocation = true\nlocal = true\n");
        let settings = load(Some(&administrators), &private, true).expect("no mistake");
        assert!(settings.network.revocation() && settings.network.local());
        write(
            "all.toml.d/network.toml",
            "locked = [\"network.revocation\", \"network.local\"]\n[network]\nrevocation = false\n",
        );
        let settings = load(Some(&administrators), &private, true).expect("no mistake");
        assert!(!settings.network.revocation() && !settings.network.local());
        std::fs::remove_file(directory.path().join("all.toml.d/network.toml")).expect("removed");

        write("own.toml.d/40.toml", "\nlocked = [\"modules\"]\n");
        let error = load(Some(&administrators), &own, true).expect_err("not theirs to lock").to_string();
        assert!(error.contains("40.toml:2:11: reserved for administrators"), "{error}");
        write("all.toml.d/lock.toml", "locked = [\"mail\"]\n");
        let error = load(Some(&administrators), &own, true).expect_err("no such key").to_string();
        assert!(error.contains("lock.toml:1:11:") && error.contains("watch.places"), "{error}");
    }
}
