//! Key files as others write them, keys that we make, and what is done with them.

use std::fs;
use std::os::unix::fs::symlink;

use obnovad::helper::{HelperError, KeyAlgorithm};

use crate::bench::{Bench, KINDS, PASSWORD, mode_of, secret};

#[tokio::test]
async fn reads_private_keys_in_every_usual_form() {
    let bench = Bench::new();
    for (name, kind) in [("rsa", KINDS[0]), ("ec", KINDS[3])] {
        bench.certificate(name, kind);
        let spki = bench.spki(&format!("{name}.crt"));
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let passout = format!("pass:{PASSWORD}");
        let topk8 = ["pkcs8", "-topk8", "-in", &key, "-passout", &passout];
        let traditional = ["pkey", "-in", &key, "-traditional"];
        let forms: Vec<(&str, bool, Vec<u8>)> = vec![
            ("PKCS#8", false, bench.read(&key)),
            ("PKCS#8 DER", false, bench.openssl(&["pkey", "-in", &key, "-outform", "DER"])),
            ("PKCS#1 or SEC 1", false, bench.openssl(&traditional)),
            ("PKCS#1 or SEC 1 DER", false, bench.openssl(&[&traditional[..], &["-outform", "DER"]].concat())),
            ("after its certificate", false, [bench.read(&certificate), bench.read(&key)].concat()),
            ("before its certificate", false, [bench.read(&key), bench.read(&certificate)].concat()),
            ("Windows line ends", false, String::from_utf8(bench.read(&key)).expect("PEM").replace('\n', "\r\n").into()),
            ("PBES2", true, bench.openssl(&topk8)),
            ("PBES2 DER", true, bench.openssl(&[&topk8[..], &["-outform", "DER"]].concat())),
            ("scrypt", true, bench.openssl(&[&topk8[..], &["-scrypt"]].concat())),
            ("3DES", true, bench.openssl(&[&topk8[..], &["-v1", "PBE-SHA1-3DES"]].concat())),
            (
                "RC2",
                true,
                bench.openssl(
                    &[&topk8[..], &["-v1", "PBE-SHA1-RC2-40", "-provider", "legacy", "-provider", "default"]].concat(),
                ),
            ),
            ("PEM encryption", true, bench.openssl(&[&traditional[..], &["-aes256", "-passout", &passout]].concat())),
        ];
        for (form, encrypted, content) in forms {
            let path = bench.write("some.key", content);
            let right = encrypted.then(|| secret(PASSWORD));
            let found = bench.helper.inspect_key(&path, right.as_ref()).await.unwrap_or_else(|e| panic!("{form}: {e:?}"));
            assert_eq!(&*found.spki, spki, "{name}, {form}");
            assert_eq!(found.encrypted, encrypted, "{name}, {form}");
            if encrypted {
                let error = bench.helper.inspect_key(&path, None).await.expect_err("encrypted");
                assert!(matches!(error, HelperError::SecretNeeded), "{name}, {form}: {error:?}");
                for wrong in ["wrong", ""] {
                    let error = bench.helper.inspect_key(&path, Some(&secret(wrong))).await.expect_err("wrong");
                    assert!(matches!(error, HelperError::WrongSecret), "{name}, {form}: {error:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_key_may_follow_its_curve() {
    let bench = Bench::new();
    bench.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-out", "ec.key"]);
    assert!(bench.read("ec.key").starts_with(b"-----BEGIN EC PARAMETERS"));
    let found = bench.helper.inspect_key(&bench.path("ec.key"), None).await.expect("a key");
    assert_eq!(&*found.spki, bench.openssl(&["pkey", "-in", "ec.key", "-pubout", "-outform", "DER"]));
}

#[tokio::test]
async fn a_file_without_a_private_key_says_so() {
    let bench = Bench::new();
    let der = bench.certificate("karta", KINDS[0]);
    bench.openssl(&["pkcs12", "-export", "-inkey", "karta.key", "-in", "karta.crt", "-out", "p12", "-passout", "pass:x"]);
    let contents: [(&str, &[u8]); 6] = [
        ("empty", b""),
        ("text", b"Dear Sir or Madam,\n"),
        ("garbage", &bench.openssl(&["rand", "-hex", "500"])),
        ("certificate", &bench.read("karta.crt")),
        ("DER certificate", &der),
        ("public key", &bench.spki("karta.crt")),
    ];
    for (name, content) in contents {
        let path = bench.write("some.key", content);
        let error = bench.helper.inspect_key(&path, Some(&secret("x"))).await.expect_err("no key");
        assert!(matches!(error, HelperError::NoKey), "{name}: {error:?}");
    }
    let error = bench.helper.inspect_key(&bench.path(""), None).await.expect_err("a directory");
    assert!(matches!(error, HelperError::NotRegular), "{error:?}");

    let package = bench.helper.inspect_key(&bench.path("p12"), Some(&secret("x"))).await.expect("the key in a PKCS#12");
    assert_eq!((package.spki.0, package.encrypted), (bench.spki("karta.crt"), true));
    let error = bench.helper.inspect_key(&bench.path("p12"), Some(&secret("y"))).await.expect_err("another password");
    assert!(matches!(error, HelperError::WrongSecret), "{error:?}");
}

#[tokio::test]
async fn a_broken_key_is_not_a_wrong_secret() {
    let bench = Bench::new();
    bench.certificate("karta", KINDS[0]);
    let plain = bench.read("karta.key");
    let sealed = bench.openssl(&["pkcs8", "-topk8", "-in", "karta.key", "-passout", "pass:x"]);
    let der = bench.openssl(&["pkey", "-in", "karta.key", "-outform", "DER"]);
    let sealed_der = bench.openssl(&["pkcs8", "-topk8", "-in", "karta.key", "-passout", "pass:x", "-outform", "DER"]);
    for (name, content) in [("PEM", plain), ("sealed PEM", sealed), ("DER", der), ("sealed DER", sealed_der)] {
        let path = bench.write("half.key", &content[..content.len() / 2]);
        let error = bench.helper.inspect_key(&path, Some(&secret("x"))).await.expect_err("half a key");
        assert!(matches!(error, HelperError::Broken { .. }), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_generated_key_is_sealed_and_shows_its_public_half() {
    let bench = Bench::new();
    let right = secret(PASSWORD);
    for (algorithm, text) in [
        (KeyAlgorithm::Rsa2048, "Private-Key: (2048 bit"),
        (KeyAlgorithm::Rsa3072, "Private-Key: (3072 bit"),
        (KeyAlgorithm::Rsa4096, "Private-Key: (4096 bit"),
        (KeyAlgorithm::P256, "NIST CURVE: P-256"),
        (KeyAlgorithm::P384, "NIST CURVE: P-384"),
    ] {
        let name = format!("{algorithm:?}");
        let path = bench.path(&name);
        bench.write(&format!("{name}.tmp"), "left by a killed helper");
        let spki = bench.helper.generate(algorithm, &path, Some(&right)).await.expect("a new key");
        assert_eq!(mode_of(&path), 0o600);
        assert!(!bench.path(&format!("{name}.tmp")).exists());

        let passin = format!("pass:{PASSWORD}");
        assert!(bench.openssl_text(&["pkey", "-in", &name, "-passin", &passin, "-noout", "-text"]).contains(text));
        assert_eq!(bench.openssl(&["pkey", "-in", &name, "-passin", &passin, "-pubout", "-outform", "DER"]), spki);
        assert_eq!(bench.helper.public_half(&path).await.expect("public half"), Some(spki.clone()));
        let found = bench.helper.inspect_key(&path, Some(&right)).await.expect("inspect");
        assert_eq!((&*found.spki, found.encrypted), (&spki[..], true));
        let error = bench.helper.inspect_key(&path, Some(&secret("x"))).await.expect_err("another secret");
        assert!(matches!(error, HelperError::WrongSecret), "{error:?}");
    }
}

#[tokio::test]
async fn a_sealed_key_takes_long_to_guess() {
    let bench = Bench::new();
    bench.helper.generate(KeyAlgorithm::P256, &bench.path("key"), Some(&secret("x"))).await.expect("a new key");
    let text = String::from_utf8(bench.read("key")).expect("PEM");
    let sealed = text.find("-----BEGIN ENCRYPTED").expect("sealed");
    bench.write("sealed", &text[sealed..]);
    let structure = bench.openssl_text(&["asn1parse", "-in", "sealed"]);
    for part in ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc", "INTEGER           :0927C0"] {
        assert!(structure.contains(part), "{part} in {structure}");
    }
}

#[tokio::test]
async fn without_a_secret_a_generated_key_is_plain() {
    let bench = Bench::new();
    let spki = bench.helper.generate(KeyAlgorithm::P384, &bench.path("key"), None).await.expect("a new key");
    assert!(!bench.helper.inspect_key(&bench.path("key"), None).await.expect("plain").encrypted);
    assert_eq!(bench.openssl(&["pkey", "-in", "key", "-pubout", "-outform", "DER"]), spki);
    assert_eq!(mode_of(&bench.path("key")), 0o600);
}

#[tokio::test]
async fn an_existing_file_is_never_generated_over() {
    let bench = Bench::new();
    let file = bench.write("key", "the only copy");
    symlink(bench.path("nowhere"), bench.path("dangling")).expect("link");
    for path in [&file, &bench.path("dangling"), &bench.path("")] {
        let error = bench.helper.generate(KeyAlgorithm::P256, path, None).await.expect_err("there is something");
        assert!(matches!(error, HelperError::AlreadyThere), "{}: {error:?}", path.display());
    }
    assert_eq!(fs::read(&file).expect("read"), b"the only copy");
    assert_eq!(bench.names(), ["dangling", "key"]);

    let error = bench.helper.generate(KeyAlgorithm::P256, &bench.path("no/key"), None).await.expect_err("nowhere");
    assert!(matches!(error, HelperError::NotFound), "{error:?}");
}

#[tokio::test]
async fn only_our_own_files_have_a_public_half() {
    let bench = Bench::new();
    bench.certificate("karta", KINDS[3]);
    assert_eq!(bench.helper.public_half(&bench.path("absent")).await.expect("absent"), None);
    let error = bench.helper.public_half(&bench.path("karta.key")).await.expect_err("not ours");
    assert!(matches!(error, HelperError::NoKey), "{error:?}");
}

#[tokio::test]
async fn signatures_verify() {
    let bench = Bench::new();
    bench.write("message", "to be signed");
    for (kind, digest) in [(KINDS[0], "-sha256"), (KINDS[3], "-sha256"), (KINDS[4], "-sha384")] {
        bench.certificate("karta", kind);
        let (key, spki) = (bench.path("karta.key"), bench.spki("karta.crt"));
        let signature = bench.helper.sign(&key, b"to be signed", &spki, None).await.expect("sign");
        bench.write("signature", signature);
        let told = bench.openssl_text(&["dgst", digest, "-verify", "spki.pem", "-signature", "signature", "message"]);
        assert_eq!(told, "Verified OK\n");
    }
}

#[tokio::test]
async fn a_key_signs_only_as_itself() {
    let bench = Bench::new();
    bench.certificate("karta", KINDS[3]);
    for other in [KINDS[3], KINDS[0]] {
        bench.certificate("other", other);
        let spki = bench.spki("other.crt");
        let error = bench.helper.sign(&bench.path("karta.key"), b"x", &spki, None).await.expect_err("another key");
        assert!(matches!(error, HelperError::KeyMismatch), "{error:?}");
    }
    let error = bench.helper.sign(&bench.path("karta.key"), b"x", b"no key", None).await.expect_err("no public key");
    assert!(matches!(error, HelperError::Broken { .. }), "{error:?}");

    bench.openssl(&["genpkey", "-algorithm", "ED25519", "-out", "ed.key"]);
    let spki = bench.openssl(&["pkey", "-in", "ed.key", "-pubout", "-outform", "DER"]);
    let error = bench.helper.sign(&bench.path("ed.key"), b"x", &spki, None).await.expect_err("a kind not provided for");
    assert!(matches!(error, HelperError::Unsupported { .. }), "{error:?}");
}

#[tokio::test]
async fn a_trial_proves_key_and_certificate() {
    let bench = Bench::new();
    for (number, kind) in KINDS.iter().enumerate() {
        let name = format!("karta{number}");
        let certificate = bench.certificate(&name, kind);
        let key = format!("{name}.key");
        bench.helper.trial(&bench.path(&key), &certificate, None).await.expect("a good pair");

        bench.openssl(&["pkcs8", "-topk8", "-in", &key, "-out", "sealed", "-passout", "pass:x"]);
        bench.helper.trial(&bench.path("sealed"), &certificate, Some(&secret("x"))).await.expect("a good pair");
        let error = bench.helper.trial(&bench.path("sealed"), &certificate, None).await.expect_err("sealed");
        assert!(matches!(error, HelperError::SecretNeeded), "{error:?}");

        let other = bench.certificate("other", kind);
        let error = bench.helper.trial(&bench.path(&key), &other, None).await.expect_err("another key");
        assert!(matches!(error, HelperError::KeyMismatch), "{error:?}");
    }
}

#[tokio::test]
async fn a_damaged_key_fails_its_trial() {
    let bench = Bench::new();
    let certificate = bench.certificate("karta", KINDS[0]);
    let der = bench.openssl(&["pkey", "-in", "karta.key", "-traditional", "-outform", "DER"]);
    let good = openssl::rsa::Rsa::private_key_from_der(&der).expect("RSA");
    // The public half is right; every private number is off by a little.
    let off = |number: &openssl::bn::BigNumRef| {
        let mut off = number.to_owned().expect("number");
        off.add_word(2).expect("sum");
        off
    };
    let copy = |number: &openssl::bn::BigNumRef| number.to_owned().expect("number");
    let damaged = openssl::rsa::Rsa::from_private_components(
        copy(good.n()),
        copy(good.e()),
        off(good.d()),
        copy(good.p().expect("p")),
        copy(good.q().expect("q")),
        off(good.dmp1().expect("dmp1")),
        off(good.dmq1().expect("dmq1")),
        off(good.iqmp().expect("iqmp")),
    );
    let pem = damaged.expect("RSA").private_key_to_pem().expect("PEM");
    let path = bench.write("damaged.key", pem);
    let error = bench.helper.trial(&path, &certificate, None).await.expect_err("it cannot sign");
    assert!(matches!(error, HelperError::TrialFailed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_certificate_is_judged_by_its_issuer() {
    let bench = Bench::new();
    for kind in [KINDS[0], KINDS[4]] {
        let root = bench.certificate("root", kind);
        let impostor = {
            let der = bench.certificate("impostor", kind);
            bench.openssl(&["req", "-x509", "-key", "impostor.key", "-subj", "/CN=root", "-out", "same-name.crt"]);
            assert_ne!(bench.certificate_der("same-name.crt"), der);
            bench.certificate_der("same-name.crt")
        };
        bench.openssl(&[
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "leaf.key", "-subj", "/CN=leaf", "-out", "csr",
        ]);
        bench.openssl(&[
            "x509", "-req", "-in", "csr", "-CA", "root.crt", "-CAkey", "root.key", "-out", "leaf.crt", "-days", "5",
        ]);
        let leaf = bench.certificate_der("leaf.crt");

        bench.helper.judge(&root, &root).await.expect("self-signed");
        bench.helper.judge(&leaf, &root).await.expect("issued");

        let other = bench.certificate("other", kind);
        let mut tampered = leaf.clone();
        *tampered.last_mut().expect("signature") ^= 1;
        for (name, certificate, issuer) in [
            ("another issuer", &leaf, &other),
            ("an issuer of the same name", &leaf, &impostor),
            ("not self-signed", &leaf, &leaf),
            ("tampered with", &tampered, &root),
        ] {
            let error = bench.helper.judge(certificate, issuer).await.expect_err(name);
            assert!(matches!(error, HelperError::NotIssued { .. }), "{name}: {error:?}");
        }

        for (name, broken) in [
            ("half", leaf[..leaf.len() / 2].to_vec()),
            ("more", [&leaf[..], b"\0"].concat()),
            ("twice", [&leaf[..], &leaf[..]].concat()),
            ("PEM", bench.read("leaf.crt")),
            ("empty", Vec::new()),
        ] {
            let error = bench.helper.judge(&broken, &root).await.expect_err(name);
            assert!(matches!(error, HelperError::Broken { .. }), "{name}: {error:?}");
        }
    }
}
