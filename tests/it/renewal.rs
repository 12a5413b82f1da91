//! Renewals over the real programs: what is asked, what comes of it, where it lies, what becomes of the old.

mod kinds;
mod mailbox;
mod places;
mod questions;
mod story;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use obnova_tests::{Daemon, Made, Outcome, Recipe, Scene};

const PASSWORD: &str = "Žluťoučký kůň";

/// The answers of a person who agrees and knows the password.
const AGREES: &str = "consent=renewal:yes\npassword=Žluťoučký kůň\n";

/// How the old certificate and its key lie on the disk; the new ones lie likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A `.p12`, by `openssl pkcs12 -export` with these arguments.
    Pkcs12(&'static [&'static str]),
    /// PEM, in two files; the key protected or not.
    Pair { protected: bool },
    /// PEM, in one file; the key protected or not.
    Both { protected: bool },
}

/// A certificate that is watched, in its file.
struct Watched {
    scene: Scene,
    form: Form,
    old: Made,
    path: PathBuf,
    before: BTreeMap<String, Vec<u8>>,
    daemon: Daemon,
}

impl Watched {
    async fn new(form: Form, recipe: &Recipe) -> Self {
        let scene = Scene::set().await;
        let old = recipe.make();
        let key = |protected| if protected { old.key_pem_protected(PASSWORD) } else { old.key_pem() };
        let path = match form {
            Form::Pkcs12(arguments) => {
                old.write_p12(&scene.file("anna.p12"), PASSWORD, arguments);
                scene.file("anna.p12")
            }
            Form::Pair { protected } => {
                scene.write("anna.key", key(protected));
                scene.write("anna.crt", old.pem())
            }
            Form::Both { protected } => scene.write("anna.pem", [old.pem(), key(protected)].concat()),
        };
        let daemon = scene.start().await;
        scene.watch(&path, matches!(form, Form::Pkcs12(_)).then_some(PASSWORD)).await;
        let before = scene.contents();
        Self { scene, form, old, path, before, daemon }
    }

    /// A `.p12` with 20 days left.
    async fn package() -> Self {
        Self::new(Form::Pkcs12(&[]), &Recipe::new("Anna Nová")).await
    }

    /// Runs `obnova renew --wait` with these answers and further arguments.
    async fn renew(&self, answers: &str, arguments: &[&str]) -> Outcome {
        self.scene.obnova_answering(answers, &[&["renew", "anna", "--wait"], arguments].concat()).await
    }

    /// The names of the files that are new.
    fn new_files(&self) -> Vec<String> {
        self.scene.contents().into_keys().filter(|name| !self.before.contains_key(name)).collect()
    }

    /// The files that were there are as they were.
    fn old_is_untouched(&self) {
        let after = self.scene.contents();
        for (name, content) in &self.before {
            assert!(after.get(name) == Some(content), "{name} has changed");
        }
    }

    /// Nothing at all is new.
    fn nothing_is_written(&self) {
        assert_eq!(self.new_files(), Vec::<String>::new());
        self.old_is_untouched();
        let pending = self.scene.state_dir().join("pending/1");
        assert!(!pending.exists() || std::fs::read_dir(&pending).expect("a directory").next().is_none());
    }

    /// The new certificate at this path is what it should be: another key which fits, everything else as before, right
    /// modes, the old untouched.
    fn is_renewed_at(&self, path: &Path) -> Made {
        let made = match self.form {
            Form::Pkcs12(_) => {
                let (package, certificate) = (path, path.with_extension("crt"));
                assert_eq!((mode(package), mode(&certificate)), (0o600, 0o644));
                let made = Made::read_p12(package, PASSWORD);
                assert_eq!(std::fs::read(&certificate).expect("read"), made.pem());
                made
            }
            Form::Pair { protected } => {
                let key = path.with_extension("key");
                assert_eq!((mode(path), mode(&key)), (0o644, 0o600));
                Made::read_pem(path, &key, protected.then_some(PASSWORD))
            }
            Form::Both { protected } => {
                assert_eq!(mode(path), 0o600);
                Made::read_pem(path, path, protected.then_some(PASSWORD))
            }
        };
        assert!(made.fits(), "the key is the certificate's");
        assert!(!made.key.public_eq(&self.old.key), "the key is new");
        assert_eq!((made.key.id(), made.key.bits()), (self.old.key.id(), self.old.key.bits()));
        assert_eq!(made.printed(), self.old.printed());
        assert_ne!(made.certificate.serial_number().to_bn().ok(), self.old.certificate.serial_number().to_bn().ok());
        let life = |made: &Made| {
            let span = made.certificate.not_before().diff(made.certificate.not_after()).expect("a span");
            (span.days, span.secs)
        };
        assert_eq!(life(&made), life(&self.old), "valid as long as the old one was");
        let signed = made.certificate.verify(&made.key).expect("verified");
        assert!(signed, "self-made");
        self.old_is_untouched();
        made
    }

    /// The new certificate, which stands where the form says, beside the old.
    fn is_renewed_beside(&self) -> Made {
        let new = self.new_files();
        let extensions: Vec<&str> = new.iter().filter_map(|name| name.rsplit('.').next()).collect();
        let expected: &[&str] = match self.form {
            Form::Pkcs12(_) => &["crt", "p12"],
            Form::Pair { .. } => &["crt", "key"],
            Form::Both { .. } => &["pem"],
        };
        assert_eq!(extensions, expected, "{new:?}");
        let own = self.path.extension().expect("an extension").to_string_lossy().into_owned();
        let name = new.iter().find(|name| name.ends_with(&own)).expect("the new file");
        let date = name.strip_prefix("anna-").and_then(|rest| rest.strip_suffix(&format!(".{own}"))).expect("a date");
        assert!(chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok(), "{name}");
        self.is_renewed_at(&self.scene.file(name))
    }

    /// The kinds of the log's events, and steps, from the start of the renewal on.
    async fn story(&self) -> Vec<String> {
        let log = self.scene.obnova(&["log", "--json"]).await.ends(0).json();
        let lines = log.as_array().expect("an array").iter().map(|line| {
            let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let [event, step, problem] = [&line["event"], &line["args"]["step"], &line["args"]["problem"]].map(word);
            [event, step, problem].join(" ").trim_end().to_owned()
        });
        lines.skip_while(|line| line != "job-started").collect()
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o7777
}
