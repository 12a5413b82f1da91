//! Tag-length-value data as PIV uses it (SP 800-73-4, ISO 7816-4): tags of one or two bytes, BER lengths.

/// Appends one object.
pub(crate) fn put(into: &mut Vec<u8>, tag: &[u8], value: &[u8]) {
    into.extend_from_slice(tag);
    match u16::try_from(value.len()).map(u16::to_be_bytes) {
        Ok([0, length @ 0..=0x7F]) => into.push(length),
        Ok([0, length]) => into.extend_from_slice(&[0x81, length]),
        Ok([high, low]) => into.extend_from_slice(&[0x82, high, low]),
        Err(_) => unreachable!("no object of a card is that long"),
    }
    into.extend_from_slice(value);
}

/// One object.
pub(crate) fn object(tag: &[u8], value: &[u8]) -> Vec<u8> {
    let mut object = Vec::with_capacity(value.len() + 6);
    put(&mut object, tag, value);
    object
}

/// All objects of a sequence, or nothing where it is malformed.
pub(crate) fn objects(mut data: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let (tag, value, rest) = split(data)?;
        found.push((tag, value));
        data = rest;
    }
    Some(found)
}

/// The value of the first object with this tag.
pub(crate) fn find(data: &[u8], tag: u16) -> Option<&[u8]> {
    objects(data)?.into_iter().find_map(|(found, value)| (found == tag).then_some(value))
}

fn split(data: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (tag, data) = match *data {
        [first, second, ref rest @ ..] if first & 0x1F == 0x1F => (u16::from_be_bytes([first, second]), rest),
        [first, ref rest @ ..] => (u16::from(first), rest),
        [] => return None,
    };
    let (length, data) = match *data {
        [length @ 0..=0x7F, ref rest @ ..] | [0x81, length, ref rest @ ..] => (usize::from(length), rest),
        [0x82, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        _ => return None,
    };
    let (value, rest) = data.split_at_checked(length)?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found() {
        for length in [0, 1, 127, 128, 255, 256, 3000] {
            let value = vec![7; length];
            let mut data = object(&[0x7F, 0x49], &value);
            put(&mut data, &[0x5C], &[1, 2, 3]);
            assert_eq!(objects(&data), Some(vec![(0x7F49, value.as_slice()), (0x5C, [1, 2, 3].as_slice())]));
            assert_eq!(find(&data, 0x5C), Some([1, 2, 3].as_slice()));
        }
        assert_eq!(objects(&[0x5C, 3, 1]), None);
    }
}
