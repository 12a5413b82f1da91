//! The arithmetic of management keys: triple DES and AES, one block at a time (SP 800-78-4, and AES as a YubiKey has it).

use aes::cipher::{BlockEncrypt, KeyInit, generic_array::GenericArray};
use rand_core::{OsRng, RngCore as _};

/// The key of a new card, as on every YubiKey.
pub(crate) const DEFAULT_KEY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

/// Triple DES, as SP 800-78 numbers it.
pub(crate) const TDES: u8 = 0x03;
const AES_128: u8 = 0x08;
const AES_192: u8 = 0x0A;
const AES_256: u8 = 0x0C;

/// The length of a key of this algorithm, if there is such an algorithm.
pub(crate) fn key_length(algorithm: u8) -> Option<usize> {
    match algorithm {
        TDES | AES_192 => Some(24),
        AES_128 => Some(16),
        AES_256 => Some(32),
        _ => None,
    }
}

/// Encrypts one block; nothing where key or block have the wrong length.
pub(crate) fn encrypt(algorithm: u8, key: &[u8], block: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        TDES => by::<des::TdesEde3>(key, block),
        AES_128 => by::<aes::Aes128>(key, block),
        AES_192 => by::<aes::Aes192>(key, block),
        AES_256 => by::<aes::Aes256>(key, block),
        _ => None,
    }
}

/// A random block.
pub(crate) fn random_block(algorithm: u8) -> Vec<u8> {
    let mut block = vec![0; if algorithm == TDES { 8 } else { 16 }];
    OsRng.fill_bytes(&mut block);
    block
}

fn by<C: BlockEncrypt + KeyInit>(key: &[u8], block: &[u8]) -> Option<Vec<u8>> {
    let cipher = C::new_from_slice(key).ok()?;
    let mut block = GenericArray::from_exact_iter(block.iter().copied())?;
    cipher.encrypt_block(&mut block);
    Some(block.to_vec())
}
