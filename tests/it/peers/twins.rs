//! Two certificates on one card, renewed together beside the old pair, and what others see of it who know nothing of us.

mod databases;
mod network;
mod page;
mod piv;
mod token;

use obnova_tests::Scene;

/// Puts a programme of `fixtures/programmes` beside a configuration, which is written, and starts the daemon with both.
pub(super) fn configured(scene: &Scene, programme: &str, configuration: &str) -> tokio::process::Command {
    let directory = scene.home().join("configuration");
    std::fs::create_dir_all(directory.join("programmes.d")).expect("a directory");
    let source = format!("{}/fixtures/programmes/{programme}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(&source, directory.join("programmes.d").join(format!("{programme}.toml"))).expect("the programme");
    std::fs::write(directory.join("obnova.toml"), configuration).expect("written");
    let mut command = scene.obnovad();
    command.arg("--config").arg(directory.join("obnova.toml")).env("OBNOVA_LOG", "debug");
    command
}

/// What the simulated authority has counted: requests, orders, certificates.
fn counts(scene: &Scene) -> [u64; 3] {
    let ledger = std::fs::read(scene.state_dir().join("simulated-authority/ledger.json")).expect("a ledger");
    let ledger: serde_json::Value = serde_json::from_slice(&ledger).expect("JSON");
    ["requests", "orders", "certificates"].map(|name| ledger[name].as_u64().expect("a number"))
}

/// The last days of the certificates of the one identity that is listed.
async fn listed(scene: &Scene) -> Vec<(String, String)> {
    let outcome = scene.obnova(&["list", "--json"]).await.ends(0);
    let items = outcome.json();
    let items = items.as_array().expect("an array");
    assert_eq!(items.len(), 1, "{}", outcome.out);
    let certificates = items[0]["certificates"].as_array().expect("certificates");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    certificates.iter().map(|one| (text(&one["role"]), text(&one["sha256"]))).collect()
}
