//! The simulated authority from outside: what it issues, what it refuses, and what it remembers. OpenSSL is the witness.

mod paper;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use chrono::{DateTime, Duration, Utc};
use futures_util::future::join_all;
use obnova_core::Certificate;
use obnovad::authorities::signed_request::{self, Request, certification_request};
use obnovad::authorities::simulated::{Counts, Failure, Refusal, Rules, Simulated};
use obnovad::helper::Helper;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509, X509Req};
use paper::{authorised, curve, kinds, moment, old, public, request, rsa, sign};
use tempfile::TempDir;

const HELPER: &str = env!("CARGO_BIN_EXE_obnova-helper");
const NAME: &str = "Anna Novakova";
const ADDRESS: &str = "anna@example.org";
const AT_ONCE: Rules = Rules { validity_days: 365, pause: false };
const AFTER_PAYMENT: Rules = Rules { validity_days: 365, pause: true };

fn now() -> DateTime<Utc> {
    moment("2026-11-09T08:07:06Z")
}

struct Bench {
    directory: TempDir,
    authority: Simulated,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let authority = Simulated::at(directory.path().join("authority"), Helper::at(HELPER));
        Self { directory, authority }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("authority").join(name)
    }

    /// The same authority after a restart, or in another process.
    fn again(&self) -> Simulated {
        Simulated::at(self.directory.path().join("authority"), Helper::at(HELPER))
    }

    async fn counts(&self) -> [u64; 4] {
        let Counts { requests, refused, orders, certificates } = self.authority.counts().await.expect("counts");
        [requests, refused, orders, certificates]
    }

    async fn submit(&self, messages: &[&[u8]]) -> Result<String, Refusal> {
        self.authority.submit(messages, AT_ONCE, now()).await
    }
}

/// Somebody's old certificate, and the new key.
struct Renewal {
    old_key: PKey<Private>,
    old: Vec<u8>,
    new_key: PKey<Private>,
}

impl Renewal {
    fn of(old_key: PKey<Private>, new_key: PKey<Private>) -> Self {
        let old = old(&old_key, NAME, ADDRESS);
        Self { old_key, old, new_key }
    }

    fn p256() -> Self {
        Self::of(curve(Nid::X9_62_PRIME256V1), curve(Nid::X9_62_PRIME256V1))
    }

    fn message(&self) -> Vec<u8> {
        self.authorising(&request(&self.old, &self.new_key))
    }

    fn authorising(&self, pkcs10: &[u8]) -> Vec<u8> {
        authorised(pkcs10, &self.old, &self.old_key, now())
    }

    /// A message in which all signatures are right, over a request in which, outside the old certificate, `from` became `to`.
    fn doctored(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut info = Request { old: &self.old, public_key: &public(&self.new_key) }.encode().expect("a request");
        let find = |within: &[u8], what: &[u8]| within.windows(what.len()).position(|window| window == what);
        let start = find(&info, &self.old).expect("the old certificate is in it");
        let after = start + self.old.len();
        let position = find(&info[..start], from).or_else(|| find(&info[after..], from).map(|position| after + position));
        let position = position.expect("it is in the request");
        info[position..position + from.len()].copy_from_slice(to);
        self.authorising(&certification_request(&info, &sign(&self.new_key, &info)).expect("a request"))
    }
}

#[tokio::test]
async fn twins_get_what_they_asked_for_from_one_authority() {
    let bench = Bench::new();
    let twins = [Renewal::of(rsa(2048), rsa(2048)), Renewal::p256()];
    let messages = twins.each_ref().map(Renewal::message);
    let order = bench.submit(&messages.each_ref().map(Vec::as_slice)).await.expect("accepted");
    assert!(bench.authority.issued(&order).await.expect("answered"));
    let issued = bench.authority.fetch(&order).await.expect("issued");
    assert_eq!(issued.len(), 2);
    assert_eq!(bench.counts().await, [2, 0, 1, 2]);

    let ca = bench.authority.ca().await.expect("there");
    fs::write(bench.path("ca.pem"), X509::from_der(&ca).expect("read").to_pem().expect("PEM")).expect("write");
    for (twin, der) in twins.iter().zip(&issued) {
        Helper::at(HELPER).judge(der, &ca).await.expect("strict, and signed by the authority");
        let (before, after) = (X509::from_der(&twin.old).expect("read"), X509::from_der(der).expect("read"));
        assert!(after.public_key().expect("a key").public_eq(&twin.new_key));
        assert_eq!(before.subject_name().to_der().expect("DER"), after.subject_name().to_der().expect("DER"));
        let asked = X509Req::from_der(&request(&twin.old, &twin.new_key)).expect("read").extensions().expect("some");
        assert_eq!(asked.len(), 4);
        for extension in asked {
            let extension = extension.to_der().expect("DER");
            assert!(der.windows(extension.len()).any(|window| window == extension), "{extension:02x?}");
        }
        let (before, after) = (Certificate::from_der(&twin.old).expect("read"), Certificate::from_der(der).expect("read"));
        assert_eq!(before.holder, after.holder);
        assert_eq!((after.not_before, after.not_after), (now(), now() + Duration::days(365)));
        assert_eq!(after.issuer(), "CN=Obnova simulated authority");
        assert!(!after.authority);

        fs::write(bench.path("new.pem"), X509::from_der(der).expect("read").to_pem().expect("PEM")).expect("write");
        let mut openssl = Command::new("timeout");
        openssl.args("60 openssl verify -x509_strict -no_check_time -purpose smimesign -CAfile ca.pem new.pem".split(' '));
        let verified = openssl.current_dir(bench.path("")).output().expect("openssl is installed");
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
    let serials = issued.iter().map(|der| Certificate::from_der(der).expect("read").serial().to_vec()).collect::<Vec<_>>();
    assert!(serials[0] != serials[1] && serials.iter().all(|serial| serial.len() == 16));
    let mode = |name: &str| fs::metadata(bench.path(name)).expect("there").mode() & 0o7777;
    assert_eq!([mode(""), mode("ca.key"), mode("ledger.json")], [0o700, 0o600, 0o600]);
}

#[tokio::test]
async fn every_kind_of_key_is_certified() {
    let bench = Bench::new();
    for (number, new_key) in kinds().into_iter().enumerate() {
        let renewal = Renewal::of(rsa(2048), new_key);
        let order = bench.submit(&[&renewal.message()]).await.expect("accepted");
        let issued = bench.authority.fetch(&order).await.expect("issued");
        assert!(X509::from_der(&issued[0]).expect("read").public_key().expect("a key").public_eq(&renewal.new_key));
        let so_far = number as u64 + 1;
        assert_eq!(bench.counts().await, [so_far, 0, so_far, so_far]);
    }
}

#[tokio::test]
async fn a_renewed_certificate_can_be_renewed() {
    let bench = Bench::new();
    let first = Renewal::p256();
    let order = bench.submit(&[&first.message()]).await.expect("accepted");
    let issued = bench.authority.fetch(&order).await.expect("issued").remove(0);
    let second = Renewal { old_key: first.new_key, old: issued, new_key: curve(Nid::X9_62_PRIME256V1) };
    bench.submit(&[&second.message()]).await.expect("accepted");
    assert_eq!(bench.counts().await, [2, 0, 2, 2]);
}

#[tokio::test]
async fn after_a_pause_the_second_question_finds_the_payment_arrived() {
    let bench = Bench::new();
    let message = Renewal::p256().message();
    let order = bench.authority.submit(&[&message], AFTER_PAYMENT, now()).await.expect("accepted");
    assert!(matches!(bench.authority.fetch(&order).await, Err(Refusal::NotYet)));
    assert!(!bench.authority.issued(&order).await.expect("answered"));
    assert!(matches!(bench.authority.fetch(&order).await, Err(Refusal::NotYet)));
    // Asking for the order again is no question about the payment, and neither does a restart answer it.
    assert_eq!(bench.authority.submit(&[&message], AFTER_PAYMENT, now()).await.expect("known"), order);
    let restarted = bench.again();
    assert!(restarted.issued(&order).await.expect("answered"));
    assert_eq!(restarted.fetch(&order).await.expect("issued").len(), 1);
    assert!(restarted.issued(&order).await.expect("answered"));
}

#[tokio::test]
async fn the_same_bytes_again_bring_the_same_order_and_nothing_else() {
    let bench = Bench::new();
    let messages = [Renewal::p256().message(), Renewal::p256().message()];
    let messages = messages.each_ref().map(Vec::as_slice);
    assert_eq!(bench.authority.order_of(&messages).await.expect("answered"), None);
    assert!(!bench.path("").exists(), "a question leaves no trace");
    let order = bench.submit(&messages).await.expect("accepted");
    let issued = bench.authority.fetch(&order).await.expect("issued");

    let restarted = bench.again();
    assert_eq!(restarted.order_of(&messages).await.expect("answered").as_ref(), Some(&order));
    // Long after the old certificates have ended, too: the requests were in time.
    assert_eq!(restarted.submit(&messages, AT_ONCE, now() + Duration::days(99)).await.expect("known"), order);
    assert_eq!(restarted.fetch(&order).await.expect("issued"), issued);
    assert_eq!(bench.counts().await, [4, 0, 1, 2]);

    // Half of them, or all in another order, is another submission, and its keys are used.
    for other in [&messages[..1], &[messages[1], messages[0]]] {
        assert_eq!(bench.authority.order_of(other).await.expect("answered"), None);
        assert!(matches!(bench.submit(other).await, Err(Refusal::KeyUsed)));
    }
    assert_eq!(bench.counts().await, [7, 3, 1, 2]);
}

#[tokio::test]
async fn who_submits_several_times_at_once_gets_one_order() {
    let bench = Bench::new();
    let message = Renewal::p256().message();
    let messages = [message.as_slice()];
    // All find nothing there, and each would make the authority's key.
    let others = [bench.again(), bench.again(), bench.again(), bench.again()];
    let submissions = others.iter().map(|authority| authority.submit(&messages, AT_ONCE, now()));
    let orders = join_all(submissions).await.into_iter().map(|order| order.expect("accepted")).collect::<Vec<_>>();
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    assert_eq!(bench.counts().await, [4, 0, 1, 1]);
}

#[tokio::test]
async fn what_does_not_prove_enough_is_refused_whole() {
    let bench = Bench::new();
    let (renewal, sound) = (Renewal::p256(), Renewal::p256());
    let pkcs10 = request(&renewal.old, &renewal.new_key);
    let message = renewal.authorising(&pkcs10);
    let info = Request { old: &renewal.old, public_key: &public(&renewal.new_key) }.encode().expect("a request");
    let unproven = certification_request(&info, &sign(&renewal.old_key, &info)).expect("a request");
    // As openssl signs it: without saying in the signed attributes by which certificate.
    let certificate = X509::from_der(&renewal.old).expect("read");
    let anonymous = CmsContentInfo::sign(Some(&certificate), Some(&renewal.old_key), None, Some(&pkcs10), CMSOptions::BINARY);
    let other = request(&renewal.old, &sound.new_key);
    let attributes = signed_request::signed_attributes(&pkcs10, &renewal.old, now()).expect("attributes");
    let signature = sign(&renewal.old_key, &attributes);
    let unacceptable: [(&str, &str, Vec<u8>); 11] = [
        ("garbage", "asn1 error", b"garbage".to_vec()),
        ("cut off", "asn1 error", message[..message.len() - 1].to_vec()),
        ("something behind it", "not strictly encoded", [&message, &b"\0"[..]].concat()),
        ("a PKCS #10 alone", "wrong tag", pkcs10.clone()),
        (
            "the old key has not signed",
            "the old key has not signed it: OpenSSL failed: verification failure",
            authorised(&pkcs10, &renewal.old, &renewal.new_key, now()),
        ),
        (
            "another certificate has signed",
            "signer certificate not found",
            authorised(&pkcs10, &sound.old, &sound.old_key, now()),
        ),
        ("the new key has not signed", "the new key has not signed it", renewal.authorising(&unproven)),
        (
            "another request was signed",
            "content verify error",
            signed_request::message(&other, &renewal.old, &attributes, &signature).expect("a message"),
        ),
        (
            "no renewal",
            "does not say which certificate it renews",
            renewal.doctored(b"\x2b\x06\x01\x04\x01\x82\x37\x0d\x01", b"\x2b\x06\x01\x04\x01\x82\x37\x0d\x09"),
        ),
        ("basic constraints", "the extension 2.5.29.19", renewal.doctored(b"\x06\x03\x55\x1d\x20", b"\x06\x03\x55\x1d\x13")),
        ("no signing certificate", "missing signing certificate attribute", anonymous.expect("signed").to_der().expect("DER")),
    ];
    let mut refused = 0;
    for (what, reason, message) in &unacceptable {
        let outcome = bench.submit(&[&sound.message(), message]).await;
        assert!(matches!(&outcome, Err(Refusal::Unacceptable(why)) if why.contains(reason)), "{what}: {outcome:?}");
        refused += 2;
        assert_eq!(bench.counts().await, [refused, refused, 0, 0], "{what}");
    }
    for (what, message) in [
        ("another address", renewal.doctored(ADDRESS.as_bytes(), b"hana@example.org")),
        ("another name", renewal.doctored(NAME.as_bytes(), b"Hana Novakova")),
        ("no names", renewal.doctored(b"\x06\x03\x55\x1d\x11", b"\x06\x03\x55\x1d\x20")),
    ] {
        let outcome = bench.submit(&[&sound.message(), &message]).await;
        assert!(matches!(outcome, Err(Refusal::OtherHolder)), "{what}: {outcome:?}");
    }
    assert!(matches!(bench.submit(&[]).await, Err(Refusal::Nothing)));
    // What was refused leaves nothing behind: the keys are still new.
    bench.submit(&[&sound.message(), &renewal.message()]).await.expect("accepted");
}

#[tokio::test]
async fn only_valid_certificates_are_renewed() {
    let bench = Bench::new();
    let message = Renewal::p256().message();
    for moment_outside in ["2026-10-31T23:59:59Z", "2026-12-01T00:00:00Z", "2031-01-01T00:00:00Z"] {
        let outcome = bench.authority.submit(&[&message], AT_ONCE, moment(moment_outside)).await;
        assert!(matches!(outcome, Err(Refusal::NotValid)), "{moment_outside}: {outcome:?}");
    }
    bench.authority.submit(&[&message], AT_ONCE, moment("2026-11-30T23:59:59.9Z")).await.expect("the last second");
    let first = Renewal::p256().message();
    bench.authority.submit(&[&first], AT_ONCE, moment("2026-11-01T00:00:00Z")).await.expect("the first second");
}

#[tokio::test]
async fn a_key_is_certified_once_and_never_weaker() {
    let bench = Bench::new();
    let first = Renewal::p256();
    bench.submit(&[&first.message()]).await.expect("accepted");
    let p256 = || curve(Nid::X9_62_PRIME256V1);
    let (other, twin) = (Renewal::p256(), Renewal::p256());
    let own = Renewal::of(other.old_key.clone(), other.old_key.clone());
    let certified = Renewal::of(p256(), first.new_key.clone());
    let renewed = Renewal::of(p256(), first.old_key.clone());
    let shared = Renewal::of(p256(), other.new_key.clone());
    let crossed = Renewal::of(p256(), other.old_key.clone());
    let used: [(&str, &[&Renewal]); 6] = [
        ("its own old key", &[&own]),
        ("certified before", &[&certified]),
        ("renewed before", &[&renewed]),
        ("one key for two", &[&other, &shared]),
        ("the old key of the other", &[&other, &crossed]),
        ("one of two", &[&twin, &certified]),
    ];
    for (what, renewals) in used {
        let messages: Vec<Vec<u8>> = renewals.iter().map(|renewal| renewal.message()).collect();
        let outcome = bench.submit(&messages.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
        assert!(matches!(outcome, Err(Refusal::KeyUsed)), "{what}: {outcome:?}");
    }
    for (old, new) in [(curve(Nid::SECP384R1), p256()), (p256(), rsa(2048)), (rsa(2048), rsa(1024))] {
        let outcome = bench.submit(&[&Renewal::of(old, new).message()]).await;
        assert!(matches!(outcome, Err(Refusal::WeakerKey)), "{outcome:?}");
    }
    assert_eq!(bench.counts().await, [13, 12, 1, 1]);
    bench.submit(&[&other.message(), &twin.message()]).await.expect("accepted");
}

#[tokio::test]
async fn there_are_no_orders_but_its_own() {
    let bench = Bench::new();
    for _ in 0..2 {
        assert!(matches!(bench.authority.issued("x").await, Err(Refusal::NoSuchOrder)));
        assert!(matches!(bench.authority.fetch("x").await, Err(Refusal::NoSuchOrder)));
        bench.authority.ca().await.expect("made");
    }
}

#[tokio::test]
async fn a_validity_beyond_the_calendar_ends_with_it() {
    let bench = Bench::new();
    let forever = Rules { validity_days: u32::MAX, pause: false };
    let order = bench.authority.submit(&[&Renewal::p256().message()], forever, now()).await.expect("accepted");
    let issued = bench.authority.fetch(&order).await.expect("issued");
    assert_eq!(Certificate::from_der(&issued[0]).expect("read").not_after, moment("9999-12-31T23:59:59Z"));
}

/// Names and contents of files.
type Files<'content> = &'content [(&'content str, &'content [u8])];

/// The states that a crash can leave, from the first effect to the last: the next one finds its way from each.
#[tokio::test]
async fn a_crash_leaves_an_order_or_none() {
    let (message, other) = (Renewal::p256().message(), Renewal::p256().message());
    let finished = Bench::new();
    let order = finished.submit(&[&message]).await.expect("accepted");
    let ledger = fs::read(finished.path("ledger.json")).expect("read");
    let key = fs::read(finished.path("ca.key")).expect("read");
    let files: [(&str, Files<'_>); 5] = [
        ("an empty directory", &[]),
        ("half a key", &[("ca.key.tmp", &key[..99])]),
        ("a key without a certificate", &[("ca.key", &key)]),
        ("half a ledger", &[("ca.key", &key), ("ledger.json.tmp", &ledger[..99])]),
        ("a ledger that has no name yet", &[("ca.key", &key), ("ledger.json.tmp", &ledger)]),
    ];
    for (what, files) in files {
        let bench = Bench::new();
        fs::create_dir(bench.path("")).expect("made");
        for (name, content) in files {
            fs::write(bench.path(name), content).expect("write");
        }
        assert_eq!(bench.authority.order_of(&[&message]).await.expect("answered"), None, "{what}");
        let order = bench.submit(&[&message]).await.expect(what);
        assert_eq!(bench.again().submit(&[&message], AT_ONCE, now()).await.expect("known"), order, "{what}");
        assert_eq!(bench.counts().await, [2, 0, 1, 1], "{what}");
        let issued = bench.authority.fetch(&order).await.expect("issued");
        let ca = bench.authority.ca().await.expect("there");
        Helper::at(HELPER).judge(&issued[0], &ca).await.expect("by the one authority");
        let kept = files.iter().any(|(name, _)| *name == "ca.key");
        assert_eq!(fs::read(bench.path("ca.key")).expect("read") == key, kept, "{what}: a key is made once");
    }

    // After the ledger is written and before anybody was told; and while the next one was being written.
    for remains in [&b""[..], &ledger[..99]] {
        fs::write(finished.path("ledger.json.tmp"), remains).expect("write");
        assert_eq!(finished.again().order_of(&[&message]).await.expect("answered").as_ref(), Some(&order));
        assert_eq!(finished.again().order_of(&[&other]).await.expect("answered"), None);
    }
    finished.submit(&[&other]).await.expect("accepted");
    assert_eq!(finished.counts().await, [2, 0, 2, 2]);
    assert!(!finished.path("ledger.json.tmp").exists());
}

#[tokio::test]
async fn an_authority_that_fails_has_refused_nothing() {
    let bench = Bench::new();
    bench.authority.ca().await.expect("made");
    let before = fs::read(bench.path("ledger.json")).expect("read");
    let message = Renewal::p256().message();
    let broken = Simulated::at(bench.path(""), Helper::at("/bin/false"));
    let outcome = broken.submit(&[&message], AT_ONCE, now()).await;
    assert!(matches!(outcome, Err(Refusal::Failed(Failure::Helper(_)))), "{outcome:?}");
    assert_eq!(fs::read(bench.path("ledger.json")).expect("read"), before);
    bench.submit(&[&message]).await.expect("accepted");
    assert_eq!(bench.counts().await, [1, 0, 1, 1]);
}

#[tokio::test]
async fn a_damaged_ledger_is_not_begun_anew() {
    let bench = Bench::new();
    let message = Renewal::p256().message();
    bench.submit(&[&message]).await.expect("accepted");
    let damaged = &fs::read(bench.path("ledger.json")).expect("read")[..99];
    fs::write(bench.path("ledger.json"), damaged).expect("write");
    let outcome = bench.submit(&[&message]).await;
    assert!(matches!(outcome, Err(Refusal::Failed(Failure::Damaged { .. }))), "{outcome:?}");
    assert_eq!(fs::read(bench.path("ledger.json")).expect("read"), damaged);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_said() {
    let bench = Bench::new();
    fs::write(bench.directory.path().join("authority"), "in the way").expect("write");
    let outcome = bench.submit(&[&Renewal::p256().message()]).await;
    assert!(matches!(outcome, Err(Refusal::Failed(Failure::Files { .. }))), "{outcome:?}");
    let nowhere = Simulated::at(bench.directory.path().join("a/b"), Helper::at(HELPER));
    let outcome = nowhere.ca().await;
    assert!(matches!(outcome, Err(Refusal::Failed(Failure::Files { .. }))), "{outcome:?}");
}

/// What `make demo` and tests of whole renewals read, without a word from us.
#[tokio::test]
async fn the_ledger_can_be_read_by_others() {
    let bench = Bench::new();
    bench.submit(&[&Renewal::p256().message(), &Renewal::p256().message()]).await.expect("accepted");
    let ledger: serde_json::Value = serde_json::from_slice(&fs::read(bench.path("ledger.json")).expect("read")).expect("JSON");
    for (key, count) in [("requests", 2), ("refused", 0), ("orders", 1), ("certificates", 2)] {
        assert_eq!(ledger[key], count, "{key}");
    }
}
