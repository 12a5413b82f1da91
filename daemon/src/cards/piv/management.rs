//! The management key (9B), without which a card takes no key and no object: where it comes from, and its proof by both sides
//! (SP 800-73-4 part 2, appendix A.1). It is tried once: some cards block it.

use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use des::TdesEde3;
use iso7816::Status;
use obnova_secret::Secret;
use zeroize::Zeroizing;

use super::Transmit;
use super::apdu::{Answer, Command, refused};
use super::applet::{Applet, MANAGEMENT};
use super::object;
use super::pin;
use super::slot;
use super::tlv::{self, object as tlv_object};
use crate::cards::secrets::Secrets;
use crate::cards::step::CardError;

pub(super) const GENERAL_AUTHENTICATE: u8 = 0x87;

/// The key of a new YubiKey.
pub(super) const FACTORY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

/// Algorithm references (SP 800-78-5, table 12).
const TDES: u8 = 0x03;
const AES_128: u8 = 0x08;
const AES_192: u8 = 0x0A;
const AES_256: u8 = 0x0C;

/// Dynamic authentication template.
const TEMPLATE: u16 = 0x7C;
const WITNESS: u16 = 0x80;
const CHALLENGE: u16 = 0x81;
const RESPONSE: u16 = 0x82;

/// Proves that we have the management key: after this, keys are made and moved, and objects written.
pub(super) fn authenticate<C: Transmit>(applet: &mut Applet<'_, C>, secrets: &Secrets) -> Result<(), CardError> {
    let key = find(applet, secrets)?;
    let told = applet.secret_metadata(MANAGEMENT)?;
    let (algorithm, witness) = first_witness(applet, key.len(), told.algorithm)?;
    let Some(cipher) = Cipher::new(algorithm, &key) else { return Err(CardError::ManagementKeyWrong {}) };
    let Some(shown) = cipher.decrypt(&witness) else {
        return Err(CardError::Failed { detail: "the card's witness has a wrong length".to_owned() });
    };
    let mut challenge = vec![0; witness.len()];
    getrandom::fill(&mut challenge).map_err(|error| CardError::Failed { detail: format!("no random bytes: {error}") })?;
    let data = tlv::joined(&[&tlv_object(WITNESS, &shown), &tlv_object(CHALLENGE, &challenge)]);
    let answer = ask(applet, algorithm, &data)?;
    match answer.status {
        Status::Success => {}
        Status::SecurityStatusNotSatisfied | Status::ConditionsOfUseNotSatisfied if told.touch => {
            return Err(CardError::NotTouched {});
        }
        Status::SecurityStatusNotSatisfied
        | Status::IncorrectDataParameter
        | Status::VerificationFailed
        | Status::RemainingRetries(_)
        | Status::OperationBlocked => return Err(CardError::ManagementKeyWrong {}),
        status => return Err(refused("GENERAL AUTHENTICATE with 9b", status)),
    }
    // A card that does not know the key either is not the one that it seems to be.
    let response = tlv::find(&[TEMPLATE, RESPONSE], &answer.data);
    if response.is_some() && response == cipher.encrypt(&challenge).as_deref().map(Vec::as_slice) {
        Ok(())
    } else {
        Err(CardError::Failed { detail: "the card does not prove the management key".to_owned() })
    }
}

/// Given; or kept on the card behind the PIN; or the factory's, where the card itself says so.
fn find<C: Transmit>(applet: &mut Applet<'_, C>, secrets: &Secrets) -> Result<Zeroizing<Vec<u8>>, CardError> {
    if let Some(given) = &secrets.management_key {
        return given_key(given).ok_or(CardError::ManagementKeyWrong {});
    }
    let noted = applet.get_if_told(slot::YKMAN)?;
    if noted.is_some_and(|content| object::keeps_management_key(&content)) {
        if !applet.opened {
            pin::open(applet, secrets)?;
        }
        let kept = applet.get(slot::PRINTED)?;
        if let Some(key) = kept.as_deref().and_then(|content| object::kept_management_key(content)) {
            return Ok(Zeroizing::new(key.to_vec()));
        }
    }
    if applet.is_yubikey()? && applet.secret_metadata(MANAGEMENT)?.factory {
        return Ok(Zeroizing::new(FACTORY.to_vec()));
    }
    Err(CardError::ManagementKeyNeeded {})
}

/// The bytes themselves, or hexadecimal digits of as many as a key has.
fn given_key(given: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = given.expose();
    if matches!(bytes.len(), 32 | 48 | 64) && bytes.iter().all(u8::is_ascii_hexdigit) {
        let mut key = Zeroizing::new(Vec::with_capacity(bytes.len() / 2));
        for pair in bytes.chunks(2) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            key.push(digit(0)? * 16 + digit(1)?);
        }
        return Some(key);
    }
    matches!(bytes.len(), 16 | 24 | 32).then(|| Zeroizing::new(bytes.to_vec()))
}

/// Asks for a witness in the algorithm of the key. Where the card does not tell it, those are asked for that fit the key: a
/// witness that is not answered costs nothing.
fn first_witness<C: Transmit>(
    applet: &mut Applet<'_, C>,
    length: usize,
    told: Option<u8>,
) -> Result<(u8, Zeroizing<Vec<u8>>), CardError> {
    let fitting: &[u8] = match length {
        16 => &[AES_128],
        24 => &[TDES, AES_192],
        32 => &[AES_256],
        _ => &[],
    };
    let mut last = Status::IncorrectP1OrP2Parameter;
    for &algorithm in fitting.iter().filter(|algorithm| told.is_none_or(|told| told == **algorithm)) {
        let answer = ask(applet, algorithm, &tlv_object(WITNESS, &[]))?;
        if answer.status == Status::Success {
            let witness = tlv::find(&[TEMPLATE, WITNESS], &answer.data);
            let witness = witness.ok_or_else(|| CardError::Failed { detail: "the card sent no witness".to_owned() })?;
            return Ok((algorithm, Zeroizing::new(witness.to_vec())));
        }
        last = answer.status;
    }
    match last {
        Status::IncorrectP1OrP2Parameter | Status::IncorrectDataParameter => Err(CardError::ManagementKeyWrong {}),
        Status::OperationBlocked => {
            Err(CardError::Unsupported { what: "be managed: its management key is blocked".to_owned() })
        }
        status => Err(refused("GENERAL AUTHENTICATE with 9b", status)),
    }
}

fn ask<C: Transmit>(applet: &mut Applet<'_, C>, algorithm: u8, template: &[u8]) -> Result<Answer, CardError> {
    let data = tlv_object(TEMPLATE, template);
    let command = Command { instruction: GENERAL_AUTHENTICATE, p1: algorithm, p2: MANAGEMENT, data: &data, answers: true };
    applet.exchange(&command)
}

/// One block at a time.
pub(super) enum Cipher {
    Tdes(TdesEde3),
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

impl Cipher {
    /// `None` if the key does not fit the algorithm.
    pub(super) fn new(algorithm: u8, key: &[u8]) -> Option<Self> {
        match algorithm {
            TDES => TdesEde3::new_from_slice(key).ok().map(Self::Tdes),
            AES_128 => Aes128::new_from_slice(key).ok().map(Self::Aes128),
            AES_192 => Aes192::new_from_slice(key).ok().map(Self::Aes192),
            AES_256 => Aes256::new_from_slice(key).ok().map(Self::Aes256),
            _ => None,
        }
    }

    /// `None` if these bytes are not one block.
    pub(super) fn encrypt(&self, block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Tdes(cipher) => with_block(cipher, block, TdesEde3::encrypt_block),
            Self::Aes128(cipher) => with_block(cipher, block, Aes128::encrypt_block),
            Self::Aes192(cipher) => with_block(cipher, block, Aes192::encrypt_block),
            Self::Aes256(cipher) => with_block(cipher, block, Aes256::encrypt_block),
        }
    }

    fn decrypt(&self, block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Tdes(cipher) => with_block(cipher, block, TdesEde3::decrypt_block),
            Self::Aes128(cipher) => with_block(cipher, block, Aes128::decrypt_block),
            Self::Aes192(cipher) => with_block(cipher, block, Aes192::decrypt_block),
            Self::Aes256(cipher) => with_block(cipher, block, Aes256::decrypt_block),
        }
    }
}

fn with_block<C: BlockSizeUser>(
    cipher: &C,
    bytes: &[u8],
    transform: impl FnOnce(&C, &mut Block<C>),
) -> Option<Zeroizing<Vec<u8>>> {
    let mut block = Block::<C>::try_from(bytes).ok()?;
    transform(cipher, &mut block);
    Some(Zeroizing::new(block.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 197, appendix C; NIST SP 800-67 with the vector of `openssl enc -des-ede3`.
    #[test]
    fn ciphers_are_the_standards() {
        let key: Vec<u8> = (0..32).collect();
        let block: Vec<u8> = (0..16).map(|byte| byte * 0x11).collect();
        for (algorithm, length, first) in [(AES_128, 16, 0x69), (AES_192, 24, 0xDD), (AES_256, 32, 0x8E)] {
            let cipher = Cipher::new(algorithm, &key[..length]).expect("a key of the right length");
            let encrypted = cipher.encrypt(&block).expect("a block");
            assert_eq!(encrypted[0], first);
            assert_eq!(cipher.decrypt(&encrypted).expect("a block").as_slice(), block);
            assert!(cipher.encrypt(&block[..8]).is_none());
        }
        let cipher = Cipher::new(TDES, &FACTORY).expect("a key of the right length");
        let encrypted = cipher.encrypt(b"obnova!!").expect("a block");
        assert_eq!(cipher.decrypt(&encrypted).expect("a block").as_slice(), b"obnova!!");
        assert!(Cipher::new(TDES, &key[..16]).is_none());
    }

    #[test]
    fn a_key_is_taken_as_bytes_or_as_digits() {
        let taken = |text: &str| given_key(&Secret::from_slice(&mut text.to_owned().into_bytes()).expect("a secret"));
        assert_eq!(taken("0102030405060708090a0b0c0d0e0F10").expect("a key").as_slice(), (1..=16).collect::<Vec<u8>>());
        assert_eq!(taken(&"ab".repeat(24)).expect("a key").as_slice(), [0xAB; 24]);
        assert_eq!(taken("sixteen letters!").expect("a key").as_slice(), b"sixteen letters!");
        assert!(taken("123456").is_none());
        assert!(taken("").is_none());
    }
}
