//! A line to a card without pcscd: it plays the driver. For what a card is to hold when a test begins, and for its answers to the
//! byte. Speaks PIV (SP 800-73-4) and Yubico's additions, as far as that takes; knows nothing of Obnova's own PIV layer.

use std::path::Path;

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::rsa::Rsa;
use openssl::symm::{Cipher, Crypter, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

use super::{CardKind, VirtualCard, card_program, hex};
use crate::PATIENCE;

/// What a card answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The data, from all its pieces.
    pub data: Vec<u8>,
    /// The status word.
    pub status: u16,
}

impl Reply {
    /// The data; panics unless all went well.
    pub fn ok(self) -> Vec<u8> {
        assert_eq!(format!("{:04X}", self.status), "9000");
        self.data
    }
}

/// The algorithm of a key pair, as SP 800-78 numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Algorithm {
    Rsa3072 = 0x05,
    Rsa2048 = 0x07,
    P256 = 0x11,
    P384 = 0x14,
    Rsa4096 = 0x16,
}

/// When a key wants the PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PinPolicy {
    /// As is usual for the slot.
    Usual = 0,
    /// Never.
    Never = 1,
    /// Once while the card has power.
    Once = 2,
    /// Before each use.
    Always = 3,
}

/// The management key of a new card, triple DES.
const MANAGEMENT_KEY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

/// A card on a line of its own, selected.
pub struct Wire {
    /// The card itself, to be made to fail.
    pub card: VirtualCard,
    listener: TcpListener,
    line: TcpStream,
}

impl Wire {
    /// Starts the card whose state is in this directory.
    pub async fn open(kind: CardKind, state: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut command = Command::new(card_program().await);
        command.args(kind.switch());
        let card = VirtualCard::start(command, state, port, None).await;
        let (line, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").expect("the card calls");
        let mut wire = Self { card, listener, line };
        wire.control(&[1]).await;
        wire.select().await;
        wire
    }

    /// Inserts the card again that was pulled; it has lost its power.
    pub async fn insert(&mut self) {
        self.card.told("insert").await;
        let (line, _) = timeout(PATIENCE, self.listener.accept()).await.expect("in time").expect("the card calls");
        self.line = line;
        self.control(&[1]).await;
        self.select().await;
    }

    /// Pulls the card for good; its state can be given to another.
    pub async fn close(self) {
        self.card.kill().await;
    }

    /// Resets the card, and selects the PIV application again.
    pub async fn reset(&mut self) {
        self.reset_unselected().await;
        self.select().await;
    }

    /// Resets the card, and selects nothing.
    pub async fn reset_unselected(&mut self) {
        self.control(&[2]).await;
    }

    /// The card's answer to reset.
    pub async fn atr(&mut self) -> Vec<u8> {
        self.control(&[4]).await;
        self.receive().await.expect("an ATR")
    }

    /// Sends one APDU, as it is; nothing when the card is pulled instead of answering.
    pub async fn transmit(&mut self, apdu: &[u8]) -> Option<Vec<u8>> {
        self.control(apdu).await;
        self.receive().await.filter(|answer| !answer.is_empty())
    }

    /// The same, with something that happens to the card before it has answered.
    pub async fn transmit_and(&mut self, apdu: &[u8], meanwhile: impl AsyncFnOnce(&mut VirtualCard)) -> Option<Vec<u8>> {
        self.control(apdu).await;
        meanwhile(&mut self.card).await;
        self.receive().await.filter(|answer| !answer.is_empty())
    }

    /// Sends a command, in as many pieces as it takes, and fetches the whole answer.
    pub async fn send(&mut self, header: [u8; 4], data: &[u8]) -> Reply {
        let [class, instruction, p1, p2] = header;
        let (pieces, last) = data.split_at((data.len().saturating_sub(1) / 255) * 255);
        for piece in pieces.chunks(255) {
            let apdu = [&[class | 0x10, instruction, p1, p2, 255], piece].concat();
            let status = self.transmit(&apdu).await.expect("an answer");
            if status != [0x90, 0x00] {
                return reply(&status);
            }
        }
        let mut apdu = header.to_vec();
        if !last.is_empty() {
            apdu.push(u8::try_from(last.len()).expect("a piece"));
            apdu.extend_from_slice(last);
        }
        apdu.push(0);
        let mut whole = reply(&self.transmit(&apdu).await.expect("an answer"));
        while whole.status & 0xFF00 == 0x6100 {
            let next = reply(&self.transmit(&[0, 0xC0, 0, 0, 0]).await.expect("an answer"));
            whole.data.extend_from_slice(&next.data);
            whole.status = next.status;
        }
        whole
    }

    /// Selects the PIV application.
    pub async fn select(&mut self) -> Vec<u8> {
        self.send([0, 0xA4, 4, 0], &[0xA0, 0, 0, 3, 8]).await.ok()
    }

    /// Sends a PIN.
    pub async fn verify(&mut self, pin: &str) -> u16 {
        self.send([0, 0x20, 0, 0x80], &padded(pin)).await.status
    }

    /// Asks for the tries that the PIN has left.
    pub async fn tries(&mut self) -> u16 {
        self.send([0, 0x20, 0, 0x80], &[]).await.status
    }

    /// Proves the management key of a new card.
    pub async fn administer(&mut self) {
        self.administer_with(0x03, &MANAGEMENT_KEY).await.ok();
    }

    /// Proves a management key of an algorithm: `03` is triple DES, `08`, `0A` and `0C` are AES.
    pub async fn administer_with(&mut self, algorithm: u8, key: &[u8]) -> Reply {
        let header = [0, 0x87, algorithm, 0x9B];
        let challenge = self.send(header, &object(0x7C, &object(0x81, &[]))).await;
        if challenge.status != 0x9000 {
            return challenge;
        }
        let challenge = find(find(&challenge.data, 0x7C), 0x81).to_vec();
        self.send(header, &object(0x7C, &object(0x82, &encrypt(algorithm, key, &challenge)))).await
    }

    /// Makes a key pair. The management key must be proved.
    pub async fn generate(&mut self, slot: u8, algorithm: Algorithm, policy: PinPolicy) -> PKey<Public> {
        let mut wanted = object(0x80, &[algorithm as u8]);
        if policy != PinPolicy::Usual {
            wanted.extend(object(0xAA, &[policy as u8]));
        }
        let answer = self.send([0, 0x47, 0, slot], &object(0xAC, &wanted)).await.ok();
        assert_eq!(answer[..2], [0x7F, 0x49]);
        public_key(algorithm, find(&answer[1..], 0x49))
    }

    /// Puts a key pair into the card, which must be of the kind that moves keys. The management key must be proved.
    pub async fn import(&mut self, slot: u8, key: &PKey<Private>, policy: PinPolicy) {
        let (algorithm, mut data) = if let Ok(rsa) = key.rsa() {
            let half = i32::try_from(rsa.size() / 2).expect("a key");
            let parts = [rsa.p(), rsa.q(), rsa.dmp1(), rsa.dmq1(), rsa.iqmp()];
            let parts = parts.map(|part| part.expect("a complete key").to_vec_padded(half).expect("it fits"));
            (rsa_of(rsa.size()), (1..).zip(&parts).flat_map(|(tag, part)| object(tag, part)).collect())
        } else {
            let key = key.ec_key().expect("RSA or an elliptic curve");
            let (algorithm, length) = match key.group().degree() {
                256 => (Algorithm::P256, 32),
                _ => (Algorithm::P384, 48),
            };
            (algorithm, object(0x06, &key.private_key().to_vec_padded(length).expect("it fits")))
        };
        if policy != PinPolicy::Usual {
            data.extend(object(0xAA, &[policy as u8]));
        }
        self.send([0, 0xFE, algorithm as u8, slot], &data).await.ok();
    }

    /// Uses a private key on a padded message or a digest. ECDSA signatures come in DER.
    pub async fn sign(&mut self, slot: u8, algorithm: Algorithm, message: &[u8]) -> Reply {
        let template = [object(0x82, &[]), object(0x81, message)].concat();
        let mut reply = self.send([0, 0x87, algorithm as u8, slot], &object(0x7C, &template)).await;
        if reply.status == 0x9000 {
            reply.data = find(find(&reply.data, 0x7C), 0x82).to_vec();
        }
        reply
    }

    /// Moves a key; to `0xFF` it is deleted. The management key must be proved.
    pub async fn move_key(&mut self, from: u8, to: u8) -> u16 {
        self.send([0, 0xF6, to, from], &[]).await.status
    }

    /// GET METADATA.
    pub async fn metadata(&mut self, reference: u8) -> Reply {
        self.send([0, 0xF7, 0, reference], &[]).await
    }

    /// GET DATA, without the `53` around it.
    pub async fn read(&mut self, tag: u32) -> Reply {
        let mut reply = self.send([0, 0xCB, 0x3F, 0xFF], &object(0x5C, &tag.to_be_bytes()[1..])).await;
        if reply.status == 0x9000 {
            reply.data = find(&reply.data, 0x53).to_vec();
        }
        reply
    }

    /// PUT DATA. The management key must be proved.
    pub async fn write(&mut self, tag: u32, value: &[u8]) -> u16 {
        let data = [object(0x5C, &tag.to_be_bytes()[1..]), object(0x53, value)].concat();
        self.send([0, 0xDB, 0x3F, 0xFF], &data).await.status
    }

    /// Writes a certificate to the object of a slot. The management key must be proved.
    pub async fn write_certificate(&mut self, slot: u8, der: &[u8]) {
        let value = [object(0x70, der), object(0x71, &[0]), object(0xFE, &[])].concat();
        assert_eq!(self.write(certificate_object(slot), &value).await, 0x9000);
    }

    async fn control(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).expect("an APDU").to_be_bytes();
        // A card that was pulled says so where its answer is waited for.
        drop(self.line.write_all(&[&length, bytes].concat()).await);
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        let receiving = async {
            let mut bytes = vec![0; self.line.read_u16().await.ok()?.into()];
            self.line.read_exact(&mut bytes).await.ok()?;
            Some(bytes)
        };
        timeout(PATIENCE, receiving).await.expect("the card answers in time")
    }
}

/// The number of the object that holds a slot's certificate.
pub fn certificate_object(slot: u8) -> u32 {
    match slot {
        0x9A => 0x5F_C105,
        0x9C => 0x5F_C10A,
        0x9D => 0x5F_C10B,
        0x9E => 0x5F_C101,
        0x82..=0x95 => 0x5F_C10D + u32::from(slot - 0x82),
        _ => panic!("{slot:02X} is no slot"),
    }
}

/// A PIN or PUK as it is sent.
pub fn padded(secret: &str) -> [u8; 8] {
    let mut padded = [0xFF; 8];
    padded[..secret.len()].copy_from_slice(secret.as_bytes());
    padded
}

/// One object: tag, length, value.
pub fn object(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut object = vec![tag];
    match u16::try_from(value.len()).expect("an object of a card").to_be_bytes() {
        [0, length @ 0..=0x7F] => object.push(length),
        [0, length] => object.extend([0x81, length]),
        [high, low] => object.extend([0x82, high, low]),
    }
    object.extend_from_slice(value);
    object
}

/// The value of the first object with this tag; panics where there is none.
pub fn find(mut data: &[u8], tag: u8) -> &[u8] {
    let all = hex(data);
    loop {
        let (length, rest) = match *data {
            [_, length @ 0..=0x7F, ref rest @ ..] | [_, 0x81, length, ref rest @ ..] => (usize::from(length), rest),
            [_, 0x82, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
            _ => panic!("no {tag:02X} in {all}"),
        };
        if data[0] == tag {
            return &rest[..length];
        }
        data = &rest[length..];
    }
}

/// A public key as GENERATE and GET METADATA give it.
pub fn public_key(algorithm: Algorithm, objects: &[u8]) -> PKey<Public> {
    let curve = match algorithm {
        Algorithm::P256 => Nid::X9_62_PRIME256V1,
        Algorithm::P384 => Nid::SECP384R1,
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
            let number = |tag| BigNum::from_slice(find(objects, tag)).expect("a number");
            let key = Rsa::from_public_components(number(0x81), number(0x82)).expect("an RSA key");
            return PKey::from_rsa(key).expect("a key");
        }
    };
    let group = EcGroup::from_curve_name(curve).expect("a curve");
    let mut context = BigNumContext::new().expect("a context");
    let point = EcPoint::from_bytes(&group, find(objects, 0x86), &mut context).expect("a point");
    PKey::from_ec_key(EcKey::from_public_key(&group, &point).expect("a key")).expect("a key")
}

fn rsa_of(bytes: u32) -> Algorithm {
    match bytes {
        256 => Algorithm::Rsa2048,
        384 => Algorithm::Rsa3072,
        512 => Algorithm::Rsa4096,
        _ => panic!("no card takes RSA of {bytes} bytes"),
    }
}

fn reply(answer: &[u8]) -> Reply {
    let (data, status) = answer.split_last_chunk().expect("a status word");
    Reply { data: data.to_vec(), status: u16::from_be_bytes(*status) }
}

fn encrypt(algorithm: u8, key: &[u8], block: &[u8]) -> Vec<u8> {
    let cipher = match algorithm {
        0x03 => Cipher::des_ede3_ecb(),
        0x08 => Cipher::aes_128_ecb(),
        0x0A => Cipher::aes_192_ecb(),
        0x0C => Cipher::aes_256_ecb(),
        _ => panic!("{algorithm:02X} is no algorithm of management keys"),
    };
    let mut crypter = Crypter::new(cipher, Mode::Encrypt, key, None).expect("a key");
    crypter.pad(false);
    let mut encrypted = vec![0; block.len() + cipher.block_size()];
    let length = crypter.update(block, &mut encrypted).expect("a block");
    encrypted.truncate(length);
    encrypted
}
