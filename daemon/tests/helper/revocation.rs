//! What is judged of OCSP responders and of lists of revoked certificates, as `openssl ocsp` and `openssl ca` make them, and of the
//! chains above certificates.

use chrono::{DateTime, TimeDelta, Utc};
use obnova_core::Certificate;
use obnova_core::revocation::{Finding, Reach, Reason, Revoked, Standing, Why};

use crate::bench::Bench;

const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// When the tests' certificates were revoked, as `openssl ca` writes it, and as it is.
const SINCE: (&str, &str) = ("260102030405Z", "2026-01-02T03:04:05Z");

const REASONS: [(&str, Reason); 8] = [
    ("", Reason::Unspecified),
    (",unspecified", Reason::Unspecified),
    (",keyCompromise", Reason::KeyCompromise),
    (",CACompromise", Reason::AuthorityCompromise),
    (",affiliationChanged", Reason::AffiliationChanged),
    (",superseded", Reason::Superseded),
    (",cessationOfOperation", Reason::CessationOfOperation),
    (",certificateHold", Reason::Hold),
];

/// An authority's office: its certificate `ca.crt`, Anna's `anna.crt` with the serial number 10 (hex), and what `openssl ca` knows.
struct Office {
    bench: Bench,
}

impl Office {
    fn open() -> Self {
        let bench = Bench::new();
        bench.certificate("ca", P256);
        let office = Self { bench };
        office.certify("anna", "ca", 16, "basicConstraints=CA:FALSE", 300);
        office.bench.write(
            "ca.cnf",
            "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ndefault_md=sha256\ncrl_extensions=list\n\
             [list]\nauthorityKeyIdentifier=keyid\n[part]\nissuingDistributionPoint=critical,@point\n\
             [point]\nfullname=URI:http://crl.example/part.crl\n[reasons]\nissuingDistributionPoint=critical,@some\n\
             [some]\nonlysomereasons=keyCompromise\n[authorities]\nissuingDistributionPoint=critical,@above\n[above]\nonlyCA=TRUE\n\
             [strange]\n1.2.3.4=critical,ASN1:NULL\n",
        );
        office
    }

    /// A certificate `NAME.crt` with these extensions, signed by that one.
    fn certify(&self, name: &str, by: &str, serial: u32, extensions: &str, days: i64) -> Vec<u8> {
        let at = |name: &str, end: &str| format!("{name}.{end}");
        let subject = format!("/CN={name}");
        let (key, request) = (at(name, "key"), at(name, "csr"));
        let new = ["req", "-new", "-nodes", "-subj", &subject, "-keyout", &key, "-out", &request, "-newkey"];
        self.bench.openssl(&[&new, P256].concat());
        self.bench.write(&at(name, "ext"), extensions);
        let (issuer, issuer_key, out, extensions) = (at(by, "crt"), at(by, "key"), at(name, "crt"), at(name, "ext"));
        let (serial, days) = (serial.to_string(), days.to_string());
        let sign = ["x509", "-req", "-in", &request, "-CA", &issuer, "-CAkey", &issuer_key, "-set_serial", &serial];
        self.bench.openssl(&[&sign[..], &["-days", &days, "-out", &out, "-extfile", &extensions]].concat());
        self.bench.certificate_der(&out)
    }

    fn der(&self, name: &str) -> Vec<u8> {
        self.bench.certificate_der(&format!("{name}.crt"))
    }

    /// Writes down what became of Anna's certificate: `V`, or `R` with a time and a reason.
    fn notes(&self, state: &str, revoked: &str, serial: &str) {
        self.bench.write("index.txt", format!("{state}\t401231235959Z\t{revoked}\t{serial}\tunknown\t/CN=anna\n"));
    }

    /// What a responder with this certificate answers to the question about Anna's.
    async fn answers(&self, signer: &str, arguments: &[&str]) -> Vec<u8> {
        let request = self.bench.helper.ocsp_request(&self.der("anna"), &self.der("ca")).await.expect("a request");
        self.bench.write("request.der", request);
        let (certificate, key) = (format!("{signer}.crt"), format!("{signer}.key"));
        let fixed = ["ocsp", "-index", "index.txt", "-CA", "ca.crt", "-rsigner", &certificate, "-rkey", &key];
        let io = ["-reqin", "request.der", "-respout", "answer.der"];
        self.bench.openssl(&[&fixed[..], &io[..], arguments].concat());
        self.bench.read("answer.der")
    }

    async fn judged(&self, answer: Vec<u8>, at: DateTime<Utc>) -> Result<Finding, Why> {
        self.bench.helper.ocsp_answer(answer, &self.der("anna"), &self.der("ca"), at).await.expect("judged")
    }

    /// The list of what is revoked.
    fn list(&self, by: &str, arguments: &[&str]) -> Vec<u8> {
        let (certificate, key) = (format!("{by}.crt"), format!("{by}.key"));
        let fixed = ["ca", "-gencrl", "-config", "ca.cnf", "-cert", &certificate, "-keyfile", &key, "-out", "list.pem"];
        let arguments = if arguments.is_empty() { &["-crldays", "2"] } else { arguments };
        self.bench.openssl(&[&fixed[..], arguments].concat());
        self.bench.openssl(&["crl", "-in", "list.pem", "-outform", "DER"])
    }

    async fn looked_up(&self, list: Vec<u8>, at: DateTime<Utc>) -> Result<Finding, Why> {
        self.bench.helper.revocation_list(list, &self.der("anna"), &self.der("ca"), at).await.expect("judged")
    }
}

fn revoked(reason: Reason) -> Standing {
    Standing::Revoked(Revoked { since: SINCE.1.parse().expect("a time"), reason })
}

fn standing(finding: Result<Finding, Why>) -> Result<Standing, Why> {
    finding.map(|finding| finding.standing)
}

#[tokio::test]
async fn a_responder_says_what_became_of_a_certificate() {
    let office = Office::open();
    office.notes("V", "", "10");
    let good = office.judged(office.answers("ca", &["-ndays", "3"]).await, Utc::now()).await.expect("an answer");
    assert_eq!(good.standing, Standing::Good);
    let days = (good.next.expect("a time") - Utc::now()).num_hours();
    assert!((70..=72).contains(&days), "{days}");
    for (written, reason) in REASONS {
        office.notes("R", &format!("{}{written}", SINCE.0), "10");
        let finding = office.judged(office.answers("ca", &["-ndays", "1"]).await, Utc::now()).await;
        assert_eq!(standing(finding), Ok(revoked(reason)), "{written}");
    }
    office.notes("V", "", "11");
    assert_eq!(office.judged(office.answers("ca", &[]).await, Utc::now()).await, Err(Why::Unknown));
}

#[tokio::test]
async fn only_the_issuer_or_whom_it_has_named_may_answer() {
    let office = Office::open();
    office.certify("named", "ca", 2, "extendedKeyUsage=OCSPSigning\nkeyUsage=digitalSignature\nbasicConstraints=CA:FALSE", 30);
    office.certify("unnamed", "ca", 3, "extendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE", 30);
    office.bench.certificate("stranger", P256);
    office.certify("strangers", "stranger", 4, "extendedKeyUsage=OCSPSigning\nbasicConstraints=CA:FALSE", 30);
    // As Anna's certificate has been revoked, its key might say otherwise.
    office.notes("R", SINCE.0, "10");
    for (signer, expected) in [
        ("ca", Ok(revoked(Reason::Unspecified))),
        ("named", Ok(revoked(Reason::Unspecified))),
        ("unnamed", Err(Why::Unproven)),
        ("anna", Err(Why::Unproven)),
        ("stranger", Err(Why::Unproven)),
        ("strangers", Err(Why::Unproven)),
    ] {
        let answer = office.answers(signer, &["-ndays", "1"]).await;
        assert_eq!(standing(office.judged(answer, Utc::now()).await), expected, "{signer}");
    }
    // Once it is not valid any more, neither is what it says.
    let answer = office.answers("named", &["-ndays", "90"]).await;
    let then = Utc::now() + TimeDelta::days(40);
    assert_eq!(office.judged(answer, then).await, Err(Why::Unproven));
}

#[tokio::test]
async fn an_answer_out_of_time_or_about_others_says_nothing() {
    let office = Office::open();
    office.notes("V", "", "10");
    let answer = office.answers("ca", &["-nmin", "60"]).await;
    let now = Utc::now();
    assert_eq!(standing(office.judged(answer.clone(), now + TimeDelta::minutes(62)).await), Ok(Standing::Good), "our clock");
    assert_eq!(office.judged(answer.clone(), now + TimeDelta::minutes(70)).await, Err(Why::Stale));
    assert_eq!(office.judged(answer.clone(), now - TimeDelta::minutes(10)).await, Err(Why::Unproven), "before its signer");
    // Without an end it is good for a day.
    let endless = office.answers("ca", &[]).await;
    assert_eq!(standing(office.judged(endless.clone(), now + TimeDelta::hours(23)).await), Ok(Standing::Good));
    assert_eq!(office.judged(endless, now + TimeDelta::hours(25)).await, Err(Why::Stale));
    let other = office.certify("other", "ca", 18, "basicConstraints=CA:FALSE", 30);
    let judged = office.bench.helper.ocsp_answer(answer.clone(), &other, &office.der("ca"), now).await.expect("judged");
    assert_eq!(judged, Err(Why::Other));
    // The same, where the other authority has the same name.
    let impostor = Office::open();
    let judged = impostor.bench.helper.ocsp_answer(answer, &impostor.der("anna"), &impostor.der("ca"), now).await;
    assert_eq!(judged.expect("judged"), Err(Why::Unproven));
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_that() {
    let office = Office::open();
    office.notes("V", "", "10");
    let answer = office.answers("ca", &["-ndays", "1"]).await;
    let cut = answer[..answer.len() - 7].to_vec();
    // OCSPResponse { tryLater } and { unauthorized } (RFC 6960 section 4.2.1).
    let short = |status: u8| vec![0x30, 3, 0x0a, 1, status];
    let mut changed = answer.clone();
    // Within what is signed.
    changed[60] ^= 1;
    for (bytes, why) in [
        (b"garbage".to_vec(), Why::Malformed),
        (Vec::new(), Why::Malformed),
        (cut, Why::Malformed),
        (short(3), Why::Refused),
        (short(6), Why::Unknown),
        (short(0), Why::Malformed),
    ] {
        assert_eq!(office.judged(bytes.clone(), Utc::now()).await, Err(why), "{bytes:?}");
        assert!(matches!(office.looked_up(bytes, Utc::now()).await, Err(Why::Malformed)));
    }
    assert!(matches!(office.judged(changed, Utc::now()).await, Err(Why::Unproven | Why::Malformed)));
}

#[tokio::test]
async fn a_list_says_what_has_been_revoked() {
    let office = Office::open();
    office.notes("V", "", "10");
    let good = office.looked_up(office.list("ca", &[]), Utc::now()).await.expect("an answer");
    assert_eq!(good.standing, Standing::Good);
    let hours = (good.next.expect("a time") - Utc::now()).num_hours();
    assert!((46..=48).contains(&hours), "{hours}");
    for (written, reason) in REASONS {
        office.notes("R", &format!("{}{written}", SINCE.0), "10");
        let list = office.list("ca", &[]);
        assert_eq!(standing(office.looked_up(list, Utc::now()).await), Ok(revoked(reason)), "{written}");
    }
    let pem = office.bench.read("list.pem");
    assert_eq!(standing(office.looked_up(pem, Utc::now()).await), Ok(revoked(Reason::Hold)), "PEM");
    office.notes("R", &format!("{},removeFromCRL", SINCE.0), "10");
    assert_eq!(standing(office.looked_up(office.list("ca", &[]), Utc::now()).await), Ok(Standing::Good), "taken back");
    office.notes("R", SINCE.0, "1010");
    assert_eq!(standing(office.looked_up(office.list("ca", &[]), Utc::now()).await), Ok(Standing::Good), "another's");
}

#[tokio::test]
async fn a_list_of_others_or_out_of_time_says_nothing() {
    let office = Office::open();
    office.notes("R", SINCE.0, "10");
    office.bench.certificate("stranger", P256);
    let now = Utc::now();
    assert_eq!(office.looked_up(office.list("stranger", &[]), now).await, Err(Why::Other));
    let impostor = Office::open();
    impostor.notes("R", SINCE.0, "10");
    assert_eq!(office.looked_up(impostor.list("ca", &[]), now).await, Err(Why::Unproven));
    let list = office.list("ca", &["-crldays", "2"]);
    assert_eq!(office.looked_up(list.clone(), now + TimeDelta::days(3)).await, Err(Why::Stale));
    assert_eq!(office.looked_up(list.clone(), now - TimeDelta::days(1)).await, Err(Why::Stale));
    let cut = list[..list.len() - 7].to_vec();
    assert_eq!(office.looked_up(cut, now).await, Err(Why::Malformed));
    let mut changed = list;
    *changed.last_mut().expect("a byte") ^= 1;
    assert!(matches!(office.looked_up(changed, now).await, Err(Why::Unproven | Why::Malformed)));
    // An authority whose key may sign certificates alone signs no lists.
    let office = Office::open();
    office.notes("R", SINCE.0, "10");
    let own = ["req", "-x509", "-key", "ca.key", "-subj", "/CN=ca", "-days", "20", "-out", "ca.crt"];
    office.bench.openssl(&[&own[..], &["-addext", "keyUsage=keyCertSign"]].concat());
    assert_eq!(office.looked_up(office.list("ca", &[]), now).await, Err(Why::Unproven));
}

#[tokio::test]
async fn a_list_of_a_part_speaks_of_its_part() {
    let office = Office::open();
    office.notes("R", SINCE.0, "10");
    let list = async |office: &Office, part: &str| {
        standing(office.looked_up(office.list("ca", &["-crldays", "2", "-crlexts", part]), Utc::now()).await)
    };
    for part in ["part", "reasons", "authorities", "strange"] {
        assert_eq!(list(&office, part).await, Err(Why::Other), "{part}");
    }
    let point = "basicConstraints=CA:FALSE\ncrlDistributionPoints=URI:http://crl.example/part.crl";
    office.certify("anna", "ca", 16, point, 30);
    assert_eq!(list(&office, "part").await, Ok(revoked(Reason::Unspecified)));
}

#[tokio::test]
async fn the_chain_above_a_certificate_is_found_as_far_as_it_is_known() {
    let office = Office::open();
    let authority = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign";
    let (root, between) = (office.der("ca"), office.certify("between", "ca", 5, authority, 10));
    let bob = office.certify("bob", "between", 6, "basicConstraints=CA:FALSE", 300);
    let trace = async |links: &[&[u8]], anchors: &[&[u8]], at: DateTime<Utc>| {
        let owned = |ders: &[&[u8]]| ders.iter().map(|der| der.to_vec()).collect::<Vec<_>>();
        let traced = office.bench.helper.trace(&bob, &owned(links), &owned(anchors), at).await.expect("traced");
        let ends = traced.until.map(|(_, name)| name);
        (traced.reach, traced.chain.len(), ends.unwrap_or_default())
    };
    let now = Utc::now();
    let says = |reach, links, ends: &str| (reach, links, ends.to_owned());
    assert_eq!(trace(&[], &[], now).await, says(Reach::Nothing, 0, ""));
    assert_eq!(trace(&[&root, &bob], &[], now).await, says(Reach::Nothing, 0, ""), "not by name");
    assert_eq!(trace(&[&between], &[], now).await, says(Reach::Part, 1, "between"));
    assert_eq!(trace(&[&between, &root], &[], now).await, says(Reach::Root, 2, "between"));
    assert_eq!(trace(&[&between], &[&root], now).await, says(Reach::Anchor, 2, "between"));
    assert_eq!(trace(&[], &[&between], now).await, says(Reach::Anchor, 1, "between"));
    let later = now + TimeDelta::days(15);
    assert_eq!(trace(&[&between, &root], &[], later).await, says(Reach::Root, 2, "between"), "it has ended");
    // Its name alone does not make it the issuer.
    office.bench.certificate("between", P256);
    let impostor = office.der("between");
    assert_eq!(trace(&[&impostor], &[&impostor], now).await, says(Reach::Nothing, 0, ""));
}

#[tokio::test]
async fn of_several_chains_the_one_counts_that_holds_longest() {
    let office = Office::open();
    let authority = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign";
    let short = office.certify("between", "ca", 5, authority, 10);
    let bob = office.certify("bob", "between", 6, "basicConstraints=CA:FALSE", 300);
    // Certified anew, with the same key.
    let renew = ["x509", "-req", "-in", "between.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "7"];
    office.bench.openssl(&[&renew[..], &["-days", "15", "-out", "longer.crt", "-extfile", "between.ext"]].concat());
    let longer = office.bench.certificate_der("longer.crt");
    for links in [[short.clone(), longer.clone()], [longer.clone(), short]] {
        let traced = office.bench.helper.trace(&bob, &links, &[office.der("ca")], Utc::now()).await.expect("traced");
        let until = Certificate::from_der(&longer).expect("a certificate").not_after;
        assert_eq!(traced.until, Some((until, "between".to_owned())));
    }
}

/// Whatever byte of what an authority has said is changed on the way, nothing else comes of it than what was said.
#[tokio::test]
async fn no_changed_byte_makes_another_answer() {
    let office = Office::open();
    office.notes("R", &format!("{},keyCompromise", SINCE.0), "10");
    let (answer, list) = (office.answers("ca", &["-ndays", "1"]).await, office.list("ca", &[]));
    let now = Utc::now();
    let (helper, anna, issuer) = (&office.bench.helper, office.der("anna"), office.der("ca"));
    for (said, is_list) in [(answer, false), (list, true)] {
        for at in (0..said.len()).step_by(7) {
            let mut changed = said.clone();
            changed[at] ^= 1 << (at % 8);
            let judged = if is_list {
                helper.revocation_list(changed, &anna, &issuer, now).await.expect("judged")
            } else {
                helper.ocsp_answer(changed, &anna, &issuer, now).await.expect("judged")
            };
            let judged = judged.map(|finding| finding.standing);
            assert!(judged.is_err() || judged == Ok(revoked(Reason::KeyCompromise)), "byte {at}: {judged:?}");
        }
    }
}
