//! PKCS#12 files as others write them, and the products that leave.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use obnovad::helper::{Bytes, Format, HelperError, KeyAlgorithm, Product};

use crate::bench::{Bench, KINDS, PASSWORD, mode_of, secret};

/// Exports `NAME.crt` and `NAME.key` to `NAME.p12` with further arguments.
fn export(bench: &Bench, name: &str, password: &str, arguments: &[&str]) {
    let (key, certificate, out) = (format!("{name}.key"), format!("{name}.crt"), format!("{name}.p12"));
    let password = format!("pass:{password}");
    let fixed = ["pkcs12", "-export", "-inkey", &key, "-in", &certificate, "-out", &out, "-passout", &password];
    bench.openssl(&[&fixed, arguments].concat());
}

#[tokio::test]
async fn opens_what_openssl_writes_modern_and_legacy() {
    let bench = Bench::new();
    for (number, kind) in KINDS.iter().enumerate() {
        let name = format!("karta{number}");
        let der = bench.certificate(&name, kind);
        let spki = bench.spki(&format!("{name}.crt"));
        for style in [&[][..], &["-legacy"]] {
            export(&bench, &name, PASSWORD, &[&["-name", "Karlova schránka"], style].concat());
            let path = bench.path(&format!("{name}.p12"));
            let opened = bench.helper.open_pkcs12(&path, &secret(PASSWORD)).await.expect("the password is right");
            assert_eq!(opened.certificates.len(), 1);
            assert_eq!(&*opened.certificates[0].der, der);
            assert!(opened.certificates[0].has_key);
            assert_eq!(opened.certificates[0].friendly_name.as_deref(), Some("Karlova schránka"));
            assert_eq!(opened.key.as_deref(), Some(&spki[..]));

            for wrong in ["wrong", "", "Zlutoucky kun"] {
                let error = bench.helper.open_pkcs12(&path, &secret(wrong)).await.expect_err("the password is wrong");
                assert!(matches!(error, HelperError::WrongSecret), "{style:?}: {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_fixtures_are_as_old_and_as_new_as_they_claim() {
    let bench = Bench::new();
    bench.certificate("karta", KINDS[0]);
    for (style, cipher) in [(&[][..], "AES-256-CBC"), (&["-legacy"], "pbeWithSHA1And40BitRC2-CBC")] {
        export(&bench, "karta", "x", style);
        let output = Command::new("openssl")
            .args(["pkcs12", "-legacy", "-info", "-noout", "-passin", "pass:x", "-in"])
            .arg(bench.path("karta.p12"))
            .output()
            .expect("openssl");
        assert!(String::from_utf8_lossy(&output.stderr).contains(cipher));
    }
}

#[tokio::test]
async fn an_empty_password_is_a_password() {
    let bench = Bench::new();
    bench.certificate("karta", KINDS[3]);
    for style in [&[][..], &["-legacy"]] {
        export(&bench, "karta", "", style);
        let opened = bench.helper.open_pkcs12(&bench.path("karta.p12"), &secret("")).await.expect("it is empty");
        assert!(opened.certificates[0].has_key);
        let error = bench.helper.open_pkcs12(&bench.path("karta.p12"), &secret("x")).await.expect_err("it is not this");
        assert!(matches!(error, HelperError::WrongSecret), "{error:?}");
    }
}

#[tokio::test]
async fn a_file_without_mac_opens_and_tells_wrong_from_right() {
    let bench = Bench::new();
    bench.certificate("karta", KINDS[0]);
    export(&bench, "karta", PASSWORD, &["-nomac"]);
    let path = bench.path("karta.p12");
    let opened = bench.helper.open_pkcs12(&path, &secret(PASSWORD)).await.expect("the password is right");
    assert!(opened.certificates[0].has_key);
    for wrong in ["wrong", ""] {
        let error = bench.helper.open_pkcs12(&path, &secret(wrong)).await.expect_err("the password is wrong");
        assert!(matches!(error, HelperError::WrongSecret), "{wrong}: {error:?}");
    }
}

#[tokio::test]
async fn a_chain_comes_along_and_only_the_leaf_has_the_key() {
    let bench = Bench::new();
    let (leaf, middle, root) =
        (bench.certificate("leaf", KINDS[3]), bench.certificate("middle", KINDS[3]), bench.certificate("root", KINDS[3]));
    bench.write("chain.pem", [bench.read("middle.crt"), bench.read("root.crt")].concat());
    export(&bench, "leaf", PASSWORD, &["-certfile", "chain.pem"]);
    let opened = bench.helper.open_pkcs12(&bench.path("leaf.p12"), &secret(PASSWORD)).await.expect("open");
    let found: Vec<(&[u8], bool)> = opened.certificates.iter().map(|found| (&*found.der, found.has_key)).collect();
    assert_eq!(found, [(&leaf[..], true), (&middle, false), (&root, false)]);
}

#[tokio::test]
async fn a_file_without_key_says_so() {
    let bench = Bench::new();
    let der = bench.certificate("karta", KINDS[3]);
    bench.openssl(&["pkcs12", "-export", "-nokeys", "-in", "karta.crt", "-out", "karta.p12", "-passout", "pass:x"]);
    let opened = bench.helper.open_pkcs12(&bench.path("karta.p12"), &secret("x")).await.expect("open");
    assert_eq!((opened.certificates.len(), opened.key), (1, None));
    assert_eq!(&*opened.certificates[0].der, der);
    assert!(!opened.certificates[0].has_key);
}

#[tokio::test]
async fn a_broken_file_is_not_a_wrong_password() {
    let bench = Bench::new();
    bench.certificate("karta", KINDS[0]);
    export(&bench, "karta", PASSWORD, &[]);
    let whole = bench.read("karta.p12");
    let garbage = bench.openssl(&["rand", "2000"]);
    let contents: [(&str, &[u8]); 6] = [
        ("empty", b""),
        ("one byte", &whole[..1]),
        ("half", &whole[..whole.len() / 2]),
        ("all but one", &whole[..whole.len() - 1]),
        ("garbage", &garbage),
        ("PEM", &bench.read("karta.crt")),
    ];
    for (name, content) in contents {
        let path = bench.write("broken.p12", content);
        let error = bench.helper.open_pkcs12(&path, &secret(PASSWORD)).await.expect_err("it is broken");
        assert!(matches!(error, HelperError::Broken { .. }), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_password_that_no_such_file_can_have_is_wrong() {
    let bench = Bench::new();
    bench.certificate("karta", KINDS[3]);
    export(&bench, "karta", "x", &[]);
    for impossible in [&b"x\0y"[..], b"\xff\xfe"] {
        let error = bench.helper.open_pkcs12(&bench.path("karta.p12"), &secret(impossible)).await.expect_err("wrong");
        assert!(matches!(error, HelperError::WrongSecret), "{error:?}");
    }
}

#[tokio::test]
async fn only_regular_files_of_sensible_size_are_read() {
    let bench = Bench::new();
    let open = async |path: &Path| bench.helper.open_pkcs12(path, &secret("x")).await.expect_err("not readable");

    let fifo = bench.path("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from(0o600)).expect("FIFO");
    symlink(bench.path("loop"), bench.path("loop")).expect("link");
    symlink("/dev/zero", bench.path("device")).expect("link");
    for path in [bench.path(""), fifo, bench.path("loop"), bench.path("device")] {
        let error = open(&path).await;
        assert!(matches!(error, HelperError::NotRegular), "{}: {error:?}", path.display());
    }

    let error = open(&bench.write("large", vec![0x30; 2 * 1024 * 1024])).await;
    assert!(matches!(error, HelperError::TooLarge { limit: 1_048_576 }), "{error:?}");
    let error = open(&bench.path("absent")).await;
    assert!(matches!(error, HelperError::NotFound), "{error:?}");
    let below_a_file = bench.path("large").join("below");
    assert!(matches!(open(&below_a_file).await, HelperError::Io { .. }));
}

#[tokio::test]
async fn links_and_names_that_are_no_text_lead_to_the_file() {
    let bench = Bench::new();
    bench.certificate("karta", KINDS[3]);
    export(&bench, "karta", "x", &[]);
    let odd = bench.path("").join(std::ffi::OsStr::from_bytes(b"kl\xed\xe8.p12"));
    symlink(bench.path("karta.p12"), &odd).expect("link");
    bench.helper.open_pkcs12(&odd, &secret("x")).await.expect("open");
}

#[tokio::test]
async fn a_renewed_key_leaves_as_pkcs12_that_openssl_opens() {
    let bench = Bench::new();
    let root = bench.certificate("root", KINDS[3]);
    let (key_secret, password) = (secret("key secret"), secret(PASSWORD));
    for algorithm in
        [KeyAlgorithm::Rsa2048, KeyAlgorithm::Rsa3072, KeyAlgorithm::Rsa4096, KeyAlgorithm::P256, KeyAlgorithm::P384]
    {
        let key = bench.path(&format!("{algorithm:?}.key"));
        let spki = bench.helper.generate(algorithm, &key, Some(&key_secret)).await.expect("a new key");
        let certificate = certify(&bench, &key, "pass:key secret");
        let signature = bench.helper.sign(&key, b"to be signed", &spki, Some(&key_secret)).await.expect("sign");
        assert!(!signature.is_empty());

        let product = Product {
            key: key.as_path().into(),
            certificate: Bytes(certificate.clone()),
            chain: vec![Bytes(root.clone())],
            friendly_name: Some("Žofie".to_owned()),
            out: bench.path("new.p12").as_path().into(),
            format: Format::Pkcs12,
        };
        let sha256 = bench.helper.package(product, Some(&key_secret), Some(&password)).await.expect("package");
        assert_eq!(bench.helper.digest(&bench.path("new.p12")).await.expect("digest"), Some(sha256));
        assert_eq!(mode_of(&bench.path("new.p12")), 0o600);

        let passin = format!("pass:{PASSWORD}");
        let all = bench.openssl_text(&["pkcs12", "-in", "new.p12", "-passin", &passin, "-nodes"]);
        assert_eq!(all.matches("BEGIN CERTIFICATE").count(), 2);
        bench.write("all.pem", &all);
        assert_eq!(bench.openssl_text(&["x509", "-in", "all.pem", "-noout", "-subject"]).trim(), "subject=CN = Nova");
        assert_eq!(bench.certificate_der("all.pem"), certificate);
        assert_eq!(bench.openssl(&["pkey", "-in", "all.pem", "-pubout", "-outform", "DER"]), spki);

        let opened = bench.helper.open_pkcs12(&bench.path("new.p12"), &password).await.expect("open");
        assert_eq!(opened.certificates[0].friendly_name.as_deref(), Some("Žofie"));
    }
    assert!(bench.names().iter().all(|name| !name.contains(".tmp")));
}

#[tokio::test]
async fn a_pkcs12_product_is_protected_as_today_demands() {
    let bench = Bench::new();
    let certificate = bench.certificate("karta", KINDS[3]);
    let product = plain_product(&bench, &certificate, Format::Pkcs12);
    bench.helper.package(product, None, Some(&secret("x"))).await.expect("package");
    let output = Command::new("openssl")
        .args(["pkcs12", "-info", "-noout", "-passin", "pass:x", "-in"])
        .arg(bench.path("product"))
        .output()
        .expect("openssl");
    let description = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(description.contains("MAC: sha256, Iteration 100000"), "{description}");
    let protection = "PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256";
    assert_eq!(description.matches(protection).count(), 2, "{description}");
}

#[tokio::test]
async fn a_renewed_key_leaves_as_pem() {
    let bench = Bench::new();
    let (certificate, root) = (bench.certificate("karta", KINDS[3]), bench.certificate("root", KINDS[3]));
    let spki = bench.spki("karta.crt");
    for (format, certificates) in [(Format::PemKey, 0), (Format::PemBoth, 2)] {
        for password in [None, Some(PASSWORD)] {
            let mut product = plain_product(&bench, &certificate, format);
            product.chain = vec![Bytes(root.clone())];
            let seals = password.map(secret);
            bench.helper.package(product, None, seals.as_ref()).await.expect("package");

            let written = String::from_utf8(bench.read("product")).expect("PEM");
            assert_eq!(written.matches("BEGIN CERTIFICATE").count(), certificates);
            assert_eq!(written.contains("BEGIN ENCRYPTED PRIVATE KEY"), password.is_some());
            assert_eq!(written.contains("BEGIN PRIVATE KEY"), password.is_none());
            let passin = format!("pass:{}", password.unwrap_or_default());
            let read = ["pkey", "-in", "product", "-passin", &passin, "-pubout", "-outform", "DER"];
            assert_eq!(bench.openssl(&read), spki);
            if certificates > 0 {
                assert_eq!(bench.certificate_der("product"), certificate, "the leaf comes first");
            }
            assert_eq!(mode_of(&bench.path("product")), 0o600);
        }
    }
}

#[tokio::test]
async fn nothing_is_packaged_that_does_not_belong_together() {
    let bench = Bench::new();
    let certificate = bench.certificate("karta", KINDS[3]);
    let other = bench.certificate("other", KINDS[3]);
    let older = bench.write("product", "older");
    let seal = secret("x");

    let foreign = plain_product(&bench, &other, Format::Pkcs12);
    let error = bench.helper.package(foreign, None, Some(&seal)).await.expect_err("another key");
    assert!(matches!(error, HelperError::KeyMismatch), "{error:?}");

    let product = || plain_product(&bench, &certificate, Format::Pkcs12);
    for unfit in [None, Some(secret(b"x\0y")), Some(secret(b"\xff"))] {
        let error = bench.helper.package(product(), None, unfit.as_ref()).await.expect_err("no such password");
        assert!(matches!(error, HelperError::UnfitSecret), "{error:?}");
    }
    let mut unnameable = product();
    unnameable.friendly_name = Some("a\0b".to_owned());
    let error = bench.helper.package(unnameable, None, Some(&seal)).await.expect_err("no such name");
    assert!(matches!(error, HelperError::Unsupported { .. }), "{error:?}");

    let mut broken = product();
    broken.chain = vec![Bytes(certificate[..100].to_vec())];
    let error = bench.helper.package(broken, None, Some(&seal)).await.expect_err("half a certificate");
    assert!(matches!(error, HelperError::Broken { .. }), "{error:?}");
    assert_eq!(std::fs::read(older).expect("read"), b"older", "until all is well, the older product stays");
}

fn plain_product(bench: &Bench, certificate: &[u8], format: Format) -> Product {
    Product {
        key: bench.path("karta.key").as_path().into(),
        certificate: certificate.into(),
        chain: Vec::new(),
        friendly_name: Some("karta".to_owned()),
        out: bench.path("product").as_path().into(),
        format,
    }
}

/// A self-signed certificate for a key that exists, by openssl.
fn certify(bench: &Bench, key: &Path, passin: &str) -> Vec<u8> {
    let key = key.to_str().expect("UTF-8");
    bench.openssl(&["req", "-x509", "-days", "20", "-subj", "/CN=Nova", "-key", key, "-passin", passin, "-out", "new.crt"]);
    bench.certificate_der("new.crt")
}
