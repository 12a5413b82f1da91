//! Nested objects of tag, length and value (ISO 7816-4, 5.2.2), as PIV uses them. Reading is `iso7816`'s, which copies nothing.

use iso7816::tlv::{self, Tag};
use zeroize::Zeroizing;

/// The value at the end of a path of tags.
pub(super) fn find<'data>(path: &[u16], data: &'data [u8]) -> Option<&'data [u8]> {
    path.iter().try_fold(data, |data, &wanted| {
        let mut inside = objects(data);
        inside.find_map(|object| object.ok().filter(|(tag, _)| *tag == Tag::from(wanted)).map(|(_, value)| value))
    })
}

/// The objects that follow each other; an error, and the end, where there is no object.
pub(super) fn objects(mut data: &[u8]) -> impl Iterator<Item = Result<(Tag, &[u8]), Malformed>> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let Some((tag, value, rest)) = tlv::take_data_object(data) else {
            data = &[];
            return Some(Err(Malformed));
        };
        data = rest;
        Some(Ok((tag, value)))
    })
}

/// These bytes are no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One object. Its bytes are wiped, as its value may be a secret.
pub(super) fn object(tag: u16, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(value.len() + 6));
    match tag.to_be_bytes() {
        [0, tag] => bytes.push(tag),
        both => bytes.extend_from_slice(&both),
    }
    match value.len().to_be_bytes() {
        [.., 0, short @ 0..0x80] => bytes.push(short),
        [.., 0, 0, middle] => bytes.extend_from_slice(&[0x81, middle]),
        [.., 0, high, low] => bytes.extend_from_slice(&[0x82, high, low]),
        [.., upper, high, low] => bytes.extend_from_slice(&[0x83, upper, high, low]),
    }
    bytes.extend_from_slice(value);
    bytes
}

/// Several pieces, one after the other.
pub(super) fn joined(pieces: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum()));
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_found(outer in 0_usize..2, value in proptest::collection::vec(any::<u8>(), 0..700)) {
            let tag = [0x53, 0x7F49][outer];
            let bytes = object(tag, &joined(&[&object(0x70, &value), &object(0xFE, &[])]));
            prop_assert_eq!(find(&[tag, 0x70], &bytes), Some(value.as_slice()));
            prop_assert_eq!(find(&[tag, 0xFE], &bytes), Some(&[][..]));
            prop_assert_eq!(find(&[tag, 0x71], &bytes), None);
        }

        #[test]
        fn nothing_panics(data in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = find(&[0x53, 0x70], &data);
            prop_assert!(objects(&data).count() <= data.len());
        }
    }
}
