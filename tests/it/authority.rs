//! Renewals by an authority in the network, which is a server of the tests' own: what it receives is judged by OpenSSL, what it counts
//! is exact, and however it fails, nothing wrong is installed.

mod est;
mod hostile;
mod killed;
mod mailed;
mod posted;
mod whole;

use std::path::Path;

use obnova_tests::authority::StandIn;
use obnova_tests::twins::Use;
use obnova_tests::{KeyKind, Made, Scene};
use openssl::pkey::PKey;
use tokio::process::Command;

const PASSWORD: &str = "geheim";
const ANSWERS: &str = "consent=renewal:yes\npassword=geheim\n";

/// Prepares a daemon that renews by signed requests.
fn configured(scene: &Scene, stand_in: &StandIn, change: impl FnOnce(&str) -> String) -> Command {
    configured_for("signed-request", scene, stand_in, change)
}

/// Writes the programme of this example for the stand-in beside an `obnova.toml` that lets it ask on this machine what was revoked, and prepares a daemon with it.
fn configured_for(example: &str, scene: &Scene, stand_in: &StandIn, change: impl FnOnce(&str) -> String) -> Command {
    let directory = scene.home().join("configuration");
    std::fs::create_dir_all(directory.join("programmes.d")).expect("a directory");
    stand_in.write_programme(example, &directory.join(format!("programmes.d/{example}.toml")), change);
    std::fs::write(directory.join("obnova.toml"), "[network]\nlocal = true\n").expect("written");
    with(scene, &directory.join("obnova.toml"))
}

fn with(scene: &Scene, configuration: &Path) -> Command {
    let mut command = scene.obnovad();
    command.arg("--config").arg(configuration).env("OBNOVA_LOG", "debug");
    command
}

/// Anna's certificate of this authority, with 20 days left.
fn annas(stand_in: &StandIn, kind: KeyKind) -> Made {
    let key = kind.generate();
    let public = PKey::public_key_from_der(&key.public_key_to_der().expect("DER")).expect("a public key");
    let usage = if matches!(kind, KeyKind::Rsa(_)) { Use::Everyday } else { Use::Agreeing };
    Made { certificate: stand_in.issued("Anna Novak", &public, usage, 20), key }
}

/// The one new `.p12` beside `anna.p12`, whose name tells the day.
fn renewed(scene: &Scene) -> Option<Made> {
    let names: Vec<String> =
        scene.contents().into_keys().filter(|name| name.starts_with("anna-2") && !name.contains(".crt")).collect();
    assert!(names.len() <= 1, "{names:?}");
    names.first().map(|name| Made::read_p12(&scene.file(name), PASSWORD))
}
