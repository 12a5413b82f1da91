//! Steps at PKCS#11 tokens, on SoftHSM, with OpenSC's pkcs11-tool and OpenSSL as witnesses.

mod hostile;
mod keys;
mod looking;
mod opensc;
mod pins;

use std::sync::Arc;

use obnova_core::Place;
use obnova_core::card::{Card, Presence, Spot, SpotState};
use obnova_core::certificate::KeyAlgorithm;
use obnova_core::job::Bytes;
use obnova_secret::Secret;
use obnova_tests::token::{PIN, issued};
use obnova_tests::{KeyKind, Made, Recipe, SoftToken, program};
use obnovad::cards::modules::Module;
use obnovad::cards::secrets::Secrets;
use obnovad::cards::step::{CardAnswer, CardError, CardStep};
use obnovad::helper::Helper;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::sign::Verifier;
use openssl::x509::X509;

/// Where the old keys are.
const QUALIFIED: &str = "4101";
const COMMERCIAL: &str = "4102";

/// A token as a person has it: a qualified certificate whose RSA key demands the PIN for each signature, and a commercial one on P-256.
struct Twins {
    token: SoftToken,
    authority: Made,
    qualified: X509,
    commercial: X509,
    helper: Helper,
}

impl Twins {
    fn new() -> Self {
        let token = SoftToken::new("Twins");
        let authority = Recipe::new("Authority").authority().make();
        let certify = |id: &str, label: &str, kind, further: &[&str]| {
            let key = token.generate(id, label, kind, further);
            let certificate = issued("Anna Nová", "anna@example.org", &key, &authority, 20);
            token.write(id, label, &certificate);
            certificate
        };
        let qualified = certify(QUALIFIED, "qualified", KeyKind::Rsa(2048), &["--always-auth", "--usage-sign"]);
        let commercial = certify(COMMERCIAL, "commercial", KeyKind::P256, &["--usage-sign", "--usage-derive"]);
        Self { token, authority, qualified, commercial, helper: Helper::at(program("obnova-helper")) }
    }

    fn place(&self) -> Place {
        Place::parse(&self.token.place()).expect("a place")
    }

    /// One step with the right PIN.
    async fn step(&self, step: CardStep) -> Result<CardAnswer, CardError> {
        self.step_through(&self.token.module(), step).await
    }

    async fn step_through(&self, module: &Module, step: CardStep) -> Result<CardAnswer, CardError> {
        self.helper.token(module, &self.place(), &step, &pin(PIN)).await
    }

    async fn look(&self) -> Card {
        self.look_through(&self.token.module()).await.expect("a card")
    }

    async fn look_through(&self, module: &Module) -> Result<Card, CardError> {
        match self.helper.token(module, &self.place(), &CardStep::Look {}, &Secrets::default()).await? {
            CardAnswer::Card { card } => Ok(*card),
            answer => panic!("{answer:?}"),
        }
    }

    /// What is told of a spot, if it is told of once.
    async fn state(&self, id: &str) -> Option<SpotState> {
        let mut states = self.look().await.spots.into_iter().filter(|state| state.spot == spot(id));
        states.next().filter(|_| states.next().is_none())
    }

    async fn generate(&self, id: &str, algorithm: KeyAlgorithm, like: &str, label: &str) -> Result<PKey<Public>, CardError> {
        match self.step(generating(id, algorithm, like, label)).await? {
            CardAnswer::PublicKey { public_key } => Ok(PKey::public_key_from_der(&public_key.0).expect("a public key")),
            answer => panic!("{answer:?}"),
        }
    }

    async fn sign(&self, id: &str, key: &PKey<Public>, message: &[u8]) -> Result<Vec<u8>, CardError> {
        let step = CardStep::Sign { spot: spot(id), public_key: der(key), message: Bytes(message.to_vec()) };
        match self.step(step).await? {
            CardAnswer::Signature { signature } => Ok(signature.0),
            answer => panic!("{answer:?}"),
        }
    }

    async fn decrypt(&self, id: &str, key: &PKey<Public>, ciphertext: &[u8]) -> Result<Vec<u8>, CardError> {
        let step = CardStep::Decrypt { spot: spot(id), public_key: der(key), ciphertext: Bytes(ciphertext.to_vec()) };
        match self.step(step).await? {
            CardAnswer::Plain { plain } => Ok(plain.0),
            answer => panic!("{answer:?}"),
        }
    }

    async fn install(&self, id: &str, certificate: &X509, label: &str) -> Result<CardAnswer, CardError> {
        let certificate = Bytes(certificate.to_der().expect("DER"));
        self.step(CardStep::Install { spot: spot(id), certificate, label: label.to_owned() }).await
    }
}

fn generating(id: &str, algorithm: KeyAlgorithm, like: &str, label: &str) -> CardStep {
    CardStep::Generate { spot: spot(id), algorithm, like: spot(like), label: label.to_owned() }
}

fn spot(id: &str) -> Spot {
    Spot(id.to_owned())
}

fn pin(text: &str) -> Secrets {
    Secrets { pin: Some(secret(text)), ..Secrets::default() }
}

fn secret(bytes: impl AsRef<[u8]>) -> Arc<Secret> {
    Arc::new(Secret::from_slice(&mut bytes.as_ref().to_vec()).expect("memory"))
}

fn der(key: &PKey<Public>) -> Bytes {
    Bytes(key.public_key_to_der().expect("DER"))
}

fn key_of(certificate: &X509) -> PKey<Public> {
    certificate.public_key().expect("a public key")
}

fn present(key: &PKey<Public>) -> Presence {
    Presence::Key(der(key))
}

fn verifies(key: &PKey<Public>, digest: MessageDigest, message: &[u8], signature: &[u8]) -> bool {
    let mut verifier = Verifier::new(digest, key).expect("a verifier");
    verifier.verify_oneshot(signature, message).unwrap_or(false)
}
