//! What a YubiKey 5.7 does that the applet does not: keys that move with their policies, metadata, imports, objects of its own,
//! tries that can be set, a reset that asks for both secrets to be blocked. The answers are those of Yubico's documents and of
//! what `yubico-piv-tool` and `ykman` expect; where these are silent, of SP 800-73-4.
//!
//! The applet never knows where a key is: each new key goes to a slot of the applet that is free, and one table says where the
//! world sees it. So a key is made, replaced and moved by one write of the memory. The management key is this module's own (the
//! applet knows neither AES-128 nor AES-192); the applet keeps the one it was made with.

mod keys;
mod objects;
mod secrets;

use crate::apdu::{Answer, Command, OK, UNKNOWN_INSTRUCTION, only};
use crate::card::{Card, GENERAL_AUTHENTICATE, GENERATE, GET_DATA, PUT_DATA, VERIFY};

const VERSION: [u8; 3] = [5, 7, 4];

/// What SELECT answers, the application property template: PIX, and whose AID it is.
pub(crate) const PROPERTIES: &[u8] = b"\x61\x11\x4F\x06\x00\x00\x10\x00\x01\x00\x79\x07\x4F\x05\xA0\x00\x00\x03\x08";

const CHANGE_REFERENCE: u8 = 0x24;
const RESET_RETRY: u8 = 0x2C;
const MOVE_KEY: u8 = 0xF6;
const GET_METADATA: u8 = 0xF7;
const GET_SERIAL: u8 = 0xF8;
const SET_RETRIES: u8 = 0xFA;
const RESET: u8 = 0xFB;
const GET_VERSION: u8 = 0xFD;
const IMPORT: u8 = 0xFE;
const SET_MANAGEMENT_KEY: u8 = 0xFF;

/// The management key's reference.
const MANAGEMENT: u8 = 0x9B;

impl Card<'_, '_> {
    /// Performs any command but SELECT.
    pub(crate) fn as_yubikey(&mut self, command: &Command, just_verified: bool) -> Answer {
        let challenge = self.session.challenge.take();
        match (command.instruction, command.p2) {
            (VERIFY, _) => self.verify(command),
            (CHANGE_REFERENCE, _) => self.change_reference(command),
            (RESET_RETRY, _) => self.reset_retry(command),
            (GENERAL_AUTHENTICATE, MANAGEMENT) => self.authenticate_administrator(command, challenge),
            (GENERAL_AUTHENTICATE, _) => self.use_private_key(command, just_verified),
            (GENERATE, _) => self.generate(command),
            (IMPORT, _) => self.import(command),
            (MOVE_KEY, _) => self.move_key(command),
            (GET_METADATA, _) => self.metadata(command.p2),
            (GET_DATA, _) => self.get_data(command),
            (PUT_DATA, _) => self.put_data(command),
            (GET_SERIAL, _) => (self.memory.serial.to_be_bytes().to_vec(), OK),
            (GET_VERSION, _) => (VERSION.to_vec(), OK),
            (SET_RETRIES, _) => self.set_retries(command),
            (SET_MANAGEMENT_KEY, _) => self.set_management_key(command),
            (RESET, _) => self.factory_reset(),
            _ => only(UNKNOWN_INSTRUCTION),
        }
    }
}
