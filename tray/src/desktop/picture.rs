//! The icons as pixels. They are drawn in `packaging/icons`.

use std::io::Cursor;

use obnova_api::Level;

/// Eight-bit RGBA, row by row.
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rgba: Vec<u8>,
}

/// The icon of a level.
pub(super) fn of(level: Level) -> Result<Picture, png::DecodingError> {
    let file: &[u8] = match level {
        Level::Ok => include_bytes!("../../../packaging/icons/obnova-ok.png"),
        Level::Notice => include_bytes!("../../../packaging/icons/obnova-notice.png"),
        Level::Warning => include_bytes!("../../../packaging/icons/obnova-warning.png"),
        Level::Critical => include_bytes!("../../../packaging/icons/obnova-critical.png"),
    };
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info()?;
    let mut rgba = vec![0; reader.output_buffer_size().unwrap_or_default()];
    let frame = reader.next_frame(&mut rgba)?;
    rgba.truncate(frame.buffer_size());
    Ok(Picture { width: frame.width, height: frame.height, rgba })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_its_own_picture() {
        let pictures = Level::ALL.map(|level| of(level).expect("a picture"));
        for picture in &pictures {
            assert_eq!((picture.width, picture.height), (48, 48));
            assert_eq!(picture.rgba.len(), 48 * 48 * 4, "RGBA, as the README says");
        }
        for pair in pictures.windows(2) {
            assert!(pair[0].rgba != pair[1].rgba);
        }
    }
}
