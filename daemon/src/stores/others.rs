//! Which certificates other tools of this machine renew: what certbot and certmonger have written down about theirs. Reads their files;
//! what follows is the world's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::Duration;
use obnova_core::elsewhere::{Elsewhere, Tool};
use obnova_core::{Place, Problem, Scheme};

use super::files;

/// Where certbot keeps a file for each certificate that it renews (certbot(1), "FILES").
const CERTBOT: &str = "etc/letsencrypt/renewal";

/// Where certmonger keeps a file for each certificate that it tracks (certmonger(8)).
const CERTMONGER: &str = "var/lib/certmonger/requests";

/// How many files of a tool are read.
const MOST: usize = 10_000;

/// The tools' files below a root, and what was last read there.
#[derive(Clone, Debug)]
pub struct Others {
    root: Option<PathBuf>,
    read: Option<[Option<SystemTime>; 2]>,
    renewed: BTreeMap<Place, Elsewhere>,
}

/// What the tools' files say.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// What they renew, by each place where a certificate of theirs is.
    pub renewed: BTreeMap<Place, Elsewhere>,
    /// What cannot be read of it.
    pub unreadable: Vec<(Place, Problem)>,
}

impl Others {
    /// Those of the machine whose files begin here.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: Some(root.into()), read: None, renewed: BTreeMap::new() }
    }

    /// None: nobody else renews what is looked after here.
    pub fn none() -> Self {
        Self { root: None, read: None, renewed: BTreeMap::new() }
    }

    /// Whether anything has come or gone among the files since the last look.
    pub fn is_stale(&self) -> bool {
        self.root.as_ref().is_some_and(|root| self.read != Some(changes(root)))
    }

    /// What the files say now. Blocks.
    ///
    /// What could be read once and cannot be any more counts as it was: certmonger writes its files anew, closed to all others.
    pub fn look(&mut self) -> Report {
        let mut report = Report::default();
        let Some(root) = self.root.clone() else { return report };
        let changed = changes(&root);
        self.gather(&root.join(CERTBOT), Tool::Certbot, &mut report);
        self.gather(&root.join(CERTMONGER), Tool::Certmonger, &mut report);
        self.read = Some(changed);
        self.renewed.clone_from(&report.renewed);
        report
    }

    /// The next look tells what is there, changed or not.
    pub fn forget(&mut self) {
        self.read = None;
    }

    fn gather(&self, directory: &Path, tool: Tool, report: &mut Report) {
        let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                if denied(&error) {
                    self.keep(tool, None, report);
                    report.unreadable.push(closed(directory, files::opening_command(directory, true)));
                }
                return;
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().take(MOST).map(|entry| entry.path()).collect();
        paths.sort();
        let mut refused = false;
        for path in paths {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match (tool, text(&path)) {
                (Tool::Certbot, Ok(text)) if path.extension() == Some(OsStr::new("conf")) => certbot(&name, &text, report),
                (Tool::Certmonger, Ok(text)) => certmonger(&text, report),
                (_, Err(error)) if denied(&error) => {
                    self.keep(tool, Some(&name), report);
                    refused = true;
                }
                _ => {}
            }
        }
        if refused {
            let uid = rustix::process::geteuid().as_raw();
            let opened = format!("sudo setfacl -Rm u:{uid}:rX {}", files::quoted(directory));
            let command = [opened.as_str(), "&& sudo systemctl", "reload obnovad"].join(" ");
            report.unreadable.push(closed(directory, command));
        }
    }

    /// What was known of a tool's certificates, or of the one that it calls so.
    fn keep(&self, tool: Tool, name: Option<&str>, report: &mut Report) {
        let same = |known: &Elsewhere| known.tool == tool && name.is_none_or(|name| known.name == name);
        let known = self.renewed.iter().filter(|(_, known)| same(known));
        report.renewed.extend(known.map(|(place, known)| (place.clone(), known.clone())));
    }
}

/// When the tools' directories were last changed.
fn changes(root: &Path) -> [Option<SystemTime>; 2] {
    [CERTBOT, CERTMONGER].map(|name| root.join(name).metadata().and_then(|there| there.modified()).ok())
}

fn closed(directory: &Path, command: String) -> (Place, Problem) {
    let path = directory.display().to_string();
    (Place::new(Scheme::File, directory), Problem::PlaceDenied { path, command })
}

/// A small file's text.
fn text(path: &Path) -> io::Result<String> {
    let mut buffer = zeroize::Zeroizing::default();
    let (directory, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
    let handle = files::stand_in(directory)?;
    files::read(&handle, name, &mut buffer, files::LARGEST).map_err(|unread| match unread {
        files::Unread::Denied => io::ErrorKind::PermissionDenied.into(),
        files::Unread::Failed(error) => error,
        _ => io::Error::from(io::ErrorKind::InvalidData),
    })?;
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}

/// A file `renewal/NAME.conf` (configobj): the links in `live/NAME`, and whether certbot is to renew them.
fn certbot(name: &str, text: &str, report: &mut Report) {
    let mut elsewhere = Elsewhere { tool: Tool::Certbot, name: name.to_owned(), lead: Tool::Certbot.usual_lead() };
    let mut places = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else { continue };
        match key {
            "cert" | "fullchain" if value.starts_with('/') => places.push(Place::new(Scheme::File, Path::new(value))),
            "renew_before_expiry" => elsewhere.lead = span(value).unwrap_or(elsewhere.lead),
            "autorenew" if value == "False" => return,
            _ => {}
        }
    }
    report.renewed.extend(places.into_iter().map(|place| (place, elsewhere.clone())));
}

/// A span of time as certbot's configuration has it: `30 days`.
fn span(text: &str) -> Option<Duration> {
    let (count, unit) = text.split_once(' ')?;
    let count: i64 = count.parse().ok().filter(|count| (1..10_000).contains(count))?;
    match unit.trim_end_matches('s') {
        "day" => Duration::try_days(count),
        "week" => Duration::try_weeks(count),
        "hour" => Duration::try_hours(count),
        _ => None,
    }
}

/// A file of certmonger's: one request, or several behind each other; what goes on in the next line begins with a space there.
fn certmonger(text: &str, report: &mut Report) {
    let mut fields = BTreeMap::new();
    for line in text.lines().chain([""]) {
        if line.starts_with(' ') {
            continue;
        }
        if let Some((key, value)) = line.split_once('=') {
            fields.insert(key, value);
            continue;
        }
        let of = |key: &str| fields.get(key).copied().unwrap_or_default();
        // What it is told to track and not to renew is ours to warn about.
        if of("cert_storage_type") == "FILE" && of("cert_storage_location").starts_with('/') && of("autorenew") == "1" {
            let name = of("id").to_owned();
            let elsewhere = Elsewhere { tool: Tool::Certmonger, name, lead: Tool::Certmonger.usual_lead() };
            let place = Place::new(Scheme::File, Path::new(of("cert_storage_location")));
            report.renewed.insert(place, elsewhere);
        }
        fields.clear();
    }
}
