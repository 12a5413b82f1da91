//! Where people and programs put the private key of a certificate file, and the certificate of a PKCS#12 file: the names.
//! Reading them is not in here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Where the key of the certificate file `name` may be, relative to its directory, likeliest first: the conventions of
/// Debian, certbot, mkcert, `MySQL` and the manual of `openssl req`.
pub(super) fn of_certificate(name: &OsStr) -> Vec<OsString> {
    let mut names = beside(name);
    let stem = stem(name);
    names.extend([join(&[ELSEWHERE, stem, b".key"]), join(&[ELSEWHERE, stem, b".pem"])]);
    names
}

/// The first part of [`of_certificate`]: names in the same directory.
fn beside(name: &OsStr) -> Vec<OsString> {
    let stem = stem(name);
    let mut names = vec![join(&[stem, b".key"]), join(&[stem, b"-key.pem"]), join(&[stem, b".pem"])];
    if let Some(bare) = stem.strip_suffix(b"-cert") {
        names.extend([join(&[bare, b"-key.pem"]), join(&[bare, b".key"])]);
    }
    // certbot's archive numbers its files.
    let series = stem.strip_prefix(b"fullchain").or_else(|| stem.strip_prefix(b"cert"));
    if let Some(number) = series.filter(|number| number.iter().all(u8::is_ascii_digit)) {
        names.push(join(&[b"privkey", number, b".pem"]));
    }
    if stem == b"cert" {
        names.push("key.pem".into());
    }
    names.retain(|other| other != name);
    names
}

/// Where the certificate of the PKCS#12 file `name` may stand a second time, readable without its password.
pub(super) fn of_package(name: &OsStr) -> Vec<OsString> {
    [b".crt", b".cer", b".pem"].iter().map(|extension| join(&[stem(name), *extension])).collect()
}

/// Whether a file of this name is a PKCS#12 file.
pub(super) fn is_package(name: &OsStr) -> bool {
    has_extension(name, &["p12", "pfx"])
}

/// Whether a file of this name is meant to hold a certificate, as opposed to a key or anything else.
pub(super) fn is_certificate(name: &OsStr) -> bool {
    has_extension(name, &["pem", "crt", "cer", "cert", "der", "p12", "pfx"]) && !is_key(name)
}

/// Whether a file of this name is meant to hold a private key.
pub(super) fn is_key(name: &OsStr) -> bool {
    let stem = stem(name);
    has_extension(name, &["key"])
        || (has_extension(name, &["pem"]) && (stem == b"key" || stem.ends_with(b"-key") || stem.starts_with(b"privkey")))
}

/// Whether a change to the file `changed` may change what is seen in the file `name` of the same directory.
pub(super) fn concerns(changed: &OsStr, name: &OsStr) -> bool {
    changed == name || neighbours(name).iter().any(|other| other == changed)
}

/// The files of the same directory on which it depends what is seen in the file `name`.
pub(super) fn neighbours(name: &OsStr) -> Vec<OsString> {
    if is_package(name) { of_package(name) } else { beside(name) }
}

/// Debian's way: certificates in `/etc/ssl/certs`, keys in `/etc/ssl/private`.
const ELSEWHERE: &[u8] = b"../private/";

fn stem(name: &OsStr) -> &[u8] {
    let bytes = name.as_bytes();
    match bytes.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if dot > 0 => &bytes[..dot],
        _ => bytes,
    }
}

fn has_extension(name: &OsStr, extensions: &[&str]) -> bool {
    let bytes = name.as_bytes();
    let stem = stem(name).len();
    bytes.get(stem + 1..).is_some_and(|own| extensions.iter().any(|other| own.eq_ignore_ascii_case(other.as_bytes())))
}

fn join(parts: &[&[u8]]) -> OsString {
    OsString::from_vec(parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_every_convention() {
        for (certificate, key) in [
            ("mail.example.org.crt", "mail.example.org.key"),
            ("mail.example.org.pem", "mail.example.org-key.pem"),
            ("mail.crt", "mail.pem"),
            ("server-cert.pem", "server-key.pem"),
            ("cert.pem", "privkey.pem"),
            ("fullchain.pem", "privkey.pem"),
            ("fullchain12.pem", "privkey12.pem"),
            ("cert.pem", "key.pem"),
            ("ssl-cert-snakeoil.pem", "../private/ssl-cert-snakeoil.key"),
            ("noextension", "noextension.key"),
        ] {
            let names = of_certificate(certificate.as_ref());
            assert!(names.iter().any(|name| name == key), "{certificate}: {names:?}");
        }
        assert!(!of_certificate("certificate.pem".as_ref()).iter().any(|name| name == "privkey.pem"));
        assert!(!of_certificate("a.pem".as_ref()).iter().any(|name| name == "a.pem"), "not itself");
    }

    #[test]
    fn names_tell_what_files_are_meant_to_hold() {
        for (name, certificate, key) in [
            ("a.pem", true, false),
            ("a.CRT", true, false),
            ("a.pfx", true, false),
            ("a.key", false, true),
            ("a-key.pem", false, true),
            ("privkey3.pem", false, true),
            ("shadow", false, false),
            (".pem", false, false),
        ] {
            assert_eq!((is_certificate(name.as_ref()), is_key(name.as_ref())), (certificate, key), "{name}");
        }
    }

    #[test]
    fn a_key_concerns_its_certificates_alone() {
        assert!(concerns("privkey.pem".as_ref(), "fullchain.pem".as_ref()));
        assert!(concerns("anna.crt".as_ref(), "anna.p12".as_ref()));
        assert!(!concerns("anna.crt".as_ref(), "berta.p12".as_ref()));
        assert!(!concerns("a.key".as_ref(), "b.pem".as_ref()));
    }
}
