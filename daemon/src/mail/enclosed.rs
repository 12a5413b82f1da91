//! The certificates that are enclosed in a mail, in whatever form authorities send them. Who they are from is asked by nobody here:
//! whoever waits for one judges it. Mails within the mail are not looked at.

use std::io::{Cursor, Read};

use mail_parser::{Message, MimeHeaders, PartType};
use obnova_core::certificate;
use zip::ZipArchive;

use crate::authorities::answers;

/// The longest enclosure that is looked into, in bytes, packed or not.
const LONGEST: usize = 256 * 1024;

/// How many certificates are taken of a mail.
const MOST: usize = 32;

/// How many files of an archive are looked at.
const MOST_FILES: usize = 16;

/// All enclosed certificates (DER), each once.
pub(super) fn certificates(message: &Message<'_>) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for part in &message.parts {
        let content = match &part.body {
            PartType::Binary(content) | PartType::InlineBinary(content) => content.as_ref(),
            PartType::Text(content) if part.attachment_name().is_some() => content.as_bytes(),
            _ => continue,
        };
        for file in files(content) {
            // What is something else is somebody else's.
            for der in answers::certificates(&file).unwrap_or_default() {
                if found.len() < MOST && der.len() <= certificate::LONGEST && !found.contains(&der) {
                    found.push(der);
                }
            }
        }
    }
    found
}

/// What is in an enclosure: itself, or the files of an archive. Nothing of what is too long.
fn files(content: &[u8]) -> Vec<Vec<u8>> {
    if content.len() > LONGEST {
        return Vec::new();
    }
    if !content.starts_with(b"PK\x03\x04") {
        return vec![content.to_vec()];
    }
    unpacked(content).unwrap_or_default()
}

fn unpacked(content: &[u8]) -> zip::result::ZipResult<Vec<Vec<u8>>> {
    let mut archive = ZipArchive::new(Cursor::new(content))?;
    let (mut files, mut room) = (Vec::new(), LONGEST);
    for index in 0..archive.len().min(MOST_FILES) {
        let mut file = Vec::new();
        // Whatever it says of its length.
        archive.by_index(index)?.take(room as u64 + 1).read_to_end(&mut file)?;
        if file.len() > room {
            break;
        }
        room -= file.len();
        files.push(file);
    }
    Ok(files)
}
