//! Which PKCS#11 modules show tokens: those named in the configuration and those registered with p11-kit. Loads none of them:
//! obnova-helper does.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

/// The name by which registered modules can be enabled or disabled for us (`enable-in`, `disable-in`).
const PROGRAM: &str = "obnova";

/// The largest file of a registration in bytes; real ones have a few hundred.
const LONGEST: u64 = 64 * 1024;

/// A PKCS#11 module: a vendor's shared object that shows tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Module {
    /// Its file, an absolute path.
    pub path: PathBuf,
    /// The whole environment of the process that loads it.
    pub environment: BTreeMap<String, String>,
}

/// The modules to be asked for tokens, each file once, in this order: the `configured` ones, then those registered with p11-kit
/// (pkcs11.conf(5)) below `root`, which is `/`, and in the home directory of whoever the daemon works for. A home is handed on to
/// modules as `HOME` unless their own environment names another. A registration that cannot be read is logged and left out.
pub fn all(configured: &[Module], root: &Path, home: Option<&Path>) -> Vec<Module> {
    // Named in the configuration, a module may well be there twice, with different environments.
    let mut modules = configured.to_vec();
    for path in registered(root, home) {
        if modules.iter().all(|module| module.path != path) {
            modules.push(Module { path, environment: BTreeMap::new() });
        }
    }
    if let Some(home) = home.and_then(Path::to_str) {
        for module in &mut modules {
            module.environment.entry("HOME".to_owned()).or_insert_with(|| home.to_owned());
        }
    }
    modules
}

/// The files of the registered modules, those of higher `priority` first.
fn registered(root: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let system = root.join("etc/pkcs11");
    let user = home.map(|home| home.join(".config/pkcs11"));
    let mode = user_mode(&system, user.as_deref());
    let mut directories = Vec::new();
    if let Some(user) = user.filter(|_| mode != UserMode::None) {
        directories.push(user.join("modules"));
    }
    if mode != UserMode::Only {
        directories.extend([system.join("modules"), root.join("usr/share/p11-kit/modules")]);
    }
    let mut registrations: BTreeMap<String, Fields> = BTreeMap::new();
    for directory in directories {
        for (name, fields) in registrations_in(&directory) {
            let merged = registrations.entry(name).or_default();
            // What an earlier directory says goes before.
            for (key, value) in fields {
                merged.entry(key).or_insert(value);
            }
        }
    }
    let priority = |fields: &Fields| fields.get("priority").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let mut usable: Vec<&Fields> = registrations.values().filter(|fields| is_for_us(fields)).collect();
    usable.sort_by_key(|fields| -priority(fields));
    usable.into_iter().filter_map(|fields| file(fields.get("module")?, root, home)).collect()
}

type Fields = BTreeMap<String, String>;

/// Which registrations count: `user-config` of pkcs11.conf.
#[derive(Clone, Copy, PartialEq)]
enum UserMode {
    /// The system's only.
    None,
    /// Both.
    Merge,
    /// The person's only.
    Only,
}

/// The system's word, which the person's own file may replace unless it is `none`.
fn user_mode(system: &Path, user: Option<&Path>) -> UserMode {
    let mode_in = |directory: &Path, default: UserMode| {
        let fields = read(&directory.join("pkcs11.conf")).unwrap_or_default();
        match fields.get("user-config").map(String::as_str) {
            Some("none") => UserMode::None,
            Some("merge") => UserMode::Merge,
            Some("only" | "override") => UserMode::Only,
            _ => default,
        }
    };
    let mode = mode_in(system, UserMode::Merge);
    match user {
        Some(user) if mode != UserMode::None => mode_in(user, mode),
        _ => UserMode::None,
    }
}

/// The registrations in a directory by name: `NAME.module`, in ASCII letters, digits, `_`, `-` and `.`.
fn registrations_in(directory: &Path) -> Vec<(String, Fields)> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Vec::new(),
        Err(error) => {
            warn!("{}: {error}", directory.display());
            return Vec::new();
        }
    };
    let named = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".module")?.to_owned();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        let fit = name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.chars().all(plain);
        Some((name, path)).filter(|_| fit)
    };
    let named = entries.filter_map(|entry| named(entry.ok()?.path()));
    named.filter_map(|(name, path)| Some((name, read(&path)?))).collect()
}

/// The fields of a file of p11-kit's: lines `name: value`, and comments that begin with `#`. `None` if there is no such file or
/// it is something else.
fn read(path: &Path) -> Option<Fields> {
    let fields = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() || metadata.len() > LONGEST => None,
        Ok(_) => match fs::read_to_string(path) {
            Ok(text) => parse(&text),
            Err(error) => {
                warn!("{}: {error}", path.display());
                return None;
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!("{}: {error}", path.display());
            return None;
        }
    };
    if fields.is_none() {
        warn!("{} is no registration as p11-kit knows them", path.display());
    }
    fields
}

fn parse(text: &str) -> Option<Fields> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    lines.map(field).collect()
}

/// Whether a registration is meant for this program, and shows tokens of people: p11-kit's own trust module shows the system's
/// authorities, and its proxy what the others show already.
fn is_for_us(fields: &Fields) -> bool {
    let lists_us = |list: &String| list.split([',', ' ', '\t']).any(|name| name == PROGRAM);
    let enabled = match (fields.get("enable-in"), fields.get("disable-in")) {
        (Some(list), _) => lists_us(list),
        (None, Some(list)) => !lists_us(list),
        (None, None) => true,
    };
    let own =
        fields.get("module").is_some_and(|module| module.ends_with("p11-kit-trust.so") || module.ends_with("p11-kit-proxy.so"));
    enabled && !own && fields.get("trust-policy").map(String::as_str) != Some("yes")
}

/// Where the file of a `module:` is. A relative one is in the directory for modules of the distribution.
fn file(module: &str, root: &Path, home: Option<&Path>) -> Option<PathBuf> {
    if module.is_empty() {
        return None;
    }
    if let Some(below) = module.strip_prefix("~/") {
        return home.map(|home| home.join(below));
    }
    if Path::new(module).is_absolute() {
        return Some(module.into());
    }
    let architecture = format!("usr/lib/{}-linux-gnu/pkcs11", std::env::consts::ARCH);
    let directories = [architecture.as_str(), "usr/lib64/pkcs11", "usr/lib/pkcs11"];
    directories.into_iter().map(|directory| root.join(directory).join(module)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn with(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            for (path, content) in files {
                let path = directory.path().join(path);
                fs::create_dir_all(path.parent().expect("a directory")).expect("made");
                fs::write(path, content).expect("written");
            }
            Self(directory)
        }

        fn registered(&self) -> Vec<String> {
            let (root, home) = (self.0.path(), self.0.path().join("home"));
            let short = |path: PathBuf| path.strip_prefix(root).unwrap_or(&path).display().to_string();
            registered(root, Some(&home)).into_iter().map(short).collect()
        }
    }

    #[test]
    fn modules_are_found_where_p11_kit_finds_them() {
        let relative = format!("usr/lib/{}-linux-gnu/pkcs11/opensc.so", std::env::consts::ARCH);
        let machine = Machine::with(&[
            (&relative, ""),
            ("usr/share/p11-kit/modules/opensc.module", "# a comment\n\nmodule: opensc.so\n"),
            ("usr/share/p11-kit/modules/trust.module", "module: p11-kit-trust.so\ntrust-policy: yes\n"),
            ("usr/share/p11-kit/modules/card.module", "module:/opt/card.so\npriority: 7\n"),
            ("usr/share/p11-kit/modules/gone.module", "module: gone.so\n"),
            ("usr/share/p11-kit/modules/blank.module", "module: \n"),
            ("usr/share/p11-kit/modules/README", "no registration"),
            ("usr/share/p11-kit/modules/broken.module", "module /opt/broken.so\n"),
            ("etc/pkcs11/modules/opensc.module", "priority: 3\n"),
            ("etc/pkcs11/modules/others.module", "module: /opt/others.so\nenable-in: firefox, ssh\n"),
            ("etc/pkcs11/modules/ours.module", "module: /opt/ours.so\nenable-in: firefox,obnova ssh\n"),
            ("etc/pkcs11/modules/not-ours.module", "module: /opt/not-ours.so\ndisable-in: obnova\n"),
            ("home/.config/pkcs11/modules/card.module", "module: ~/card.so\n"),
        ]);
        assert_eq!(machine.registered(), ["home/card.so", &relative, "/opt/ours.so"]);
    }

    #[test]
    fn a_person_may_add_replace_or_be_kept_out() {
        let system = "module: /opt/system.so\n";
        let with = |system_conf: &str, user_conf: &str| {
            Machine::with(&[
                ("etc/pkcs11/pkcs11.conf", system_conf),
                ("home/.config/pkcs11/pkcs11.conf", user_conf),
                ("etc/pkcs11/modules/system.module", system),
                ("home/.config/pkcs11/modules/own.module", "module: /opt/own.so\n"),
            ])
            .registered()
        };
        assert_eq!(with("", ""), ["/opt/own.so", "/opt/system.so"]);
        assert_eq!(with("", "user-config: only"), ["/opt/own.so"]);
        assert_eq!(with("user-config: none", "user-config: only"), ["/opt/system.so"]);
        assert_eq!(with("user-config: only", "user-config: merge"), ["/opt/own.so", "/opt/system.so"]);
        assert_eq!(with("", "user-config: none"), ["/opt/system.so"]);
    }

    #[test]
    fn a_configured_module_goes_before_a_registered_one() {
        let machine = Machine::with(&[
            ("etc/pkcs11/modules/a.module", "module: /opt/a.so\n"),
            ("etc/pkcs11/modules/b.module", "module: /opt/b.so\n"),
        ]);
        let module = |path: &str, environment: &[(&str, &str)]| Module {
            path: path.into(),
            environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let configured = [module("/opt/b.so", &[("CONF", "x")]), module("/opt/b.so", &[("CONF", "y"), ("HOME", "/srv")])];
        assert_eq!(
            all(&configured, machine.0.path(), Some(Path::new("/home/anna"))),
            [
                module("/opt/b.so", &[("CONF", "x"), ("HOME", "/home/anna")]),
                module("/opt/b.so", &[("CONF", "y"), ("HOME", "/srv")]),
                module("/opt/a.so", &[("HOME", "/home/anna")]),
            ]
        );
        assert_eq!(all(&[], machine.0.path(), None), [module("/opt/a.so", &[]), module("/opt/b.so", &[])]);
    }
}
