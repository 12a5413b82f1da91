//! `card` and `doctor` over the real programs: on a token of software and on PIV cards, with others who look at what has become of
//! them.

use obnova_tests::card::wire::{Algorithm, PinPolicy, Wire};
use obnova_tests::token::{PIN, PUK, SoftToken};
use obnova_tests::twins::{CardAuthority, Use};
use obnova_tests::{CardKind, CardReader, Daemon, KeyKind, Scene, VirtualCard};
use serde_json::Value;

use super::twins::configured;

/// A token with a pair that a programme renews, watched.
async fn token(scene: &Scene) -> (SoftToken, Daemon) {
    let token = SoftToken::new("Anna");
    let authority = CardAuthority::new();
    let qualified = token.generate("01", "qualified", KeyKind::Rsa(2048), &["--always-auth", "--usage-sign"]);
    let commercial = token.generate("02", "commercial", KeyKind::P256, &["--usage-sign", "--usage-derive"]);
    token.write("01", "qualified", &authority.issue("Anna Novak", &qualified, Use::Binding, 20));
    token.write("02", "commercial", &authority.issue("Anna Novak", &commercial, Use::Agreeing, 20));
    let daemon = scene.start_as(configured(scene, "card-twins", &token.configuration())).await;
    scene.obnova(&["watch", &token.place()]).await.ends(0);
    (token, daemon)
}

/// The checks of this name in what `doctor --json` printed.
fn checks<'a>(all: &'a Value, name: &str) -> Vec<&'a Value> {
    let all = all.as_array().expect("an array");
    all.iter().filter(|check| check["check"] == name).collect()
}

#[tokio::test]
async fn a_tokens_pin_is_changed_and_replaced() {
    let scene = Scene::set().await;
    let (token, _daemon) = token(&scene).await;
    let listed = scene.obnova(&["card", "list", "--json"]).await.ends(0).json();
    assert_eq!(listed.as_array().expect("an array").len(), 1, "{listed}");
    assert_eq!((&listed[0]["name"], &listed[0]["state"]), (&"Anna".into(), &"present".into()));
    assert_eq!(listed[0]["card"]["watched"], true);
    assert_eq!(listed[0]["certificates"].as_array().expect("an array").len(), 2);

    // A wrong one brings the same question back, and the new PIN is asked for only after the right one.
    let outcome = scene.obnova_answering(&format!("pin=000000\npin={PIN}\nnew-pin=141421\n"), &["card", "change-pin"]).await;
    assert!(outcome.clone().ends(0).err.contains("is changed"), "{outcome:?}");
    assert!(token.opens("141421") && !token.opens(PIN));

    // Without a new one nothing is changed.
    let outcome = scene.obnova_answering("pin=141421\n", &["card", "change-pin", "ann"]).await.ends(1);
    assert!(outcome.err.contains("nothing on the card was changed"), "{outcome:?}");
    assert!(token.opens("141421"));

    let answers = format!("puk=00000000\npuk={PUK}\nnew-pin={PIN}\n");
    scene.obnova_answering(&answers, &["card", "unblock"]).await.ends(0);
    assert!(token.opens(PIN) && !token.opens("141421"));
    for secret in [PIN, PUK, "141421"] {
        let log = scene.obnova(&["log", "--json"]).await.ends(0).out;
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn the_doctor_names_what_is_on_a_token_and_touches_nothing() {
    let scene = Scene::set().await;
    let (token, daemon) = token(&scene).await;
    let well = scene.obnova(&["doctor", "Anna Novak", "--json"]).await;
    let found = well.json();
    assert_eq!(checks(&found, "room")[0]["state"], "ok", "{found}");
    assert_eq!(checks(&found, "room")[0]["args"]["count"], "2");
    assert_eq!(checks(&found, "twins")[0]["state"], "ok");
    assert_eq!(checks(&found, "keys").len(), 1, "{found}");
    assert!(checks(&found, "foreign").is_empty(), "{found}");

    token.generate("09", "a stranger's", KeyKind::P256, &["--usage-sign"]);
    let before = token.objects();
    let found = scene.obnova(&["doctor", "--json"]).await.json();
    let foreign = checks(&found, "foreign");
    assert_eq!(foreign.len(), 1, "{found}");
    assert_eq!((&foreign[0]["args"]["spot"], &foreign[0]["state"]), (&"09".into(), &"notice".into()));
    let shown = scene.obnova(&["card", "show", "--json"]).await.ends(0).json();
    let spots = shown["card"]["spots"].as_array().expect("spots");
    let strangers: Vec<&Value> = spots.iter().filter(|spot| spot["known"] == false).collect();
    assert_eq!(strangers.len(), 1, "{shown}");
    assert_eq!(token.objects(), before);

    // What a renewal of ours has made is no stranger's, though the old pair is still there.
    let answers = format!("consent=renewal:yes\npin={PIN}\n");
    scene.obnova_answering(&answers, &["renew", "Anna Novak", "--wait"]).await.ends(0);
    let found = scene.obnova(&["doctor", "--json"]).await.json();
    assert_eq!(checks(&found, "foreign").len(), 1, "{found}");
    drop(daemon);
}

/// Anna's card in a reader, and the daemon beside it that watches it.
struct Piv {
    scene: Scene,
    reader: CardReader,
    card: VirtualCard,
    _daemon: Daemon,
}

impl Piv {
    async fn watched(kind: CardKind) -> Self {
        let reader = CardReader::start().await;
        let state = reader.state("anna");
        let authority = CardAuthority::new();
        let mut wire = Wire::open(kind, &state).await;
        wire.administer().await;
        for (slot, usage) in [(0x9A, Use::Agreeing), (0x9C, Use::Binding)] {
            let key = wire.generate(slot, Algorithm::P256, PinPolicy::Usual).await;
            wire.write_certificate(slot, &authority.issue("Anna Novak", &key, usage, 20).to_der().expect("DER")).await;
        }
        wire.close().await;
        let card = reader.insert(kind, &state).await;
        let scene = Scene::set().await;
        let daemon = scene.start_as(reader.confine(&configured(&scene, "card-twins", ""))).await;
        let piv = Self { scene, reader, card, _daemon: daemon };
        let place = piv.shown().await["place"].as_str().expect("a place").to_owned();
        piv.scene.obnova(&["watch", &place]).await.ends(0);
        piv
    }

    /// The one PIV card that is there or remembered.
    async fn shown(&self) -> Value {
        let listed = self.scene.obnova(&["card", "list", "--json"]).await.ends(0).json();
        let cards = listed.as_array().expect("an array").iter();
        let mut cards = cards.filter(|card| card["place"].as_str().is_some_and(|place| place.starts_with("piv:")));
        let card = cards.next().unwrap_or_else(|| panic!("no card in {listed}")).clone();
        assert!(cards.next().is_none(), "{listed}");
        card
    }

    /// Whether another program takes this for the PIN.
    async fn opens(&self, pin: &str) -> bool {
        self.reader.run("yubico-piv-tool", &["-a", "verify-pin", "-P", pin]).await.code == 0
    }
}

#[tokio::test]
async fn the_last_try_needs_a_yes_and_the_puk_opens_a_blocked_card() {
    let mut piv = Piv::watched(CardKind::Moves).await;
    assert_eq!(piv.shown().await["card"]["pin_tries"], 3);

    // Two wrong ones, and no yes to the third: one try is left, and nothing was sent.
    let scene = &piv.scene;
    let outcome = scene.obnova_answering("pin=654321\npin=654321\npin=654321\n", &["card", "change-pin"]).await.ends(1);
    assert!(outcome.err.contains("nothing on the card was changed"), "{outcome:?}");
    assert_eq!(piv.shown().await["card"]["pin_tries"], 1);
    let found = scene.obnova(&["doctor", "--json"]).await.ends(1).json();
    assert_eq!(checks(&found, "pin")[0]["state"], "warning", "{found}");

    // With it, the card is blocked, and that is explained.
    let answers = "consent=last-try:yes\npin=654321\n";
    let outcome = scene.obnova_answering(answers, &["card", "change-pin"]).await.ends(1);
    assert!(outcome.err.contains("obnova card unblock"), "{outcome:?}");
    let shown = piv.shown().await;
    assert_eq!((&shown["state"], &shown["card"]["pin_tries"]), (&"blocked".into(), &0.into()), "{shown}");
    assert_eq!(shown["next_step"]["action"], "unblock");
    let found = scene.obnova(&["doctor", "--json"]).await.ends(1).json();
    assert_eq!(checks(&found, "pin")[0]["problem"]["kind"], "pin-blocked", "{found}");

    // A wrong PUK costs one of its tries; the right one sets the new PIN, which was asked for once.
    let answers = "puk=00000000\nnew-pin=222222\npuk=12345678\n";
    scene.obnova_answering(answers, &["card", "unblock"]).await.ends(0);
    assert_eq!(piv.shown().await["card"]["pin_tries"], 3);
    assert!(piv.opens("222222").await && !piv.opens("123456").await);

    // A card that is away is remembered.
    piv.card.remove().await;
    piv.card.is_seen(false).await;
    let away = piv.shown().await;
    assert_eq!((&away["state"], away["card"].is_null()), (&"away".into(), true), "{away}");
    assert_eq!(away["certificates"].as_array().expect("an array").len(), 2);
    let found = piv.scene.obnova(&["doctor", "Anna Novak", "--json"]).await.ends(1).json();
    assert_eq!(checks(&found, "room")[0]["problem"]["kind"], "card-absent", "{found}");
    let id = away["id"].as_str().expect("an id");
    let found = piv.scene.obnova(&["doctor", id, "--json"]).await.ends(1).json();
    assert_eq!(checks(&found, "card")[0]["problem"]["kind"], "card-absent", "{found}");
}

/// A card that tells nothing of its PUK's counter but when it refuses.
#[tokio::test]
async fn a_counter_that_is_told_only_by_a_refusal_is_believed() {
    let piv = Piv::watched(CardKind::Strict).await;
    assert!(piv.shown().await["card"]["puk_tries"].is_null());
    let answers = "puk=00000000\nnew-pin=222222\npuk=00000000\npuk=00000000\n";
    let outcome = piv.scene.obnova_answering(answers, &["card", "unblock"]).await.ends(1);
    assert!(outcome.err.contains("nothing on the card was changed"), "the last try needs a yes: {outcome:?}");
    // Two tries are gone, and not the third.
    piv.scene.obnova_answering("puk=12345678\nnew-pin=222222\n", &["card", "unblock"]).await.ends(0);
    assert!(piv.opens("222222").await);
}

#[tokio::test]
async fn the_doctor_says_what_a_card_cannot_do() {
    let piv = Piv::watched(CardKind::Strict).await;
    let found = piv.scene.obnova(&["doctor", "Anna Novak", "--json"]).await.ends(1).json();
    assert_eq!(checks(&found, "room")[0]["problem"]["kind"], "card-keeps-nothing", "{found}");
    assert_eq!(checks(&found, "card-service")[0]["state"], "ok", "{found}");
    let readers = checks(&found, "reader");
    assert!(readers.iter().any(|reader| reader["args"]["card"] == checks(&found, "card")[0]["args"]["card"]), "{found}");
    let moves = Piv::watched(CardKind::Moves).await;
    let found = moves.scene.obnova(&["doctor", "Anna Novak", "--json"]).await.ends(0).json();
    let room = checks(&found, "room")[0];
    assert_eq!((&room["state"], &room["args"]["moves"]), (&"ok".into(), &"true".into()), "{found}");
    let text = moves.scene.obnova(&["doctor"]).await.ends(0);
    assert!(text.err.contains("Nothing stands in the way"), "{text:?}");
}
