//! What is seen in a place at the first look.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use obnova_core::world::Condition;
use obnova_core::{Place, Problem};
use obnovad::stores::key_file;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::*;

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("FIFO");
}

/// Takes from this thread, and those that it starts, what lets root read everything.
fn be_nobody_special() {
    let mut sets = capabilities(None).expect("capabilities");
    sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    set_capabilities(None, sets).expect("capabilities");
}

#[tokio::test]
async fn a_file_may_be_pem_or_der_with_anything_around() {
    let directory = scratch();
    let made = Made::new("anna");
    let pem = String::from_utf8(made.pem()).expect("text");
    let trusted = {
        let block = pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        assert_ne!(block, pem);
        block
    };
    let watch = Watch::start();
    for (name, content) in [
        ("plain.pem", pem.clone().into_bytes()),
        ("der.cer", made.der()),
        ("crlf.pem", pem.replace('\n', "\r\n").into_bytes()),
        ("around.pem", format!("Bag Attributes\n  x: y\n{pem}trailing words").into_bytes()),
        ("unterminated.pem", pem.trim_end().as_bytes().to_vec()),
        ("old.pem", pem.replace("CERTIFICATE", "X509 CERTIFICATE").into_bytes()),
        ("trusted.pem", trusted.into_bytes()),
        ("bom.pem", [b"\xef\xbb\xbf", pem.as_bytes()].concat()),
    ] {
        let sighting = watch.one(file(&write(directory.path(), name, content))).await;
        assert_eq!(names(&sighting), ["anna"], "{name}");
        assert_eq!(sighting.der, [made.der()], "{name}");
        assert_eq!(sight(&sighting).condition, Condition::Readable, "{name}");
    }
}

#[tokio::test]
async fn a_file_may_hold_several() {
    let directory = scratch();
    let (anna, berta) = (Made::new("anna"), Made::new("berta"));
    let path = write(directory.path(), "two.pem", [anna.key_pem(), anna.pem(), b"\n\n".into(), berta.pem()].concat());
    let sighting = Watch::start().one(file(&path)).await;
    assert_eq!(names(&sighting), ["anna+", "berta"], "the key is the first one's");
    assert_eq!(sighting.der, [anna.der(), berta.der()]);
    assert_eq!(key_file(&file(&path)), Some(path));
}

#[tokio::test]
async fn the_key_may_be_in_the_file_or_beside_it() {
    let directory = scratch();
    let made = Made::new("anna");
    let key = made.key_pem();
    let sealed = made.key.private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_256_cbc(), b"x").expect("PEM");
    let sealed_der = made.key.private_key_to_pkcs8_passphrase(openssl::symm::Cipher::aes_256_cbc(), b"x").expect("DER");
    let sec1 = made.key.ec_key().expect("EC").private_key_to_pem().expect("PEM");
    let der = made.key.private_key_to_pkcs8().expect("DER");
    for (index, (certificate, key_name, key)) in [
        ("a.crt", "a.key", &key),
        ("a.crt", "a.key", &sealed),
        ("a.crt", "a.key", &sealed_der),
        ("a.crt", "a.key", &sec1),
        ("a.crt", "a.key", &der),
        ("a.crt", "a.pem", &key),
        ("a.pem", "a-key.pem", &key),
        ("fullchain.pem", "privkey.pem", &key),
        ("certs/a.pem", "private/a.key", &key),
    ]
    .into_iter()
    .enumerate()
    {
        let directory = directory.path().join(index.to_string());
        std::fs::create_dir_all(directory.join("certs")).expect("directory");
        std::fs::create_dir_all(directory.join("private")).expect("directory");
        let path = write(&directory, certificate, made.pem());
        let watch = Watch::start();
        assert_eq!(names(&watch.one(file(&path)).await), ["anna"], "no key yet");
        assert_eq!(key_file(&file(&path)), None);
        let key_path = write(&directory, key_name, key);
        let watch = Watch::start();
        assert_eq!(names(&watch.one(file(&path)).await), ["anna+"], "{certificate} {key_name}");
        assert_eq!(key_file(&file(&path)), Some(key_path), "{certificate} {key_name}");
    }
    // A certificate of the name that a key would have is none.
    let path = write(directory.path(), "b.crt", made.pem());
    write(directory.path(), "b.pem", Made::new("berta").pem());
    assert_eq!(names(&Watch::start().one(file(&path)).await), ["anna"]);
}

#[tokio::test]
async fn what_was_named_and_cannot_be_read_says_why() {
    let directory = scratch();
    let at = |name: &str| directory.path().join(name);
    fifo(&at("fifo"));
    symlink("/dev/zero", at("device")).expect("link");
    symlink("loop", at("loop")).expect("link");
    symlink("nowhere", at("dangling")).expect("link");
    std::fs::create_dir(at("directory")).expect("directory");
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("socket");
    write(directory.path(), "large", vec![b'x'; 1024 * 1024 + 1]);
    write(directory.path(), "empty", "");
    write(directory.path(), "garbage", vec![0x30; 500]);
    write(directory.path(), "bad.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    let watch = Watch::start();
    for (place, kind) in [
        (file(&at("missing")), "place-missing"),
        (file(&at("large/below")), "place-missing"),
        (file(&at("dangling")), "place-missing"),
        (file(&at("fifo")), "place-not-regular"),
        (file(&at("socket")), "place-not-regular"),
        (file(&at("device")), "place-not-regular"),
        (file(&at("loop")), "place-not-regular"),
        (p12(&at("directory")), "place-not-regular"),
        (p12(&at("fifo")), "place-not-regular"),
        (file(&at("large")), "place-too-large"),
        (file(&at("empty")), "place-broken"),
        (file(&at("garbage")), "place-broken"),
        (file(&at("bad.pem")), "place-broken"),
    ] {
        let sighting = watch.one(place.clone()).await;
        assert_eq!(trouble(&sighting), kind, "{place}");
        assert_eq!(sighting.place, place);
        assert!(watch.surveyor.watch(place).await.is_empty(), "said once");
    }
}

#[tokio::test]
async fn a_directory_shows_its_certificates_and_nothing_else() {
    let directory = scratch();
    let at = |name: &str| directory.path().join(name);
    let made = Made::new("anna");
    for name in ["a.pem", "no extension", "c.der"] {
        write(directory.path(), name, if name == "c.der" { made.der() } else { made.pem() });
    }
    write(directory.path(), "a.key", made.key_pem());
    write(directory.path(), "words.txt", "-----BEGIN or not");
    write(directory.path(), "large.pem", [made.pem(), vec![b'\n'; 1024 * 1024]].concat());
    write(directory.path(), "far.pem", [vec![b'\n'; 20_000], made.pem()].concat());
    write(directory.path(), "near.pem", [vec![b'\n'; 9_000], made.pem()].concat());
    fifo(&at("fifo.pem"));
    symlink("/dev/zero", at("device.pem")).expect("link");
    symlink("loop.pem", at("loop.pem")).expect("link");
    symlink("nowhere", at("dangling.pem")).expect("link");
    symlink("a.pem", at("0a1b2c3d.0")).expect("link");
    symlink(".", at("circle")).expect("link");
    std::fs::create_dir_all(at("1/2/3/4/5")).expect("directory");
    write(directory.path(), "1/2/3/4/deep.pem", made.pem());
    write(directory.path(), "1/2/3/4/5/too-deep.pem", made.pem());
    let elsewhere = scratch();
    let target = write(elsewhere.path(), "e.pem", made.pem());
    symlink(&target, at("elsewhere.pem")).expect("link");

    let sightings = Watch::start().file(directory.path()).await;
    let expected: Vec<Place> = ["", "1/2/3/4/deep.pem", "a.pem", "c.der", "elsewhere.pem", "near.pem", "no extension"]
        .iter()
        .map(|name| file(&at(name)))
        .collect();
    assert_eq!(places(&sightings), expected);
    assert_eq!(names(&sightings[2]), ["anna+"]);
    assert_eq!(names(&sightings[3]), ["anna"]);
}

#[tokio::test]
async fn a_broken_certificate_in_a_directory_is_told_of() {
    let directory = scratch();
    let made = Made::new("anna");
    let half = made.pem().split_at(made.pem().len() / 2).0.to_vec();
    write(directory.path(), "half.crt", &half);
    write(directory.path(), "notes", &half);
    write(directory.path(), "list.der", [0x30, 3, 2, 1, 7]);
    write(directory.path(), "parameters.pem", "-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----\n");
    let sightings = Watch::start().file(directory.path()).await;
    assert_eq!(places(&sightings), [file(directory.path()), file(&directory.path().join("half.crt"))]);
    assert_eq!(trouble(&sightings[1]), "place-broken");
}

#[tokio::test]
async fn an_empty_directory_is_readable() {
    let directory = scratch();
    let sighting = Watch::start().one(file(directory.path())).await;
    assert_eq!(sight(&sighting).condition, Condition::Readable);
    assert!(names(&sighting).is_empty());
}

#[tokio::test]
async fn what_may_not_be_read_comes_with_the_command_that_opens_it() {
    be_nobody_special();
    let directory = scratch();
    let closed = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o000)).expect("mode");
    let made = Made::new("anna");
    for name in ["a.pem", "privkey.pem", "shadow", "b.pem", "b.key", "c's.pem"] {
        let path = write(directory.path(), name, made.pem());
        if name != "b.pem" {
            closed(&path);
        }
    }
    let sub = directory.path().join("sub");
    std::fs::create_dir(&sub).expect("directory");
    write(&sub, "hidden.pem", made.pem());
    closed(&sub);

    let watch = Watch::start();
    let sightings = watch.file(directory.path()).await;
    let seen: Vec<(String, String)> = sightings[1..]
        .iter()
        .map(|sighting| match &sight(sighting).condition {
            Condition::Failed(Problem::PlaceDenied { path, command }) => (path.clone(), command.clone()),
            _ => (sighting.place.path().display().to_string(), names(sighting).join(" ")),
        })
        .collect();
    let uid = rustix::process::geteuid().as_raw();
    let root = directory.path().display();
    assert_eq!(
        seen,
        [
            (format!("{root}/a.pem"), format!("sudo setfacl -m u:{uid}:r {root}/a.pem")),
            (format!("{root}/b.pem"), "anna+".to_owned()),
            (format!("{root}/c's.pem"), format!(r"sudo setfacl -m u:{uid}:r '{root}/c'\''s.pem'")),
            (format!("{root}/sub"), format!("sudo setfacl -m u:{uid}:rx {root}/sub")),
        ]
    );
    let Condition::Failed(Problem::PlaceDenied { command, .. }) =
        &sight(&watch.one(file(&sub.join("hidden.pem"))).await).condition.clone()
    else {
        panic!("it cannot be reached")
    };
    assert_eq!(*command, format!("sudo setfacl -m u:{uid}:x {root}/sub"), "what bars the way is the directory");
    std::fs::set_permissions(&sub, Permissions::from_mode(0o700)).expect("mode");
}

#[tokio::test]
async fn what_is_known_is_not_reported_again() {
    let directory = scratch();
    let made = Made::new("anna");
    write(directory.path(), "a.pem", made.pem());
    let gone = write(directory.path(), "b.pem", made.pem());
    let bad = write(directory.path(), "bad.crt", "");
    let first = Watch::start();
    let mut known = stamps(&first.file(directory.path()).await);
    known.extend(stamps(&first.file(&bad).await));
    assert_eq!(known.len(), 4);

    let second = Watch::knowing(known.clone());
    assert!(second.surveyor.watch_all(vec![file(directory.path()), file(&bad)]).await.is_empty());

    std::fs::remove_file(&gone).expect("removed");
    write(directory.path(), "c.pem", made.pem());
    write(directory.path(), "bad.crt", made.pem());
    let third = Watch::knowing(known);
    let sightings = third.surveyor.watch_all(vec![file(directory.path()), file(&bad)]).await;
    let seen: Vec<(Place, bool)> =
        sorted(sightings).iter().map(|sighting| (sighting.place.clone(), sighting.sight.is_some())).collect();
    let expected = [(gone, false), (bad, true), (directory.path().join("c.pem"), true)];
    assert_eq!(seen, expected.map(|(path, there)| (file(&path), there)));
}

#[tokio::test]
async fn roots_may_lie_in_one_another() {
    let directory = scratch();
    let sub = directory.path().join("sub");
    std::fs::create_dir(&sub).expect("directory");
    let made = Made::new("anna");
    let inner = write(&sub, "inner.pem", made.pem());
    write(directory.path(), "outer.pem", made.pem());
    let mut watch = Watch::start();
    assert_eq!(watch.file(directory.path()).await.len(), 3);
    assert!(watch.file(&inner).await.is_empty(), "known already");
    assert_eq!(places(&watch.file(&sub).await), [file(&sub)]);
    assert!(watch.file(directory.path()).await.is_empty());

    std::fs::remove_file(&inner).expect("removed");
    let lost = watch.soon().await;
    assert_eq!(places(&lost), [file(&inner)]);
    assert_eq!(trouble(&lost[0]), "place-missing", "it was named");
    watch.surveyor.unwatch(file(&inner)).await;
    let forgotten = watch.soon().await;
    assert_eq!((&forgotten[0].place, &forgotten[0].sight), (&file(&inner), &None), "the directory does not name it");

    write(&sub, "inner.pem", made.pem());
    assert_eq!(names(&watch.soon().await[0]), ["anna"]);
    watch.surveyor.unwatch(file(directory.path())).await;
    watch.surveyor.unwatch(file(&sub)).await;
    write(&sub, "another.pem", made.pem());
    watch.nothing().await;
    assert_eq!(watch.file(directory.path()).await.len(), 4, "all was forgotten");
}
