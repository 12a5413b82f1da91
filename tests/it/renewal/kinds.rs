//! Every kind of key and every form of file.

use obnova_tests::{KeyKind, Recipe};

use super::{AGREES, Form, Watched};

/// Renews, verifies, and sees that the new one is watched and the old one warns no more.
async fn is_renewed(form: Form, recipe: &Recipe) {
    let watched = Watched::new(form, recipe).await;
    let protected = !matches!(form, Form::Pair { protected: false } | Form::Both { protected: false });
    let answers = if protected { AGREES } else { "consent=renewal:yes\n" };
    let outcome = watched.renew(answers, &[]).await.ends(0);
    let made = watched.is_renewed_beside();
    let printed: Vec<&str> = outcome.out.lines().collect();
    assert_eq!(printed.len(), watched.new_files().len(), "one line for each file: {outcome:?}");
    for path in printed {
        assert!(watched.new_files().iter().any(|name| watched.scene.file(name).to_str() == Some(path)), "{path}");
    }
    let items = watched.scene.items().await;
    let valid: Vec<_> = items.iter().filter(|item| item.kind == "identity" && item.state == "valid").collect();
    assert_eq!(valid.len(), 1, "{items:#?}");
    assert_eq!(valid[0].certificates.as_ref().expect("certificates")[0].sha256, made.sha256());
    watched.scene.obnova(&["status"]).await.ends(0);
}

#[tokio::test]
async fn a_p12_with_rsa_2048() {
    is_renewed(Form::Pkcs12(&[]), &Recipe::new("Anna Nová").key(KeyKind::Rsa(2048))).await;
}

#[tokio::test]
async fn a_p12_with_rsa_3072() {
    is_renewed(Form::Pkcs12(&[]), &Recipe::new("Anna Nová").key(KeyKind::Rsa(3072))).await;
}

#[tokio::test]
async fn a_p12_with_rsa_4096() {
    is_renewed(Form::Pkcs12(&[]), &Recipe::new("Anna Nová").key(KeyKind::Rsa(4096))).await;
}

#[tokio::test]
async fn a_p12_with_p256() {
    is_renewed(Form::Pkcs12(&[]), &Recipe::new("Anna Nová").key(KeyKind::P256)).await;
}

#[tokio::test]
async fn a_p12_with_p384() {
    is_renewed(Form::Pkcs12(&[]), &Recipe::new("Anna Nová").key(KeyKind::P384)).await;
}

#[tokio::test]
async fn a_legacy_p12() {
    is_renewed(Form::Pkcs12(&["-legacy"]), &Recipe::new("Anna Nová")).await;
}

#[tokio::test]
async fn a_p12_that_is_its_own_authority() {
    is_renewed(Form::Pkcs12(&[]), &Recipe::new("Anna Nová").authority()).await;
}

#[tokio::test]
async fn one_that_has_ended() {
    is_renewed(Form::Pkcs12(&[]), &Recipe::new("Anna Nová").days_left(-3)).await;
}

#[tokio::test]
async fn two_files() {
    is_renewed(Form::Pair { protected: false }, &Recipe::new("Anna Nová")).await;
}

#[tokio::test]
async fn two_files_with_a_protected_key() {
    is_renewed(Form::Pair { protected: true }, &Recipe::new("Anna Nová")).await;
}

#[tokio::test]
async fn two_files_as_openssl_req_makes_them() {
    is_renewed(Form::Pair { protected: false }, &Recipe::new("Anna Nová").key(KeyKind::Rsa(2048)).as_req_makes_it()).await;
}

#[tokio::test]
async fn one_file() {
    is_renewed(Form::Both { protected: false }, &Recipe::new("Anna Nová")).await;
}

#[tokio::test]
async fn one_file_with_a_protected_key() {
    is_renewed(Form::Both { protected: true }, &Recipe::new("Anna Nová")).await;
}

/// Certificates count in whole seconds, and a successor begins later than the one before.
#[tokio::test]
async fn one_of_a_moment_ago() {
    let watched = Watched::new(Form::Both { protected: false }, &Recipe::new("Anna Nová")).await;
    for files in 1..=3 {
        watched.renew("consent=renewal:yes\n", &[]).await.ends(0);
        assert_eq!(watched.new_files().len(), files);
    }
}
