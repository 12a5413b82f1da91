//! PKCS#12 files, which obnova-helper opens.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use obnova_core::Problem;
use obnova_secret::Secret;

use crate::*;

const RIGHT: &[u8] = "Příliš žluťoučký".as_bytes();

/// A file as the openssl program writes it.
fn export(directory: &Path, name: &str, made: &Made, password: &[u8], legacy: bool) -> PathBuf {
    let (key, certificate) = (directory.join(".key"), directory.join(".crt"));
    std::fs::write(&key, made.key_pem()).expect("written");
    std::fs::write(&certificate, made.pem()).expect("written");
    let path = directory.join(name);
    let mut openssl = Command::new("openssl");
    openssl.args(["pkcs12", "-export"]).args(legacy.then_some("-legacy"));
    openssl.arg("-inkey").arg(&key).arg("-in").arg(&certificate).arg("-out").arg(&path);
    openssl.arg("-passout").arg(OsStr::from_bytes(&[b"pass:", password].concat()));
    assert!(openssl.status().expect("openssl").success());
    for file in [key, certificate] {
        std::fs::remove_file(file).expect("removed");
    }
    path
}

fn secret(bytes: &[u8]) -> Secret {
    Secret::from_slice(&mut bytes.to_vec()).expect("locked memory")
}

#[tokio::test]
async fn a_package_is_locked_until_its_password_is_said() {
    for legacy in [false, true] {
        let directory = scratch();
        let made = Made::new("anna");
        let path = export(directory.path(), "a.p12", &made, RIGHT, legacy);
        let mut watch = Watch::start();
        let locked = watch.one(p12(&path)).await;
        assert_eq!(sight(&locked).condition, Condition::Locked);
        assert!(sight(&locked).certificates.is_empty());
        let wrong = watch.surveyor.open(&p12(&path), &secret(b"wrong")).await;
        assert!(matches!(wrong, Err(Problem::WrongSecret { .. })), "{wrong:?}");
        let opened = watch.surveyor.open(&p12(&path), &secret(RIGHT)).await.expect("opened");
        assert_eq!(names(&opened), ["anna+"]);
        assert_eq!(opened.der, [made.der()]);
        // The same file, this time and the next.
        watch.surveyor.look_again().await;
        watch.nothing().await;
        let again = Watch::knowing(stamps(&[opened]));
        assert!(again.surveyor.watch(p12(&path)).await.is_empty());

        export(directory.path(), "a.p12", &Made::new("berta"), RIGHT, legacy);
        assert_eq!(sight(&watch.soon().await[0]).condition, Condition::Locked, "changed, and nobody can read it");
    }
}

#[tokio::test]
async fn a_package_without_password_opens_by_itself() {
    let directory = scratch();
    let path = export(directory.path(), "a.pfx", &Made::new("anna"), b"", false);
    let sightings = Watch::start().file(directory.path()).await;
    assert_eq!(places(&sightings), [file(directory.path()), p12(&path)]);
    assert_eq!(names(&sightings[1]), ["anna+"]);
}

#[tokio::test]
async fn a_broken_package_is_no_wrong_password() {
    let directory = scratch();
    let path = export(directory.path(), "a.p12", &Made::new("anna"), RIGHT, false);
    let content = std::fs::read(&path).expect("read");
    for broken in [&content[..content.len() / 2], b"garbage", b""] {
        std::fs::write(&path, broken).expect("written");
        let watch = Watch::start();
        assert_eq!(trouble(&watch.one(p12(&path)).await), "place-broken");
        let opened = watch.surveyor.open(&p12(&path), &secret(RIGHT)).await;
        assert!(matches!(opened, Err(Problem::PlaceBroken { .. })), "{opened:?}");
    }
    std::fs::remove_file(&path).expect("removed");
    let opened = Watch::start().surveyor.open(&p12(&path), &secret(RIGHT)).await;
    assert!(matches!(opened, Err(Problem::PlaceMissing { .. })), "{opened:?}");
}

#[tokio::test]
async fn the_certificate_beside_a_package_tells() {
    let directory = scratch();
    let made = Made::new("anna");
    let path = export(directory.path(), "a.p12", &made, RIGHT, false);
    let mut watch = Watch::start();
    assert_eq!(sight(&watch.one(p12(&path)).await).condition, Condition::Locked);
    write(directory.path(), "a.crt", [made.pem(), Made::new("authority").pem()].concat());
    let news = watch.soon().await;
    assert_eq!(places(&news), [p12(&path)]);
    assert_eq!(names(&news[0]), ["anna+"], "the first alone");
    // Replaced together.
    let next = Made::new("berta");
    export(directory.path(), "a.p12", &next, RIGHT, false);
    write(directory.path(), "a.crt", next.pem());
    assert_eq!(names(&watch.soon().await[0]), ["berta+"]);
    // Both are places where a directory is watched.
    let sightings = Watch::start().file(directory.path()).await;
    assert_eq!(places(&sightings), [file(directory.path()), file(&directory.path().join("a.crt")), p12(&path)]);
}

#[tokio::test]
async fn without_the_helper_a_package_is_tried_again_later() {
    let directory = scratch();
    let path = export(directory.path(), "a.p12", &Made::new("anna"), b"", false);
    let (sender, _news) = mpsc::channel(4);
    let (surveyor, _task) = Surveyor::start(Helper::at("/nonexistent"), Vec::new(), sender).expect("inotify");
    let failed = surveyor.watch(p12(&path)).await;
    assert_eq!(trouble(&failed[0]), "helper-failed");
    let sightings = Watch::knowing(stamps(&failed)).surveyor.watch(p12(&path)).await;
    assert_eq!(names(&sightings[0]), ["anna+"]);
}

#[tokio::test]
async fn only_packages_are_opened() {
    let opened = Watch::start().surveyor.open(&file(Path::new("/a.pem")), &secret(RIGHT)).await;
    assert!(matches!(opened, Err(Problem::NotPossible { .. })));
}
