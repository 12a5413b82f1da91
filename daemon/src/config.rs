//! The configuration file: what an administrator or a person wrote, read into checked settings.
//!
//! Three stages: text → [`File`] (unknown keys refused) → [`Settings`]. The annotated default is [`DEFAULT`].

use std::path::{Path, PathBuf};

use obnova_core::Place;
use serde::Deserialize;
use toml::Spanned;

/// The annotated default file; a test holds that it names every key and means the defaults.
pub const DEFAULT: &str = include_str!("../../packaging/obnova.toml");

/// What the daemon does by configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Places that are watched besides those that people name.
    pub watch: Vec<Place>,
    /// The level of the log, as a `tracing` filter.
    pub log: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    watch: Watch,
    log: Log,
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
    let levels = ["error", "warn", "info", "debug", "trace"];
    if let Some(level) = &file.log.level
        && !levels.contains(&level.get_ref().as_str())
    {
        return Err(mistake(level.span().start, format!("one of {} is expected", levels.join(", "))));
    }
    Ok(Settings { watch, log: file.log.level.map(Spanned::into_inner) })
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
    }

    #[test]
    fn a_mistake_is_told_with_line_and_what_is_allowed() {
        assert!(mistake("[watch]\nplace = []\n").starts_with("obnova.toml:2:1: unknown field `place`, expected `places`"));
        assert!(mistake("[watch]\nplaces = [\"/etc/x\"]\n").contains("obnova.toml:2:11: unknown-scheme: `file:/PATH`"));
        assert!(mistake("[log]\nlevel = \"loud\"\n").contains("one of error, warn"));
        assert!(mistake("[watch\n").starts_with("obnova.toml:1:"));
    }

    #[test]
    fn a_file_that_was_named_must_exist() {
        let nowhere = Path::new("/nonexistent/obnova.toml");
        assert_eq!(load(nowhere, false).expect("defaults"), Settings::default());
        assert!(load(nowhere, true).is_err());
    }
}
