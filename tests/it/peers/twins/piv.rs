//! On PIV cards. Where keys move, the new pair takes the old one's slots and the old keys still open old mail; where they do not, nothing
//! is touched that would be lost.

use std::collections::BTreeMap;
use std::path::PathBuf;

use obnova_api::Options;
use obnova_tests::card::wire::{Algorithm, PinPolicy, Wire};
use obnova_tests::twins::{CardAuthority, Use};
use obnova_tests::{Agent, Answer, Asked, CardKind, CardReader, News, Outcome, Scene, VirtualCard, eventually};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;
use openssl::sign::Verifier;
use openssl::x509::X509;

use super::{configured, counts};

const OPENSC: &str = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so";
const PIN: &str = "123456";
const ANSWERS: &str = "consent=renewal:yes\npin=123456\n";

/// Anna's card in a reader: a commercial key in 9A that opens mail, too, a qualified one in 9C, and what else a test puts there.
pub(super) struct Annas {
    reader: CardReader,
    state: PathBuf,
    kind: CardKind,
    commercial: PKey<Public>,
    /// In 9D; opens mail.
    mail: PKey<Public>,
}

impl Annas {
    async fn of(kind: CardKind) -> Self {
        let authority = CardAuthority::new();
        Self::issued_by(kind, |key, usage| authority.issue("Anna Novak", key, usage, 20)).await
    }

    /// The same with certificates of somebody else.
    pub(super) async fn issued_by(kind: CardKind, issue: impl Fn(&PKey<Public>, Use) -> X509) -> Self {
        let reader = CardReader::start().await;
        let state = reader.state("anna");
        let mut wire = Wire::open(kind, &state).await;
        wire.administer().await;
        let commercial = wire.generate(0x9A, Algorithm::Rsa2048, PinPolicy::Usual).await;
        let qualified = wire.generate(0x9C, Algorithm::P256, PinPolicy::Always).await;
        let mail = wire.generate(0x9D, Algorithm::Rsa2048, PinPolicy::Usual).await;
        let certificate = |key, usage| issue(key, usage).to_der().expect("DER");
        wire.write_certificate(0x9A, &certificate(&commercial, Use::Everyday)).await;
        wire.write_certificate(0x9C, &certificate(&qualified, Use::Binding)).await;
        wire.close().await;
        Self { reader, state, kind, commercial, mail }
    }

    /// The same card with a certificate for 9D.
    async fn with_mail(self, authority: &CardAuthority, holder: &str) -> Self {
        let mut wire = Wire::open(self.kind, &self.state).await;
        wire.administer().await;
        let certificate = authority.issue(holder, &self.mail, Use::Everyday, 20);
        wire.write_certificate(0x9D, &certificate.to_der().expect("DER")).await;
        wire.close().await;
        self
    }

    pub(super) async fn insert(&self) -> VirtualCard {
        self.reader.insert(self.kind, &self.state).await
    }

    /// The daemon beside the reader, with the card watched.
    async fn watched(&self, scene: &Scene, programme: &str) -> obnova_tests::Daemon {
        self.watched_by(scene, &configured(scene, programme, "")).await
    }

    /// The daemon that was prepared, beside the reader, with the card watched.
    pub(super) async fn watched_by(&self, scene: &Scene, command: &tokio::process::Command) -> obnova_tests::Daemon {
        let daemon = scene.start_as(self.reader.confine(command)).await;
        scene.obnova(&["watch", &self.place().await]).await.ends(0);
        daemon
    }

    /// A file that other programs at the card may read and write.
    pub(super) fn file(&self, name: &str) -> String {
        self.reader.state(name).to_str().expect("UTF-8").to_owned()
    }

    /// Has Yubico's tool do something with the card.
    pub(super) async fn by_yubico(&self, arguments: &[&str]) {
        self.reader.run("yubico-piv-tool", arguments).await.ends(0);
    }

    /// The card's place, by its GUID as another program tells it.
    pub(super) async fn place(&self) -> String {
        let status = self.reader.run("yubico-piv-tool", &["-a", "status"]).await.ends(0).out;
        let chuid = status.lines().find_map(|line| line.strip_prefix("CHUID:")).map(str::trim);
        let chuid = chuid.unwrap_or_else(|| panic!("no CHUID: {status}"));
        // SP 800-73-4 part 1, table 9: tag 34, 16 bytes.
        match chuid.find("3410") {
            Some(at) => format!("piv:{}", &chuid[at + 4..at + 36]),
            None => panic!("no GUID in {chuid}"),
        }
    }

    async fn pkcs11(&self, arguments: &[&str]) -> Outcome {
        self.reader.run("pkcs11-tool", &[&["--module", OPENSC], arguments].concat()).await
    }

    /// The ids by which OpenSC calls what lies on the card, of one class.
    async fn ids(&self, class: &str) -> Vec<String> {
        let listed = self.pkcs11(&["--login", "--pin", PIN, "--list-objects"]).await.ends(0).out;
        let (mut ids, mut inside) = (Vec::new(), false);
        for line in listed.lines() {
            if line.contains("Object;") {
                inside = line.starts_with(class);
            } else if let Some(id) = line.trim().strip_prefix("ID:").filter(|_| inside) {
                ids.push(id.trim().to_owned());
            }
        }
        ids
    }

    /// The certificate that OpenSC calls by this id.
    pub(super) async fn certificate(&self, id: &str) -> X509 {
        let out = self.reader.state("certificate");
        drop(std::fs::remove_file(&out));
        let file = ["--output-file", out.to_str().expect("UTF-8")];
        self.pkcs11(&[&["--read-object", "--type", "cert", "--id", id], &file[..]].concat()).await.ends(0);
        X509::from_der(&std::fs::read(out).expect("read")).expect("a certificate")
    }

    /// What `pkcs11-tool` makes of a file with the key of this id.
    async fn uses(&self, what: &[&str], id: &str, input: &[u8], login: bool) -> (Outcome, Vec<u8>) {
        let (from, to) = (self.reader.state("input"), self.reader.state("output"));
        std::fs::write(&from, input).expect("written");
        drop(std::fs::remove_file(&to));
        let files = ["--id", id, "--input-file", from.to_str().expect("UTF-8"), "--output-file", to.to_str().expect("UTF-8")];
        let login: &[&str] = if login { &["--login", "--pin", PIN] } else { &[] };
        let outcome = self.pkcs11(&[login, what, &files[..]].concat()).await;
        (outcome, std::fs::read(&to).unwrap_or_default())
    }

    /// Holds that the key of this id signs, by its certificate.
    pub(super) async fn signs(&self, id: &str) {
        let key = self.certificate(id).await.public_key().expect("a key");
        let mechanism = if key.rsa().is_ok() { "SHA256-RSA-PKCS" } else { "ECDSA-SHA256" };
        let sign = ["--sign", "--mechanism", mechanism, "--signature-format", "openssl"];
        let (outcome, signature) = self.uses(&sign, id, b"a message", true).await;
        let mut verifier = Verifier::new(MessageDigest::sha256(), &key).expect("a verifier");
        assert!(verifier.verify_oneshot(&signature, b"a message").unwrap_or(false), "{id}: {outcome:?}");
        let (refused, signature) = self.uses(&sign, id, b"a message", false).await;
        assert!(refused.code != 0 && signature.is_empty(), "{id} signed without a PIN: {refused:?}");
    }

    /// Holds that some key on the card opens this letter.
    async fn opens(&self, letter: &[u8]) {
        for id in self.ids("Private Key").await {
            let (_, opened) = self.uses(&["--decrypt", "--mechanism", "RSA-PKCS"], &id, letter, true).await;
            if opened == b"old mail" {
                return;
            }
        }
        panic!("nothing opens it any more");
    }
}

/// How often each command was performed between two looks.
fn since(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let counted = after.iter().map(|(name, count)| (name.clone(), count - before.get(name).unwrap_or(&0)));
    counted.filter(|(_, count)| *count > 0).collect()
}

fn letter(key: &PKey<Public>) -> Vec<u8> {
    let key = key.rsa().expect("RSA");
    let mut letter = vec![0; key.size() as usize];
    key.public_encrypt(b"old mail", &mut letter, Padding::PKCS1).expect("encrypted");
    letter
}

#[tokio::test]
async fn twins_take_the_old_pair_s_slots_and_old_mail_still_opens() {
    let others = CardAuthority::new();
    let anna = Annas::of(CardKind::Moves).await.with_mail(&others, "Somebody Else").await;
    let letters = [letter(&anna.commercial), letter(&anna.mail)];
    let mut card = anna.insert().await;
    let before = card.executed().await;
    let scene = Scene::set().await;
    let _daemon = anna.watched(&scene, "card-twins").await;
    scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(counts(&scene), [2, 1, 2]);

    // OpenSC: 9A is 01, 9C is 02, 9D is 03.
    for id in ["01", "02"] {
        let certificate = anna.certificate(id).await;
        let issuer = format!("{:?}", certificate.issuer_name());
        let fresh = certificate.not_after() > openssl::asn1::Asn1Time::days_from_now(300).expect("a time");
        assert!(fresh, "{id} is the new one: {issuer}");
        anna.signs(id).await;
    }
    for letter in &letters {
        anna.opens(letter).await;
    }
    let since = since(&before, &card.executed().await);
    assert_eq!(since.get("47"), Some(&2), "two keys were made: {since:?}");
    assert_eq!(since.get("F6"), Some(&4), "two out, two in: {since:?}");
}

#[tokio::test]
async fn a_card_that_cannot_keep_the_old_keys_is_left_alone() {
    for kind in [CardKind::Generates, CardKind::Strict] {
        let anna = Annas::of(kind).await;
        let mut card = anna.insert().await;
        let before = card.executed().await;
        let scene = Scene::set().await;
        let _daemon = anna.watched(&scene, "card-twins").await;
        let outcome = scene.obnova_answering(ANSWERS, &["renew", "Anna Novak", "--wait"]).await.ends(3);
        assert!(format!("{outcome:?}").contains("must not be destroyed"), "{outcome:?}");
        let since = since(&before, &card.executed().await);
        for made in ["47", "DB", "F6", "FE"] {
            assert_eq!(since.get(made), None, "{kind:?}: {since:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_pin_costs_one_try_and_no_more() {
    let anna = Annas::of(CardKind::Moves).await;
    let mut card = anna.insert().await;
    let before = card.executed().await;
    let scene = Scene::set().await;
    let _daemon = anna.watched(&scene, "card-twins").await;
    let tries = async || {
        let status = anna.reader.run("yubico-piv-tool", &["-a", "status"]).await.ends(0).out;
        status.lines().find_map(|line| line.strip_prefix("PIN tries left:")).map(|tries| tries.trim().to_owned())
    };
    assert_eq!(tries().await.as_deref(), Some("3"));
    let outcome = scene.obnova_answering("consent=renewal:yes\npin=654321\n", &["renew", "Anna Novak", "--wait"]).await.ends(3);
    assert_eq!(tries().await.as_deref(), Some("2"), "{outcome:?}");
    // One that breaks the format is not sent.
    scene.obnova_answering("pin=12\n", &["resume", "Anna Novak", "--wait"]).await.ends(3);
    assert_eq!(tries().await.as_deref(), Some("2"));
    scene.obnova_answering("pin=123456\n", &["resume", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(tries().await.as_deref(), Some("3"));
    assert_eq!(since(&before, &card.executed().await).get("47"), Some(&2));
}

#[tokio::test]
async fn a_card_that_is_pulled_is_waited_for() {
    let anna = Annas::of(CardKind::Moves).await;
    let mut card = anna.insert().await;
    let scene = Scene::set().await;
    let _daemon = anna.watched(&scene, "card-twins").await;
    card.remove().await;
    card.is_seen(false).await;
    // Without anybody who could be asked to insert it, the renewal waits; inserted, it goes on by itself as far as it can.
    let outcome = scene.obnova(&["renew", "Anna Novak"]).await;
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let item = scene
        .item("it waits for the card", |item| {
            item.problem.as_ref().is_some_and(|problem| problem.kind == "card-absent") && item.kind == "renewal"
        })
        .await;
    card.insert().await;
    card.is_seen(true).await;
    scene
        .item("it waits for the person", |other| {
            other.id == item.id && other.problem.as_ref().is_some_and(|problem| problem.kind == "no-agent")
        })
        .await;
    scene.obnova_answering(ANSWERS, &["resume", "Anna Novak", "--wait"]).await.ends(0);
    assert_eq!(counts(&scene), [2, 1, 2]);
}

#[tokio::test]
async fn a_card_of_a_programme_is_watched_when_first_inserted_and_not_again_after_a_no() {
    let anna = Annas::of(CardKind::Moves).await;
    let scene = Scene::set().await;
    let _daemon = scene.start_as(anna.reader.confine(&configured(&scene, "card-twins", ""))).await;
    let news = News::on(&scene.bus).await;
    assert_eq!(scene.items().await.len(), 0);
    let mut card = anna.insert().await;
    let item = scene.item("the pair", |item| item.kind == "identity").await;
    assert_eq!(item.certificates.as_ref().map(Vec::len), Some(2), "{item:?}");
    eventually("the notice", async || news.events().contains(&"found".to_owned()).then_some(())).await;

    // Pulled, it stays known; a no is kept.
    card.remove().await;
    card.is_seen(false).await;
    assert_eq!(scene.items().await.len(), 1);
    scene.manager().await.act(&item.id, "unwatch", &Options::default()).await.expect("undone");
    assert_eq!(scene.items().await.len(), 0);
    card.insert().await;
    card.is_seen(true).await;
    scene.obnova(&["watch", &anna.place().await]).await.ends(0);
    scene.item("the pair, because it was named", |item| item.kind == "identity").await;
    assert_eq!(news.events().iter().filter(|event| *event == "found").count(), 1);
}

/// A click without the card opens "Insert the card of …", which goes away by itself when the card comes.
#[tokio::test]
async fn a_click_without_the_card_asks_for_it_and_goes_on_by_itself() {
    let anna = Annas::of(CardKind::Moves).await;
    let mut card = anna.insert().await;
    let scene = Scene::set().await;
    let _daemon = anna.watched(&scene, "card-twins").await;
    card.remove().await;
    card.is_seen(false).await;
    let agent = Agent::on(&scene.bus, |asked, _| {
        std::future::ready(match asked {
            Asked::ConfirmHandStep => Answer::Silence,
            Asked::Consent => Answer::Yes,
            Asked::Secret | Asked::NewSecret => Answer::Secret(PIN.into()),
        })
    })
    .await;
    agent.register(false).await;
    let pair = scene.item("the pair", |item| item.kind == "identity").await;
    agent.manager().await.act(&pair.id, "renew", &Options::default()).await.expect("begun");
    let question = eventually("a question for the card", async || {
        agent.asked().into_iter().find(|(asked, _)| *asked == Asked::ConfirmHandStep).map(|(_, question)| question)
    })
    .await;
    assert_eq!(question.about, "insert-card");
    card.insert().await;
    eventually("the question is taken back", async || agent.withdrawn().contains(&question.id).then_some(())).await;
    scene.item("it is done", |item| item.kind == "renewal" && item.state == "done").await;
    assert_eq!((agent.secrets_asked(), counts(&scene)), (1, [2, 1, 2]), "one sitting, one PIN");
    let asked = agent.asked();
    let (_, secret) = asked.iter().find(|(asked, _)| *asked == Asked::Secret).expect("a PIN");
    assert_eq!((secret.secret.as_deref(), secret.tries_left), (Some("pin"), Some(3)), "{secret:?}");
}

/// The last try is not used without a word of its own; a blocked card is told with the way out.
#[tokio::test]
async fn the_last_try_needs_a_yes_and_a_blocked_card_is_explained() {
    let anna = Annas::of(CardKind::Moves).await;
    let _card = anna.insert().await;
    let scene = Scene::set().await;
    let _daemon = anna.watched(&scene, "card-twins").await;
    let renew = ["renew", "Anna Novak", "--wait"];
    scene.obnova_answering("consent=renewal:yes\npin=111111\npin=222222\n", &renew).await.ends(3);
    let tries = async || {
        let status = anna.reader.run("yubico-piv-tool", &["-a", "status"]).await.ends(0).out;
        status.lines().find_map(|line| line.strip_prefix("PIN tries left:")).map(|tries| tries.trim().to_owned())
    };
    assert_eq!(tries().await.as_deref(), Some("1"), "without a yes the last one is not used");
    scene.obnova_answering("pin=333333\n", &["resume", "Anna Novak", "--wait"]).await.ends(3);
    assert_eq!(tries().await.as_deref(), Some("1"), "a PIN is no yes");
    let blocked =
        scene.obnova_answering("consent=last-try:yes\npin=333333\n", &["resume", "Anna Novak", "--wait"]).await.ends(3);
    assert!(format!("{blocked:?}").contains("card unblock"), "{blocked:?}");
    assert_eq!(tries().await.as_deref(), Some("0"));
}

/// A card that makes keys in retired slots and moves none takes a new key for mail beside the old one, which stays in its slot.
#[tokio::test]
async fn a_new_key_for_mail_is_made_beside_the_old_where_keys_do_not_move() {
    let authority = CardAuthority::new();
    for (kind, code) in [(CardKind::Generates, 0), (CardKind::Strict, 3)] {
        let anna = Annas::of(kind).await.with_mail(&authority, "Anna Mail").await;
        let letter = letter(&anna.mail);
        let mut card = anna.insert().await;
        let before = card.executed().await;
        let scene = Scene::set().await;
        let _daemon = anna.watched(&scene, "card-mail").await;
        // Only of a model that is positively known is the factory's management key tried unasked.
        let answers = format!("{ANSWERS}management-key=010203040506070801020304050607080102030405060708\n");
        let outcome = scene.obnova_answering(&answers, &["renew", "Anna Mail", "--wait"]).await.ends(code);
        let since = since(&before, &card.executed().await);
        assert_eq!(since.get("F6"), None, "nothing moves: {since:?}");
        if kind == CardKind::Strict {
            assert!(format!("{outcome:?}").contains("must not be destroyed"), "{outcome:?}");
            assert_eq!((since.get("47"), since.get("DB")), (None, None), "{since:?}");
            continue;
        }
        assert_eq!((since.get("47"), counts(&scene)), (Some(&1), [1, 1, 1]), "{since:?}");
        // 9D is 03, the first retired slot 05.
        let old = anna.certificate("03").await;
        assert!(old.public_key().expect("a key").public_eq(&anna.mail), "it is where it was");
        let new = anna.certificate("05").await;
        assert!(!new.public_key().expect("a key").public_eq(&anna.mail) && new.not_after() > old.not_after());
        anna.opens(&letter).await;
        let new = new.public_key().expect("a key");
        anna.opens(&self::letter(&new)).await;
    }
}
