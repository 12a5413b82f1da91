//! The configuration file: what an administrator or a person wrote, read into checked settings.
//!
//! Three stages: text → [`File`] (unknown keys refused) → [`Settings`]. The annotated default is [`DEFAULT`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use obnova_core::Place;
use serde::Deserialize;
use toml::Spanned;

use crate::cards::modules::Module;

/// The annotated default file; a test holds that it names every key and means the defaults.
pub const DEFAULT: &str = include_str!("../../packaging/obnova.toml");

/// What the daemon does by configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Places that are watched besides those that people name.
    pub watch: Vec<Place>,
    /// PKCS#11 modules besides those that are registered with p11-kit.
    pub modules: Vec<Module>,
    /// How mails are judged.
    pub mail: Mail,
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    modules: Vec<NamedModule>,
    watch: Watch,
    mail: Mail,
    log: Log,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedModule {
    path: Spanned<PathBuf>,
    #[serde(default)]
    environment: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Watch {
    places: Vec<Spanned<String>>,
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

/// Reads the file; one that does not exist means the defaults, unless somebody named it.
pub fn load(path: &Path, named: bool) -> Result<Settings, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Ok(Settings::default()),
        Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Reads a configuration; `path` names it in errors.
pub fn parse(path: &Path, text: &str) -> Result<Settings, ConfigError> {
    let mistake = |offset: usize, message: String| {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ConfigError::Mistake {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message,
        }
    };
    let file: File = toml::from_str(text)
        .map_err(|error| mistake(error.span().map_or(0, |span| span.start), error.message().trim().to_owned()))?;
    let place = |text: &Spanned<String>| {
        Place::parse(text.get_ref())
            .map_err(|error| mistake(text.span().start, format!("{error}: `file:/PATH` or `p12:/PATH` is expected")))
    };
    let watch = file.watch.places.iter().map(place).collect::<Result<_, _>>()?;
    let modules = file.modules.into_iter().map(|named| module(named, &mistake)).collect::<Result<_, _>>()?;
    let levels = ["error", "warn", "info", "debug", "trace"];
    if let Some(level) = &file.log.level
        && !levels.contains(&level.get_ref().as_str())
    {
        return Err(mistake(level.span().start, format!("one of {} is expected", levels.join(", "))));
    }
    let servers = file.mail.servers.iter().map(|server| server.to_lowercase()).collect();
    let mail = Mail { servers, ..file.mail };
    Ok(Settings { watch, modules, mail, log: file.log.level.map(Spanned::into_inner) })
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
        let all = parse(Path::new("obnova.toml"), &uncommented).expect("each example is right");
        assert!(!all.watch.is_empty() && all.log.is_some());
        assert!(!all.mail.servers.is_empty() && all.mail.resolver.is_some());
        assert!(all.modules.first().is_some_and(|module| !module.environment.is_empty()));
    }

    #[test]
    fn a_mistake_is_told_with_line_and_what_is_allowed() {
        assert!(mistake("[watch]\nplace = []\n").starts_with("obnova.toml:2:1: unknown field `place`, expected `places`"));
        assert!(mistake("[watch]\nplaces = [\"/etc/x\"]\n").contains("obnova.toml:2:11: unknown-scheme: `file:/PATH`"));
        assert!(mistake("[log]\nlevel = \"loud\"\n").contains("one of error, warn"));
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
        assert_eq!(load(nowhere, false).expect("defaults"), Settings::default());
        assert!(load(nowhere, true).is_err());
    }
}
