//! Certificates as real programs write them, made with openssl: see `data/`.

use chrono::{DateTime, Utc};
use obnova_core::certificate::{CertificateError, KeyAlgorithm, LONGEST};
use obnova_core::{Certificate, Fingerprint};

const RSA: &[u8] = include_bytes!("data/rsa-san.der");
const P256: &[u8] = include_bytes!("data/p-256.der");
const P384: &[u8] = include_bytes!("data/p-384.der");
const ED25519: &[u8] = include_bytes!("data/ed25519.der");
const AUTHORITY: &[u8] = include_bytes!("data/authority.der");
const OLD_STRINGS: &[u8] = include_bytes!("data/old-strings.der");
const HUGE_SERIAL: &[u8] = include_bytes!("data/huge-serial.der");
const YEAR_2060: &[u8] = include_bytes!("data/year-2060.der");
const VERSION_1: &[u8] = include_bytes!("data/version-1.der");

/// What openssl says of a certificate; the digests are sha256sum's.
struct Expected {
    der: &'static [u8],
    fingerprint: &'static str,
    public_key: &'static str,
    name: &'static str,
    subject: &'static str,
    serial: &'static str,
    validity: [&'static str; 2],
    key: KeyAlgorithm,
    authority: bool,
    usage: Option<u16>,
    may_decrypt: bool,
}

/// The bits of a `KeyUsage`, by their numbers in RFC 5280 section 4.2.1.3.
fn usage(bits: &[u16]) -> u16 {
    bits.iter().map(|bit| 1 << bit).sum()
}

fn expected() -> Vec<Expected> {
    let year = ["2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"];
    vec![
        Expected {
            der: RSA,
            fingerprint: "ed5e7e89eda1fe69d7e5b3bf362ea194eb46fb9dfce492382d68eb76147f7ee1",
            public_key: "5cd4e4fc912f470c0e30cc2c016bf95b94a9ca0a6cc581de035e7b7bda97f414",
            name: "Anna Nováková",
            subject: "CN=Anna Nováková,O=Novák\\, s.r.o.,C=CZ",
            serial: "c0ffee",
            validity: ["2025-01-02T03:04:05Z", "2028-01-02T03:04:04Z"],
            key: KeyAlgorithm::Rsa(2048),
            authority: false,
            usage: Some(usage(&[0, 2])),
            may_decrypt: true,
        },
        Expected {
            der: P256,
            fingerprint: "c4f3a703dbbfeb51bf6dac439fa698bac5cd765ef79e889483366c03acb7247f",
            public_key: "5e4c46be534d8113ba45aa4e84afce648f58d6aef94c127c8409a31f38e931c0",
            name: "P-256 signer",
            subject: "CN=P-256 signer",
            serial: "01",
            validity: year,
            key: KeyAlgorithm::P256,
            authority: false,
            usage: Some(usage(&[0, 1])),
            may_decrypt: false,
        },
        Expected {
            der: P384,
            fingerprint: "38dc33afa51b8c532de49775a613e7c948aaf5b91d56259f3c9670ccdf12ac1c",
            public_key: "200013e48eae5cf33f4937f62dcfbc78d739f7ba82506947085c55c64af3514e",
            name: "P-384 agreement",
            subject: "CN=P-384 agreement",
            serial: "02",
            validity: year,
            key: KeyAlgorithm::P384,
            authority: false,
            // decipherOnly is the bit that stands in a second byte.
            usage: Some(usage(&[4, 8])),
            may_decrypt: true,
        },
        Expected {
            der: ED25519,
            fingerprint: "f1794a642cef572e3fb9fdd3bfe0b6604101552fd765299ef8934a8723b38982",
            public_key: "7284fbad797d37b210022e56db4419a83a5f94355a0b4a4aa6440bd8536899cd",
            name: "Ed25519",
            subject: "CN=Ed25519",
            serial: "03",
            validity: year,
            key: KeyAlgorithm::Other,
            authority: false,
            usage: Some(usage(&[0, 1])),
            may_decrypt: false,
        },
        Expected {
            der: AUTHORITY,
            fingerprint: "fc2ccd983337f3ab829f81d5d01262e9dead01dae21013edeb635dc883f95150",
            public_key: "cb69e2870f1915bfdef7fd1c0617c05f419af47a56ed4177298081b8672ee3ea",
            name: "Example Root",
            subject: "CN=Example Root",
            serial: "04",
            validity: ["2025-01-01T00:00:00Z", "2035-01-01T00:00:00Z"],
            key: KeyAlgorithm::Rsa(2048),
            authority: true,
            usage: Some(usage(&[5, 6])),
            may_decrypt: false,
        },
        Expected {
            der: OLD_STRINGS,
            fingerprint: "7c1065f061f03ca0f0922cfdc5a564e5889819a25b5e8232cabb1a1d03e680e6",
            public_key: "1c30cf02cf600514cff38ea6fa79c5e6b0df648c6dea2a87f8924a2d7e0dd592",
            name: "Žofie Černá",
            subject: "CN=Žofie Černá,O=Müller GmbH",
            serial: "05",
            validity: year,
            key: KeyAlgorithm::P256,
            authority: false,
            usage: Some(usage(&[0, 1])),
            may_decrypt: false,
        },
        Expected {
            der: HUGE_SERIAL,
            fingerprint: "720c26368ff244b099c7047b72545bb4009bb7f6c091d834d60c78a063428ef4",
            public_key: "fa129f53a01c4d508794ec2a9b9ba6485ff3de1fbd4421f34bb4e1489993d44f",
            name: "Huge serial",
            subject: "CN=Huge serial",
            serial: "fedcba98765432100123456789abcdeffedcba98765432100123456789abcdef",
            validity: year,
            key: KeyAlgorithm::P256,
            authority: false,
            usage: Some(usage(&[0, 1])),
            may_decrypt: false,
        },
        Expected {
            der: YEAR_2060,
            fingerprint: "1abc31f1e5373a01b27c51f852cf162811321b2c6b32c754e39041af1eb7e2ec",
            public_key: "828a4dbb7debe79c2e8af005e8044f4169af0d8e6ab78e40b8f60abe0d713bec",
            name: "only.example.org",
            subject: "O=Nobody",
            serial: "06",
            validity: ["2049-12-31T23:59:59Z", "2060-06-15T12:00:00Z"],
            key: KeyAlgorithm::P256,
            authority: false,
            usage: None,
            may_decrypt: true,
        },
        Expected {
            der: VERSION_1,
            fingerprint: "429f5a7d9488ac31a106cdfdebbc96a68f6dbfd1120b42b2aa7eeb95406f5042",
            public_key: "828a4dbb7debe79c2e8af005e8044f4169af0d8e6ab78e40b8f60abe0d713bec",
            name: "Version one",
            subject: "CN=Version one",
            serial: "00",
            validity: ["2026-11-22T08:14:08Z", "2036-11-19T08:14:08Z"],
            key: KeyAlgorithm::P256,
            authority: false,
            usage: None,
            may_decrypt: true,
        },
    ]
}

#[test]
fn each_field_is_what_openssl_says() {
    for expected in expected() {
        let certificate = Certificate::from_der(expected.der).expect("a certificate");
        let name = expected.name;
        assert_eq!(certificate.fingerprint.to_string(), expected.fingerprint, "{name}");
        assert_eq!(certificate.public_key.to_string(), expected.public_key, "{name}");
        assert_eq!(certificate.name(), name);
        assert_eq!(certificate.subject(), expected.subject);
        assert_eq!(certificate.issuer(), expected.subject, "{name}");
        assert!(certificate.self_issued(), "{name}");
        assert_eq!(certificate.serial_hex(), expected.serial, "{name}");
        let validity = expected.validity.map(|time| time.parse::<DateTime<Utc>>().expect("a time"));
        assert_eq!([certificate.not_before, certificate.not_after], validity, "{name}");
        assert_eq!(certificate.key, expected.key, "{name}");
        assert_eq!(certificate.authority, expected.authority, "{name}");
        assert_eq!(certificate.usage, expected.usage, "{name}");
        assert_eq!(certificate.may_decrypt(), expected.may_decrypt, "{name}");
    }
}

#[test]
fn the_holder_is_subject_and_alternative_names() {
    let holder = |der: &[u8]| Certificate::from_der(der).expect("a certificate").holder;
    // A subject alone: its DER, `SEQUENCE { SET { SEQUENCE { OID commonName, UTF8String } } }` (RFC 5280 section 4.1.2.6).
    let mut subject = vec![0x30, 22, 0x31, 20, 0x30, 18, 0x06, 3, 0x55, 4, 3, 0x0c, 11];
    subject.extend(b"Version one");
    let signer = [&[0x30, 23, 0x31, 21, 0x30, 19, 0x06, 3, 0x55, 4, 3, 0x0c, 12][..], b"P-256 signer"].concat();
    assert_eq!(holder(P256), Fingerprint::of(&signer));
    // openssl's command line wrote that one's name as UTF8String, too.
    assert_eq!(holder(VERSION_1), Fingerprint::of(&subject));
    // With an alternative name: the value of the extension behind it.
    let nobody = [&[0x30, 17, 0x31, 15, 0x30, 13, 0x06, 3, 0x55, 4, 10, 0x0c, 6][..], b"Nobody"].concat();
    let names = [&[0x30, 18, 0x82, 16][..], b"only.example.org"].concat();
    assert_eq!(holder(YEAR_2060), Fingerprint::of(&[nobody, names].concat()));
}

#[test]
fn what_is_not_exactly_one_certificate_is_refused() {
    let mut longer = RSA.to_vec();
    longer.push(0);
    assert!(matches!(Certificate::from_der(&longer), Err(CertificateError::Malformed(_))));
    assert!(matches!(Certificate::from_der(&vec![0x30; LONGEST + 1]), Err(CertificateError::TooLong(_))));
}

/// Every certificate that was cut off or had one byte changed is refused or read, without a panic.
#[test]
fn damage_panics_nowhere() {
    for Expected { der, .. } in expected() {
        for end in 0..der.len() {
            assert!(Certificate::from_der(&der[..end]).is_err(), "cut off after {end} bytes");
        }
        let whole = Certificate::from_der(der).expect("a certificate");
        for position in 0..der.len() {
            for change in [0x01, 0x20, 0x80, 0xff] {
                let mut damaged = der.to_vec();
                damaged[position] ^= change;
                if let Ok(certificate) = Certificate::from_der(&damaged) {
                    assert_ne!(certificate.fingerprint, whole.fingerprint, "byte {position}");
                }
            }
        }
    }
}
