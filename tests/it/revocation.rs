//! What becomes of a certificate that its authority revokes, or whose authority ends first: told once, known after a restart, and asked no
//! more often than is needed. The authority is a server of the tests' own, whose answers are OpenSSL's.

use std::path::{Path, PathBuf};

use chrono::Duration;
use obnova_api::{CheckView, ItemView, RevocationView};
use obnova_tests::authority::register::{Asked, Register, SINCE, Says};
use obnova_tests::twins::CardAuthority;
use obnova_tests::{KeyKind, eventually};
use obnovad::clock::SimulatedClock;
use openssl::pkey::PKey;
use openssl::x509::X509;
use tempfile::TempDir;

use crate::inside::{Inside, clock};

/// As long as any certificate waits until it is looked at for the first time, and longer.
const SOON: Duration = Duration::minutes(11);

/// As long as an answer is believed at most, the spread included, and longer.
const LATER: Duration = Duration::hours(8 * 24);

struct Story {
    scratch: TempDir,
    authority: CardAuthority,
    register: Register,
    clock: SimulatedClock,
}

impl Story {
    fn begin(authority_days: i64) -> Self {
        let authority = CardAuthority::ending("Obnova test CA", authority_days);
        let register = Register::open(&authority);
        Self { scratch: TempDir::new().expect("a directory"), authority, register, clock: clock() }
    }

    /// Anna's certificate, with its key beside it in one file; its place.
    fn annas(&self, days_left: i64, asked: Asked) -> (X509, String) {
        let key = KeyKind::P256.generate();
        let public = PKey::public_key_from_der(&key.public_key_to_der().expect("DER")).expect("a public key");
        let certificate = self.register.issue(&self.authority, "Anna Novak", &public, days_left, asked);
        let path = self.scratch.path().join("anna.pem");
        let key = key.private_key_to_pem_pkcs8().expect("PEM");
        std::fs::write(&path, [certificate.to_pem().expect("PEM"), key].concat()).expect("written");
        (certificate, format!("file:{}", path.display()))
    }

    async fn start(&self) -> Inside {
        self.start_as("[network]\nlocal = true\n").await
    }

    async fn start_as(&self, configuration: &'static str) -> Inside {
        let state: PathBuf = self.scratch.path().join("state");
        Inside::start_with(&state, &self.clock, |parts| {
            let settings = obnovad::config::parse(Path::new("obnova.toml"), configuration);
            parts.settings = settings.expect("a right configuration");
        })
        .await
    }

    /// Moves on until the certificate was looked at anew, and gives what was found.
    async fn looked_at(&self, daemon: &Inside, by: Duration) -> (ItemView, RevocationView) {
        let before = daemon.identity().await.revocation.map(|known| known.at);
        daemon.pass(by).await;
        eventually("a new look", async || {
            let item = daemon.identity().await;
            let known = item.revocation.clone().filter(|known| Some(&known.at) != before.as_ref())?;
            Some((item, known))
        })
        .await
    }
}

async fn doctor(daemon: &Inside, check: &str) -> CheckView {
    let id = daemon.identity().await.id;
    let checks = daemon.manager.doctor(&id).await.expect("checks");
    checks.into_iter().find(|found| found.check == check).expect("it was looked at")
}

#[tokio::test]
async fn a_certificate_that_is_revoked_is_told_once_and_asked_about_once_a_day() {
    let story = Story::begin(3650);
    let (certificate, place) = story.annas(300, Asked::Both);
    let daemon = story.start().await;
    daemon.watch(&place).await;
    assert_eq!(doctor(&daemon, "revocation").await.args["standing"], "waiting");
    let (item, known) = story.looked_at(&daemon, SOON).await;
    assert_eq!((item.state.as_str(), item.level.as_str()), ("valid", "ok"));
    assert_eq!((known.standing.as_str(), known.way.as_deref(), known.chain.as_str()), ("good", Some("ocsp"), "root"));
    let asked = ["/ca.crt", "/ocsp"];
    assert_eq!(story.register.asked(), asked);
    daemon.pass(Duration::hours(3)).await;
    let told = doctor(&daemon, "revocation").await;
    assert_eq!((told.state.as_str(), told.args["count"].as_str(), told.args["way"].as_str()), ("ok", "3", "ocsp"));

    // Neither after a restart nor while an answer still holds.
    daemon.stop().await;
    let daemon = story.start().await;
    daemon.settle().await;
    daemon.pass(Duration::days(4)).await;
    assert_eq!(story.register.asked(), asked);
    story.register.revoke(&certificate, "keyCompromise");
    let (item, known) = story.looked_at(&daemon, LATER).await;
    assert_eq!(story.register.asked(), ["/ca.crt", "/ocsp", "/ocsp"], "whose certificate is kept");
    assert_eq!((item.state.as_str(), item.level.as_str()), ("revoked", "critical"));
    let problem = item.problem.expect("a problem");
    assert_eq!((problem.kind.as_str(), problem.args["reason"].as_str()), ("revoked", "key-compromise"));
    assert_eq!((problem.args["since"].as_str(), known.since.as_deref()), (SINCE, Some(SINCE)));
    assert_eq!(daemon.noticed(1).await, ["revoked"]);
    assert_eq!(doctor(&daemon, "revocation").await.problem.expect("a problem").kind, "revoked");

    daemon.stop().await;
    let daemon = story.start().await;
    daemon.settle().await;
    assert_eq!(daemon.identity().await.state, "revoked", "also while nobody has asked again");
    story.looked_at(&daemon, LATER).await;
    assert_eq!(daemon.announced().await, ["revoked"], "once");
    daemon.stop().await;
}

#[tokio::test]
async fn a_suspension_by_the_list_is_told_and_may_end() {
    let story = Story::begin(3650);
    let (certificate, place) = story.annas(300, Asked::List);
    story.register.revoke(&certificate, "certificateHold");
    let daemon = story.start().await;
    daemon.watch(&place).await;
    let (item, known) = story.looked_at(&daemon, SOON).await;
    assert_eq!((item.state.as_str(), known.way.as_deref(), known.reason.as_deref()), ("revoked", Some("list"), Some("hold")));
    story.register.reinstate(&certificate);
    let (item, known) = story.looked_at(&daemon, LATER).await;
    assert_eq!((item.state.as_str(), known.standing.as_str()), ("valid", "good"));
    assert_eq!(daemon.announced().await, ["revoked"]);
    daemon.stop().await;
}

#[tokio::test]
async fn what_says_nothing_that_can_be_proved_changes_nothing() {
    let story = Story::begin(3650);
    let (_, place) = story.annas(300, Asked::Both);
    let daemon = story.start().await;
    daemon.watch(&place).await;
    story.register.says(Says::Broken);
    let (item, known) = story.looked_at(&daemon, SOON).await;
    assert_eq!((item.state.as_str(), known.why.as_deref(), known.chain.as_str()), ("valid", Some("no-issuer"), "nothing"));
    story.register.says(Says::Truth);
    let (_, known) = story.looked_at(&daemon, LATER).await;
    assert_eq!((known.standing.as_str(), known.why), ("good", None));
    for (says, why) in [(Says::Garbage, "malformed"), (Says::Broken, "refused")] {
        story.register.says(says);
        let (item, known) = story.looked_at(&daemon, LATER).await;
        assert_eq!((item.state.as_str(), known.standing.as_str(), known.why.as_deref()), ("valid", "unknown", Some(why)));
        let told = doctor(&daemon, "revocation").await;
        assert_eq!((told.state.as_str(), told.args["why"].as_str()), ("notice", why));
    }
    assert_eq!(daemon.announced().await, [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn nobody_is_asked_where_that_is_not_wanted_or_leads_where_it_must_not() {
    let story = Story::begin(3650);
    let (_, place) = story.annas(300, Asked::Both);
    let daemon = story.start_as("[network]\nrevocation = false\nlocal = true\n").await;
    daemon.watch(&place).await;
    daemon.pass(LATER).await;
    assert_eq!(doctor(&daemon, "revocation").await.args["standing"], "off");
    let item = daemon.identity().await;
    assert_eq!((item.revocation, item.state.as_str()), (None, "valid"));
    daemon.stop().await;
    // Its authority is known here; that leads no stranger's address to this machine.
    let authority = story.scratch.path().join("ca.pem");
    std::fs::write(&authority, story.authority.certificate().to_pem().expect("PEM")).expect("written");
    let daemon = story.start_as("").await;
    daemon.watch(&format!("file:{}", authority.display())).await;
    daemon.pass(SOON).await;
    eventually("a look", async || {
        let items = daemon.items().await;
        let known = items.into_iter().find_map(|item| item.revocation)?;
        (known.why.as_deref() == Some("forbidden") && known.chain == "root").then_some(())
    })
    .await;
    assert_eq!(story.register.asked(), [""; 0]);
    daemon.stop().await;
}

#[tokio::test]
async fn an_authority_that_ends_first_is_warned_of_in_time() {
    let story = Story::begin(40);
    let (_, place) = story.annas(300, Asked::Both);
    let daemon = story.start().await;
    daemon.watch(&place).await;
    let (item, known) = story.looked_at(&daemon, SOON).await;
    assert_eq!((item.state.as_str(), item.problem), ("valid", None), "in good time");
    assert_eq!((item.deadline, item.not_after > known.chain_ends), (known.chain_ends, true));
    daemon.pass(Duration::days(20)).await;
    assert_eq!(daemon.noticed(1).await, ["three-weeks"]);
    let problem = daemon.identity().await.problem.expect("a problem");
    assert_eq!((problem.kind.as_str(), problem.args["authority"].as_str()), ("authority-ends", "Obnova test CA"));
    assert_eq!(doctor(&daemon, "chain").await.problem.expect("a problem").kind, "authority-ends");
    daemon.stop().await;
    let daemon = story.start().await;
    daemon.pass(Duration::days(21)).await;
    assert_eq!(daemon.noticed(1).await, ["expired"]);
    let item = daemon.identity().await;
    assert_eq!((item.state.as_str(), item.level.as_str()), ("authority-ended", "critical"));
    daemon.stop().await;
}

/// Of a machine's own certificates only those with a key are watched; what lies beside them is the chain that they are sent with.
#[tokio::test]
async fn an_authority_that_lies_beside_a_machines_certificate_need_not_be_fetched() {
    let story = Story::begin(3650);
    let (_, place) = story.annas(300, Asked::Both);
    let own = std::fs::read(place.trim_start_matches("file:")).expect("read");
    let directory = story.scratch.path().join("root/etc/ssl");
    std::fs::create_dir_all(&directory).expect("a directory");
    let chain = story.authority.certificate().to_pem().expect("PEM");
    std::fs::write(directory.join("server.pem"), [own, chain].concat()).expect("written");
    let daemon = Inside::start_with(&story.scratch.path().join("state"), &story.clock, |parts| {
        let settings = obnovad::config::parse(Path::new("obnova.toml"), "[network]\nlocal = true\n");
        parts.settings = settings.expect("a right configuration");
        parts.machine = obnovad::watching::Machine::at(story.scratch.path().join("root"), true);
    })
    .await;
    eventually("its certificate", async || (!daemon.items().await.is_empty()).then_some(())).await;
    let (item, known) = story.looked_at(&daemon, SOON).await;
    assert_eq!((item.name.as_str(), known.standing.as_str(), known.chain.as_str()), ("Anna Novak", "good", "root"));
    assert_eq!(story.register.asked(), ["/ocsp"]);
    daemon.stop().await;
}
