//! The installed daemon as a real user manager runs it: started by the bus, inside its sandbox.

use super::install::install;
use obnova_tests::{Made, Recipe};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Told in the user's session. Lines on standard output that begin with `=` are what the test judges.
const STORY: &str = r#"
echo "=before $(systemctl --user is-active obnovad || true)"
obnova status
# The name is there an instant before systemd has been told.
for _ in $(seq 100); do [ "$(systemctl --user is-active obnovad)" = activating ] || break; sleep 0.1; done
echo "=after $(systemctl --user is-active obnovad)"

obnova --secret-fd 3 watch "p12:$HOME/mail.p12" 3< <(echo password=jahoda)
obnova --secret-fd 3 renew Anna --wait --to "$HOME/new.p12" 3< <(printf 'consent=renewal:yes\npassword=jahoda\n')

process=$(systemctl --user show --property MainPID --value obnovad)
grep -E '^(NoNewPrivs|Seccomp|CapEff):' "/proc/$process/status" | sed 's/^/=/; s/:\s*/ /'
tries=200
until systemctl --user show --property StatusText obnovad | grep . -q && [ -n "$(systemctl --user show --property StatusText --value obnovad)" ]; do
    tries=$((tries - 1)); [ $tries -gt 0 ]; sleep 0.02
done
systemctl --user show --property StatusText,NRestarts,WatchdogUSec,LimitCORE obnovad | sed 's/^/=/; s/=/ /2'
systemctl --user stop obnovad
systemctl --user show --property Result,ExecMainStatus obnovad | sed 's/^/=/; s/=/ /2'
"#;

/// An engine that stalls pings no more, and systemd starts another daemon.
const STALL: &str = r#"
mkdir -p "$HOME/.config/systemd/user/obnovad.service.d"
printf '[Service]\nWatchdogSec=2s\nRestartSec=100ms\nEnvironment=OBNOVA_STALL=%s/stall\n' "$HOME" >"$HOME/.config/systemd/user/obnovad.service.d/stall.conf"
systemctl --user daemon-reload
obnova status
first=$(systemctl --user show --property MainPID --value obnovad)
# For longer than the watchdog has patience, it is content.
for _ in $(seq 30); do obnova status >&2; read -rt 0.1 <> <(:) || true; done
echo "=content $([ "$(systemctl --user show --property MainPID --value obnovad)" = "$first" ] && echo yes)"
touch "$HOME/stall"
timeout 60 obnova list >&2 || true
tries=600
until [ "$(systemctl --user show --property NRestarts --value obnovad)" = 1 ] && [ "$(systemctl --user is-active obnovad)" = active ]; do
    tries=$((tries - 1)); [ $tries -gt 0 ]; read -rt 0.1 <> <(:) || true
done
echo "=another $([ "$(systemctl --user show --property MainPID --value obnovad)" != "$first" ] && echo yes)"
obnova status >&2
"#;

#[test]
fn a_stalled_engine_is_restarted() {
    let (home, output) = tell(STALL, |_| {});
    // A process that stands still ends by nothing but the watchdog.
    assert_eq!((output["content"].as_str(), output["another"].as_str()), ("yes", "yes"));
    drop(home);
}

#[test]
fn the_installed_daemon_renews_inside_its_sandbox() {
    let old = Recipe::new("Anna").days_left(20).make();
    let (directory, told) = tell(STORY, |home| old.write_p12(&home.join("mail.p12"), "jahoda", &[]));
    let home = directory.path().join("home");
    let told: BTreeMap<&str, &str> = told.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();

    assert_eq!(told["before"], "inactive");
    assert_eq!(told["after"], "active", "the bus starts the unit, not a stray process");
    let new = Made::read_p12(&home.join("new.p12"), "jahoda");
    assert!(new.fits() && new.printed() == old.printed() && new.sha256() != old.sha256(), "{}", new.printed());
    assert_eq!((told["NoNewPrivs"], told["Seccomp"], told["CapEff"]), ("1", "2", "0000000000000000"));
    assert_eq!((told["NRestarts"], told["WatchdogUSec"], told["LimitCORE"]), ("0", "10min", "0"));
    assert!(told["StatusText"].contains("1 certificate watched"), "{}", told["StatusText"]);
    assert_eq!((told["Result"], told["ExecMainStatus"]), ("success", "0"));
}

/// Tells a story in the session of a user for whom all is installed; what it says behind `=`.
fn tell(story: &str, prepare: impl FnOnce(&Path)) -> (TempDir, BTreeMap<String, String>) {
    let directory = TempDir::new().expect("a temporary directory");
    install(&directory.path().join("stage"), "/usr/local");
    fs::rename(directory.path().join("stage/usr/local"), directory.path().join("local")).expect("the staged files");
    let home = directory.path().join("home");
    fs::create_dir(&home).expect("a home");
    prepare(&home);
    let output = log_in(directory.path(), story);
    let talk = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{told}\n{talk}", output.status);
    let lines = told.lines().filter_map(|line| line.strip_prefix('=')).filter_map(|line| line.split_once(' '));
    let told = lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    (directory, told)
}

fn log_in(directory: &Path, story: &str) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace");
    Command::new("timeout")
        .arg("120")
        .arg(root.join("tests/testbed/user-manager.sh"))
        .arg(directory)
        .args(["bash", "-euo", "pipefail", "-c", story])
        .output()
        .expect("user-manager.sh runs")
}
