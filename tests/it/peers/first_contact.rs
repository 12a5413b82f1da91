//! A machine for which nobody has said what is watched: its own certificates are found, what cannot be read says which command opens
//! it, and what certbot and certmonger renew is left to them. Their files are made by themselves.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use obnova_api::ItemView;
use obnova_tests::system::SystemBus;
use obnova_tests::{Bus, Daemon, Made, PATIENCE, Recipe, eventually};
use rustix::process::Signal;
use tokio::process::Command;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::zvariant::OwnedValue;

/// A machine of its own: these directories in the place of the real ones.
struct Machine {
    system: SystemBus,
    bound: Vec<(PathBuf, &'static str)>,
}

impl Machine {
    async fn make() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let there = Command::new(root.join("testbed/others.sh")).output().await.expect("others.sh runs");
        assert!(there.status.success(), "{}", String::from_utf8_lossy(&there.stderr));
        let system = SystemBus::start().await;
        let bind = |name: &str, target| {
            let path = system.path(name);
            fs::create_dir(&path).expect("a directory");
            fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("permitted");
            (path, target)
        };
        let bound = vec![
            bind("ssl", "/etc/ssl"),
            bind("nginx", "/etc/nginx"),
            bind("letsencrypt", "/etc/letsencrypt"),
            bind("requests", "/var/lib/certmonger/requests"),
            bind("obnova-etc", "/etc/obnova"),
        ];
        fs::create_dir_all("/etc/obnova").expect("where configuration would be");
        let machine = Self { system, bound };
        // Every authority of the system's own, and a directory of keys as Debian closes it.
        let copied = Command::new("cp").args(["-a", "/etc/ssl/certs"]).arg(machine.path("ssl/certs")).status().await;
        assert!(copied.expect("cp runs").success());
        // The one that Debian makes for a machine is not on every machine.
        drop(fs::remove_file(machine.path("ssl/certs/ssl-cert-snakeoil.pem")));
        fs::create_dir(machine.path("ssl/private")).expect("a directory");
        fs::set_permissions(machine.path("ssl/private"), Permissions::from_mode(0o710)).expect("closed");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.system.path(name)
    }

    /// Writes certificate and key as programs do: the key for nobody else's eyes.
    fn write(&self, certificate: &str, key: &str, made: &Made) {
        fs::write(self.path(certificate), made.pem()).expect("written");
        if !key.is_empty() {
            fs::write(self.path(key), made.key_pem()).expect("written");
            fs::set_permissions(self.path(key), Permissions::from_mode(0o600)).expect("closed");
        }
    }

    /// A command with these directories in the place of the machine's.
    fn within(&self, command: &Command) -> Command {
        let command = command.as_std();
        let mount = |(path, target): &(PathBuf, &str)| format!("mount --bind {} {target}\n", path.display());
        // What packages on this machine have brought is not this one's.
        let hidden = "for other in apache2 cockpit dovecot exim4 haproxy httpd ldap openvpn pki postfix prosody stunnel; do [ ! -d /etc/$other ] || mount -t tmpfs none /etc/$other; done\n";
        let script = self.bound.iter().map(mount).collect::<String>() + hidden + "exec \"$@\"";
        let mut whole = Command::new("unshare");
        whole.args(["--mount", "--propagation", "private", "sh", "-ec", &script, "sh"]).arg(command.get_program());
        whole.args(command.get_args()).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        whole.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        whole
    }

    /// A certificate that certbot keeps.
    async fn certbot(&self, name: &str, made: &Made, changes: &[&str]) {
        let scratch = tempfile::tempdir().expect("a directory");
        let (certificate, key) = (scratch.path().join("certificate"), scratch.path().join("key"));
        fs::write(&certificate, made.pem()).expect("written");
        fs::write(&key, made.key_pem()).expect("written");
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed/lineage.py"));
        command.env("PATH", "/usr/bin:/bin").env("HOME", scratch.path());
        command.arg(name).args([certificate, key]).args(changes);
        let made = self.within(&command).output().await.expect("it runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Has certmonger track these files.
    async fn certmonger(&self, tracked: &[(&str, &str, &[&str])]) {
        let bus = Bus::start().await;
        let scratch = tempfile::tempdir().expect("a directory");
        let surround = |program: &str| {
            let mut command = Command::new(program);
            command.env("PATH", "/usr/sbin:/usr/bin:/bin").env("DBUS_SESSION_BUS_ADDRESS", bus.address());
            command.env("HOME", scratch.path()).env("CERTMONGER_REQUESTS_DIR", "/var/lib/certmonger/requests");
            for name in ["CONFIG", "CAS", "LOCAL_CA", "TMP"] {
                command.env(format!("CERTMONGER_{name}_DIR"), scratch.path());
            }
            command
        };
        let mut command = surround("certmonger");
        command.args(["-s", "-n", "-B"]);
        let mut command = self.within(&command);
        let mut certmonger = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("certmonger runs");
        let proxy = DBusProxy::new(&bus.connect().await).await.expect("a bus");
        let name = BusName::from_static_str("org.fedorahosted.certmonger").expect("a name");
        eventually("certmonger", async || proxy.name_has_owner(name.clone()).await.expect("an answer").then_some(())).await;
        for (certificate, key, options) in tracked {
            let mut command = surround("getcert");
            command.args(["start-tracking", "-s", "-f", certificate, "-k", key]).args(*options);
            let tracked = self.within(&command).output().await.expect("getcert runs");
            assert!(tracked.status.success(), "{tracked:?}");
        }
        let mut command = surround("getcert");
        command.args(["list", "-s"]);
        eventually("they are read", async || {
            let listed = self.within(&command).output().await.expect("getcert runs");
            (String::from_utf8_lossy(&listed.stdout).matches("expires: 20").count() == tracked.len()).then_some(())
        })
        .await;
        certmonger.start_kill().expect("killed");
        certmonger.wait().await.expect("ended");
    }

    async fn start(&self) -> Daemon {
        let mut command = self.system.command_as(self.system.uid, &self.path("obnovad"));
        command.arg("--system").arg("--state-dir").arg(self.path("state"));
        self.system.await_name(self.within(&command)).await
    }

    async fn items(&self) -> Vec<ItemView> {
        let manager = self.system.manager().await;
        let filter = [("all".to_owned(), OwnedValue::from(true))].into_iter().collect();
        manager.items(filter, "", 100).await.expect("items").0
    }

    async fn names(&self) -> BTreeSet<String> {
        self.items().await.into_iter().filter(|item| item.kind == "identity").map(|item| item.name).collect()
    }

    /// Waits until the certificates of these names are watched, and no others.
    async fn watches(&self, names: &[&str]) {
        let expected: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut last = BTreeSet::new();
        let watched = async {
            while last != expected {
                last = self.names().await;
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, watched).await.is_ok();
        assert!(in_time, "{last:?} are watched, not {expected:?}");
    }

    /// Waits for an identity of this name of which this is true.
    async fn item(&self, name: &str, fits: impl Fn(&ItemView) -> bool) -> ItemView {
        let look =
            async || self.items().await.into_iter().find(|item| item.kind == "identity" && item.name == name && fits(item));
        eventually(name, look).await
    }

    /// What cannot be read, with the command that opens it.
    async fn closed(&self) -> Vec<(String, String)> {
        let problems = self.items().await.into_iter().filter_map(|item| item.problem);
        let denied = problems.filter(|problem| problem.kind == "place-denied");
        denied.map(|problem| (problem.args["path"].clone(), problem.args["command"].clone())).collect()
    }
}

#[tokio::test]
async fn the_machines_own_certificates_are_found_and_those_of_other_tools_left_to_them() {
    let machine = Machine::make().await;
    let lasting = |name: &str, left: i64| Recipe::new(name).begun_days_ago(90 - left).days_left(left).make();
    machine.write("nginx/web.crt", "nginx/web.key", &Recipe::new("Web").days_left(100).make());
    machine.write("nginx/lone.crt", "", &Recipe::new("Lone").days_left(10).make());
    machine.write("ssl/certs/hidden.pem", "ssl/private/hidden.key", &Recipe::new("Hidden").days_left(100).make());
    machine.write("nginx/tracked.crt", "nginx/tracked.key", &lasting("Tracked", 24));
    machine.write("nginx/seen.crt", "nginx/seen.key", &lasting("Seen", 20));
    machine.certbot("soon.example.org", &lasting("Soon", 25), &[]).await;
    machine.certbot("late.example.org", &lasting("Late", 15), &[]).await;
    machine.certbot("manual.example.org", &lasting("Manual", 20), &["autorenew=False"]).await;
    machine
        .certmonger(&[
            ("/etc/nginx/tracked.crt", "/etc/nginx/tracked.key", &["-I", "web"]),
            // Told to look after it and not to renew it.
            ("/etc/nginx/seen.crt", "/etc/nginx/seen.key", &["-I", "seen", "-R"]),
        ])
        .await;
    // As the package brings it.
    let default = include_str!("../../../packaging/obnova.toml");
    fs::write(machine.path("obnova-etc/obnova.toml"), default).expect("written");
    let mut daemon = machine.start().await;

    machine.watches(&["Web", "Hidden", "Tracked", "Seen"]).await;
    let closed: BTreeSet<String> = machine.closed().await.into_iter().map(|(path, _)| path).collect();
    let expected = ["/etc/letsencrypt/live", "/etc/ssl/private", "/var/lib/certmonger/requests"];
    assert!(closed.iter().eq(expected), "{closed:?}");

    // Each command is run as it stands there, until nothing is closed any more.
    let enter = daemon.pid().to_string();
    let opened = async || {
        for (_, command) in machine.closed().await {
            let (open, then) = command.split_once(" && ").unwrap_or((&command, ""));
            let open = open.strip_prefix("sudo ").expect("an administrator's");
            let run = Command::new("nsenter").args(["-t", &enter, "-m", "sh", "-c", open]).output().await.expect("it runs");
            assert!(run.status.success(), "{command}: {run:?}");
            if then == "sudo systemctl reload obnovad" {
                daemon.signal(Signal::HUP);
            } else {
                assert_eq!(then, "");
            }
        }
        machine.closed().await.is_empty().then_some(())
    };
    eventually("all is open", opened).await;
    let all = ["Web", "Hidden", "Tracked", "Seen", "Soon", "Late", "Manual"];
    machine.watches(&all).await;

    for (name, tool) in [("Soon", "certbot"), ("Tracked", "certmonger")] {
        let silent = |item: &ItemView| item.renewed_by.as_deref() == Some(tool);
        let item = machine.item(name, silent).await;
        assert_eq!((item.state.as_str(), item.level.as_str(), item.next_step), ("valid", "ok", None), "{name}");
    }
    let late = machine.item("Late", |item| item.renewed_by.as_deref() == Some("certbot")).await;
    assert_eq!((late.state.as_str(), late.level.as_str()), ("expiring", "warning"));
    let shown = machine.system.obnova_as(0, &["show", &late.id]).await.ends(0);
    assert!(shown.out.contains("sudo certbot renew --dry-run --cert-name late.example.org"), "{shown:?}");
    let refused = machine.system.obnova_as(0, &["renew", &late.id]).await.ends(1);
    assert!(refused.err.contains("certbot renews this certificate; Obnova only watches it."), "{refused:?}");
    for name in ["Manual", "Seen", "Web"] {
        assert_eq!(machine.item(name, |_| true).await.renewed_by, None, "{name}");
    }
    // One that was warned about before it was known whose it is: the log has only those.
    let log = machine.system.obnova_as(0, &["log"]).await.ends(0).out;
    assert!(!log.contains("Soon") && log.contains("Late"), "{log}");

    // Kept over a restart; and where somebody has said what is watched, if only nothing, nothing else is looked into.
    assert!(daemon.stop().await.success(), "{}", daemon.log());
    let mut daemon = machine.start().await;
    machine.watches(&all).await;

    // What somebody does not want watched stays unwatched.
    let doctor = machine.system.obnova_as(0, &["doctor"]).await;
    assert!(doctor.out.contains("files and cards that are watched can be read."), "{doctor:?}");
    assert!(doctor.out.contains("certbot renews this certificate") && !doctor.out.contains("Late is renewed as"), "{doctor:?}");
    let web = machine.item("Web", |_| true).await;
    machine.system.obnova_as(0, &["unwatch", &web.id]).await.ends(0);
    machine.watches(&all[1..]).await;
    daemon.signal(Signal::HUP);
    let anew = async || daemon.log().contains("the configuration was read anew").then_some(());
    eventually("it is read anew", anew).await;
    machine.watches(&all[1..]).await;

    fs::write(machine.path("obnova-etc/obnova.toml"), "[watch]\nplaces = []\n").expect("written");
    daemon.signal(Signal::HUP);
    eventually("nothing", async || machine.items().await.is_empty().then_some(())).await;
    assert!(daemon.stop().await.success(), "{}", daemon.log());
}
