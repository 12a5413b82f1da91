//! A server's certificate that is renewed by itself and replaced where it is: nginx is told, serves the new one, and is at no moment
//! without a valid pair, whenever the daemon is killed.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use obnova_tests::{Daemon, Made, Recipe, Scene, eventually};
use openssl::hash::MessageDigest;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode};
use tokio::process::{Child, Command};

macro_rules! killed_at {
    ($($name:ident: $step:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            for instant in ["intended", "acted", "done"] {
                survives(Files::One, $step, instant).await;
                survives(Files::Two, $step, instant).await;
            }
        })*
    };
}

killed_at! {
    nginx_is_served_whenever_preflight_is_killed: "preflight";
    nginx_is_served_whenever_consent_is_killed: "consent";
    nginx_is_served_whenever_generate_keys_is_killed: "generate-keys";
    nginx_is_served_whenever_request_is_killed: "request";
    nginx_is_served_whenever_verify_is_killed: "verify";
    nginx_is_served_whenever_install_is_killed: "install";
    nginx_is_served_whenever_register_is_killed: "register";
    nginx_is_served_whenever_retire_old_is_killed: "retire-old";
}

#[tokio::test]
async fn nginx_is_served_from_two_files_too() {
    let story = Story::begins(Files::Two, "").await;
    let _daemon = story.scene.start().await;
    story.ends_well().await;
}

#[tokio::test]
async fn a_hook_that_fails_is_run_again_and_then_waits_for_a_person() {
    // Twice it fails, then it does as it is told.
    let story = Story::begins(Files::One, "[ $(wc -l <\"$0.runs\") -gt 2 ] || exit 7").await;
    let daemon = story.scene.start().await;
    story.ends_well().await;
    assert_eq!(story.hook_runs(), 3, "{}", daemon.log());
    drop(daemon);

    let story = Story::begins(Files::One, "[ -e \"$0.allowed\" ] || { echo 'not yet' >&2; exit 7; }").await;
    let _daemon = story.scene.start().await;
    let item =
        story.scene.item("a renewal whose hook has failed", |item| item.kind == "renewal" && item.state == "waiting").await;
    let problem = item.problem.expect("why it waits");
    assert_eq!(problem.kind, "hook-failed");
    assert!(problem.args["detail"].contains("not yet"), "{problem:?}");
    assert_eq!(story.hook_runs(), 3);
    // What has been installed stays, and nginx serves what it knows.
    assert_ne!(story.file_sha256(), story.old.sha256());
    assert_eq!(story.served().await, story.old.sha256());
    std::fs::write(story.hook().with_extension("sh.allowed"), "").expect("written");
    story.scene.obnova(&["resume", &item.id]).await.ends(0);
    story.ends_well().await;
    assert_eq!(story.hook_runs(), 4);
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_left_alone() {
    let story = Story::begins(Files::One, "").await;
    let mut command = story.scene.obnovad();
    command.env("OBNOVA_HALT_AT", "install:intended");
    let mut daemon = story.scene.start_as(command).await;
    assert_eq!(daemon.ended().await.signal(), Some(9), "{}", daemon.log());
    let other = Recipe::new("server").days_left(300).make_with(story.old.key.clone());
    let content = [other.pem(), other.key_pem()].concat();
    story.client.stop();
    std::fs::write(story.certificate(), &content).expect("written");
    let _daemon = story.scene.start().await;
    let item = story.scene.item("a renewal that waits", |item| item.kind == "renewal" && item.state == "waiting").await;
    assert_eq!(item.problem.expect("why it waits").kind, "changed-meanwhile");
    assert_eq!(std::fs::read(story.certificate()).expect("read"), content);
}

async fn survives(files: Files, step: &str, instant: &str) {
    let story = Story::begins(files, "").await;
    let mut command = story.scene.obnovad();
    command.env("OBNOVA_HALT_AT", format!("{step}:{instant}"));
    let mut daemon = story.scene.start_as(command).await;
    assert_eq!(daemon.ended().await.signal(), Some(9), "{step} {instant}: {}", daemon.log());
    let mut daemon = story.scene.start().await;
    story.ends_well().await;
    // And it stays so.
    assert!(daemon.stop().await.success(), "{}", daemon.log());
    let _daemon: Daemon = story.scene.start().await;
    story.ends_well().await;
}

/// How the server's certificate and key lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    One,
    Two,
}

/// nginx on a socket of its own, and a certificate that ends in twenty days.
struct Story {
    scene: Scene,
    old: Made,
    /// What stood in each file at first, and its permissions.
    before: Vec<(PathBuf, Vec<u8>, u32)>,
    client: Client,
    _nginx: Child,
}

impl Story {
    /// `hook`: what the hook does before it has nginx read its files again.
    async fn begins(files: Files, hook: &str) -> Self {
        let scene = Scene::set().await;
        let old = Recipe::new("server").days_left(20).make();
        let before = match files {
            Files::One => vec![("server.pem", [old.pem(), old.key_pem()].concat(), 0o640)],
            Files::Two => vec![("server.pem", old.pem(), 0o644), ("server.key", old.key_pem(), 0o640)],
        };
        let before: Vec<_> =
            before.into_iter().map(|(name, content, mode)| (scene.write(name, &content), content, mode)).collect();
        for (path, _, mode) in &before {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode)).expect("permitted");
            // The group of those who may read keys.
            std::os::unix::fs::chown(path, None, Some(33)).expect("given to a group");
        }
        let directory = scene.home();
        let nginx = start_nginx(&directory, &before[0].0, &before[before.len() - 1].0).await;

        let script = directory.join("hook.sh");
        let text = format!(
            "#!/bin/sh\nset -e\necho \"$OBNOVA_EVENT $OBNOVA_PLACE\" >>\"$0.runs\"\n{hook}\nexec /usr/sbin/nginx -c {}/nginx.conf -s reload\n",
            directory.display()
        );
        std::fs::write(&script, text).expect("written");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("permitted");
        let configuration = directory.join(".config/obnova");
        std::fs::create_dir_all(configuration.join("programmes.d")).expect("a directory");
        let watch = format!("[watch]\nplaces = [\"file:{}\"]\n", before[0].0.display());
        std::fs::write(configuration.join("obnova.toml"), watch).expect("written");
        let programme = include_str!("../../fixtures/programmes/server.toml").replace("HOOK", script.to_str().expect("UTF-8"));
        std::fs::write(configuration.join("programmes.d/server.toml"), programme).expect("written");

        let client = Client::start(directory.join("socket"), &before[0].0, files);
        Self { scene, old, before, client, _nginx: nginx }
    }

    fn certificate(&self) -> &Path {
        &self.before[0].0
    }

    fn hook(&self) -> PathBuf {
        self.scene.home().join("hook.sh")
    }

    fn hook_runs(&self) -> usize {
        std::fs::read_to_string(self.hook().with_extension("sh.runs")).map_or(0, |runs| runs.lines().count())
    }

    fn file_sha256(&self) -> String {
        self.pair().sha256()
    }

    fn pair(&self) -> Made {
        let last = &self.before[self.before.len() - 1].0;
        Made::read_pem(self.certificate(), last, None)
    }

    async fn served(&self) -> String {
        let socket = self.scene.home().join("socket");
        tokio::task::spawn_blocking(move || handshake(&socket)).await.expect("no panic").expect("a handshake")
    }

    async fn ends_well(&self) {
        let place = format!("file:{}", self.certificate().display());
        let done = |item: &obnova_api::ItemView| {
            item.kind == "identity" && item.state == "valid" && item.place.as_ref() == Some(&place) && item.job.is_none()
        };
        self.scene.item("a valid certificate", done).await;
        let new = self.pair();
        assert!(new.fits() && new.sha256() != self.old.sha256() && new.printed() == self.old.printed());
        eventually("nginx serves the new one", async || (self.served().await == new.sha256()).then_some(())).await;
        self.client.assert_served(&[self.old.sha256(), new.sha256()]);

        let contents = self.scene.contents();
        assert_eq!(contents.len(), 2 * self.before.len(), "the new ones and the copies: {:?}", contents.keys());
        for (path, content, mode) in &self.before {
            let metadata = path.metadata().expect("there");
            assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (*mode, 33), "{}", path.display());
            let copies: Vec<_> = contents.iter().filter(|(_, other)| *other == content).collect();
            let [(name, _)] = copies.as_slice() else { panic!("one copy: {copies:?}") };
            let stem = path.file_stem().expect("a name").to_string_lossy();
            assert!(
                name.starts_with(&format!("{stem}-20")) && name.len() == path.file_name().expect("a name").len() + 11,
                "{name}"
            );
            let metadata = self.scene.file(name).metadata().expect("there");
            assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (*mode, 33), "{name}");
        }
        let renewals = self.scene.obnova(&["renewals", "--all", "--json"]).await.ends(0).json();
        let renewals = renewals.as_array().expect("a list");
        assert!(renewals.len() == 1 && renewals[0]["state"] == "done", "{renewals:?}");
    }
}

async fn start_nginx(directory: &Path, certificate: &Path, key: &Path) -> Child {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let there = Command::new(root.join("testbed/nginx.sh")).output().await.expect("nginx.sh runs");
    assert!(there.status.success(), "{}", String::from_utf8_lossy(&there.stderr));
    let nginx = String::from_utf8(there.stdout).expect("UTF-8");
    let shown = directory.display();
    let configuration = format!(
        "daemon off;\nuser root;\nworker_processes 2;\npid {shown}/nginx.pid;\nerror_log {shown}/error.log;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {shown}/a;\nproxy_temp_path {shown}/b;\nfastcgi_temp_path {shown}/c;\n\
         uwsgi_temp_path {shown}/d;\nscgi_temp_path {shown}/e;\nserver {{\nlisten unix:{shown}/socket ssl;\n\
         ssl_certificate {};\nssl_certificate_key {};\nreturn 204;\n}}\n}}\n",
        certificate.display(),
        key.display()
    );
    let path = directory.join("nginx.conf");
    std::fs::write(&path, configuration).expect("written");
    let log = std::fs::File::create(directory.join("nginx.log")).expect("a log");
    let child = Command::new(nginx.trim())
        .arg("-c")
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("nginx runs");
    let socket = directory.join("socket");
    eventually("nginx", async || (directory.join("nginx.pid").exists() && handshake(&socket).is_ok()).then_some(())).await;
    child
}

/// One connection: the digest of the certificate whose key the server has proved to have.
fn handshake(socket: &Path) -> Result<String, String> {
    let mut context = SslContext::builder(SslMethod::tls_client()).expect("a context");
    context.set_verify(SslVerifyMode::NONE);
    let stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
    let ssl = Ssl::new(&context.build()).expect("a client");
    let stream = ssl.connect(stream).map_err(|error| error.to_string())?;
    let certificate = stream.ssl().peer_certificate().ok_or("no certificate")?;
    let digest = certificate.digest(MessageDigest::sha256()).expect("a digest");
    Ok(digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")))
}

/// Connects again and again, and looks at the files again and again; keeps what it saw.
struct Client {
    stop: Arc<AtomicBool>,
    seen: Arc<std::sync::Mutex<Vec<Result<String, String>>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Client {
    fn start(socket: PathBuf, certificate: &Path, files: Files) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::<std::sync::Mutex<Vec<Result<String, String>>>>::default();
        let again = |look: Box<dyn Fn() -> Result<String, String> + Send>| {
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let saw = look();
                    let mut seen = seen.lock().expect("no panic while held");
                    if seen.last() != Some(&saw) {
                        seen.push(saw);
                    }
                    drop(seen);
                    // The others want to run, too.
                    std::thread::sleep(Duration::from_micros(500));
                }
            })
        };
        let (path, key) = (certificate.to_owned(), certificate.with_extension("key"));
        let threads = vec![
            again(Box::new(move || handshake(&socket))),
            again(Box::new(move || match files {
                Files::One => valid_pair(&path, &path),
                Files::Two => valid_soon(&path, &key),
            })),
        ];
        Self { stop, seen, threads }
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        eventually_over(&self.threads);
    }

    /// At no moment anything else than these was served or stood in the files.
    fn assert_served(&self, allowed: &[String]) {
        for saw in self.seen.lock().expect("no panic while held").iter() {
            let saw = saw.as_ref().unwrap_or_else(|error| panic!("a moment without a valid pair: {error}"));
            assert!(allowed.contains(saw), "{saw} is none of {allowed:?}");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn eventually_over(threads: &[JoinHandle<()>]) {
    while !threads.iter().all(JoinHandle::is_finished) {
        std::thread::yield_now();
    }
}

/// Two files are neither read nor exchanged at one moment: one is renamed directly after the other, and whoever does so, or reads,
/// may have to wait for its turn in between.
fn valid_soon(certificate: &Path, key: &Path) -> Result<String, String> {
    let begun = Instant::now();
    loop {
        match valid_pair(certificate, key) {
            Err(_) if begun.elapsed() < Duration::from_millis(250) => std::thread::yield_now(),
            found => return found,
        }
    }
}

/// The digest of the certificate, if the key is its own.
fn valid_pair(certificate: &Path, key: &Path) -> Result<String, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| error.to_string());
    let first = read(certificate)?;
    let second = if key == certificate { first.clone() } else { read(key)? };
    let certificate = openssl::x509::X509::from_pem(&first).map_err(|error| error.to_string())?;
    let key = openssl::pkey::PKey::private_key_from_pem(&second).map_err(|error| error.to_string())?;
    let public = certificate.public_key().map_err(|error| error.to_string())?;
    if !key.public_eq(&public) {
        return Err("the key is not the certificate's".into());
    }
    let made = Made { certificate, key };
    Ok(made.sha256())
}
