//! The watched places from outside: real files, the kernel's own reports, and obnova-helper for PKCS#12.

mod bulk;
mod noticing;
mod packages;
mod reading;

use std::path::{Path, PathBuf};
use std::time::Duration;

use obnova_core::world::{Condition, Sight};
use obnova_core::{Place, Scheme};
use obnovad::helper::Helper;
use obnovad::stores::{Sighting, Stamp, Surveyor};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509, X509NameBuilder};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a test waits for news before it fails, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough for a burst to end and be reported, if there is anything to report.
const QUIET: Duration = Duration::from_millis(900);

/// A self-made certificate and its key.
struct Made {
    certificate: X509,
    key: PKey<Private>,
}

impl Made {
    fn new(name: &str) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("curve");
        let key = PKey::from_ec_key(EcKey::generate(&group).expect("key")).expect("key");
        let mut subject = X509NameBuilder::new().expect("name");
        subject.append_entry_by_text("CN", name).expect("name");
        let subject = subject.build();
        let mut builder = X509::builder().expect("builder");
        builder.set_version(2).expect("version");
        let serial = BigNum::from_u32(7).expect("number").to_asn1_integer().expect("serial");
        builder.set_serial_number(&serial).expect("serial");
        builder.set_subject_name(&subject).expect("subject");
        builder.set_issuer_name(&subject).expect("issuer");
        builder.set_not_before(&Asn1Time::days_from_now(0).expect("time")).expect("time");
        builder.set_not_after(&Asn1Time::days_from_now(20).expect("time")).expect("time");
        builder.set_pubkey(&key).expect("key");
        builder.sign(&key, MessageDigest::sha256()).expect("signature");
        Self { certificate: builder.build(), key }
    }

    fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("PEM")
    }

    fn der(&self) -> Vec<u8> {
        self.certificate.to_der().expect("DER")
    }

    fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().expect("PEM")
    }
}

/// A running surveyor.
struct Watch {
    surveyor: Surveyor,
    news: mpsc::Receiver<Vec<Sighting>>,
}

impl Watch {
    fn start() -> Self {
        Self::knowing(Vec::new())
    }

    fn knowing(known: Vec<(Place, Stamp)>) -> Self {
        let (sender, news) = mpsc::channel(4);
        let helper = Helper::at(env!("CARGO_BIN_EXE_obnova-helper"));
        let (surveyor, _task) = Surveyor::start(helper, known, sender).expect("inotify");
        Self { surveyor, news }
    }

    async fn file(&self, path: &Path) -> Vec<Sighting> {
        sorted(self.surveyor.watch(file(path)).await)
    }

    /// The one sighting that watching a place brings.
    async fn one(&self, place: Place) -> Sighting {
        let mut sightings = self.surveyor.watch(place).await;
        assert_eq!(sightings.len(), 1, "{sightings:?}");
        sightings.remove(0)
    }

    /// What is reported next.
    async fn soon(&mut self) -> Vec<Sighting> {
        sorted(timeout(PATIENCE, self.news.recv()).await.expect("noticed").expect("running"))
    }

    /// Makes sure that nothing is reported.
    async fn nothing(&mut self) {
        assert!(timeout(QUIET, self.news.recv()).await.is_err(), "nothing was to be reported");
    }
}

fn sorted(mut sightings: Vec<Sighting>) -> Vec<Sighting> {
    sightings.sort_by(|one, other| one.place.cmp(&other.place));
    sightings
}

fn file(path: &Path) -> Place {
    Place::new(Scheme::File, path)
}

fn p12(path: &Path) -> Place {
    Place::new(Scheme::Pkcs12, path)
}

fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, content).expect("written");
    path
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("directory")
}

fn sight(sighting: &Sighting) -> &Sight {
    sighting.sight.as_ref().expect("something is there")
}

/// The names of the certificates that were seen, with `+` for those with a key.
fn names(sighting: &Sighting) -> Vec<String> {
    let found = sight(sighting).certificates.iter();
    found.map(|found| format!("{}{}", found.certificate.name(), if found.key { "+" } else { "" })).collect()
}

/// The kind of problem that a place has.
fn trouble(sighting: &Sighting) -> String {
    match &sight(sighting).condition {
        Condition::Failed(problem) => problem.kind(),
        other => panic!("{}: {other:?}", sighting.place),
    }
}

fn places(sightings: &[Sighting]) -> Vec<Place> {
    sightings.iter().map(|sighting| sighting.place.clone()).collect()
}

fn stamps(sightings: &[Sighting]) -> Vec<(Place, Stamp)> {
    sightings.iter().map(|sighting| (sighting.place.clone(), sighting.stamp)).collect()
}
