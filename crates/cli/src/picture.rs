//! Pictures of grey values: contact sheets, strips and animations.

use std::io::{BufRead, Seek, Write};

use helmholtz_datasets::ImageShape;

/// A sheet of tiles, white on black with grey gaps.
struct Sheet {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

/// Pixels per side of each value if none are asked for: small pictures are enlarged.
pub(crate) fn scale(shape: ImageShape) -> usize {
    (28 / shape.height.max(shape.width).max(1)).max(1)
}

/// Grey of the gaps.
const GAP: u8 = 96;

impl Sheet {
    /// A sheet of values in [0, 1], one picture per row, with `columns` tiles side by side and `scale` pixels per side
    /// of each value.
    fn new(shape: ImageShape, rows: &[f32], columns: usize, scale: usize) -> Self {
        let (height, width) = (shape.height, shape.width);
        let (tile_h, tile_w) = (height * scale + 2, width * scale + 2);
        let (sheet_h, sheet_w) = Sheet::size(shape, rows.len() / (height * width), columns, scale);
        let mut pixels = vec![GAP; sheet_h * sheet_w];
        for (i, picture) in rows.chunks_exact(height * width).enumerate() {
            let (top, left) = (i / columns * tile_h + 2, i % columns * tile_w + 2);
            for y in 0..height * scale {
                for x in 0..width * scale {
                    let value = picture[y / scale * width + x / scale].clamp(0.0, 1.0);
                    pixels[(top + y) * sheet_w + left + x] = (value * 255.0).round() as u8;
                }
            }
        }
        Sheet { height: sheet_h, width: sheet_w, pixels }
    }

    /// Height and width of a sheet of `n` pictures.
    fn size(shape: ImageShape, n: usize, columns: usize, scale: usize) -> (usize, usize) {
        let tile = |side: usize| side * scale + 2;
        (n.div_ceil(columns) * tile(shape.height) + 2, columns * tile(shape.width) + 2)
    }

    fn write(&self, file: impl Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(&self.pixels)
    }
}

/// The error of a picture that could not be written, as an I/O error: that of the file, if it is one.
pub fn as_io(error: png::EncodingError) -> std::io::Error {
    match error {
        png::EncodingError::IoError(error) => error,
        other => std::io::Error::other(other),
    }
}

/// Writes pictures as a sheet that is about square, with `scale` pixels per side of each value. Rows that are not images
/// are placed one below the other.
///
/// # Errors
/// If the picture cannot be written.
pub fn write_sheet(
    file: impl Write,
    shape: ImageShape,
    rows: &[f32],
    scale: usize,
) -> Result<(), png::EncodingError> {
    let n = rows.len() / (shape.height * shape.width);
    let columns = if shape.height == 1 { 1 } else { (n as f64).sqrt().ceil().max(1.0) as usize };
    Sheet::new(shape, rows, columns, scale).write(file)
}

/// Writes pictures as a sheet with `columns` of them in a row.
///
/// # Errors
/// If the picture cannot be written.
pub fn write_strip(
    file: impl Write,
    shape: ImageShape,
    rows: &[f32],
    columns: usize,
) -> Result<(), png::EncodingError> {
    Sheet::new(shape, rows, columns, scale(shape)).write(file)
}

/// Pictures per row of an animation.
const COLUMNS: usize = 10;

/// Refuses an animation of more pictures than its format can hold.
///
/// # Errors
/// If it is too large. The message gives the size that it would have.
pub fn check_animation(shape: ImageShape, pictures: usize) -> Result<(), String> {
    let (height, width) = Sheet::size(shape, pictures, pictures.clamp(1, COLUMNS), scale(shape));
    if [height, width].into_iter().all(|side| side <= usize::from(u16::MAX)) {
        return Ok(());
    }
    Err(format!(
        "the animation would have {width} x {height} pixels, and a GIF has at most 65535 per side; ask for fewer \
         pictures (--n), or only for the strip (--out F.png)"
    ))
}

/// Writes frames, each with some pictures side by side, as an animation that repeats. A frame lasts a tenth of a
/// second; the first and the last frame last ten times as long.
///
/// # Errors
/// If the animation cannot be written.
///
/// # Panics
/// If [`check_animation`] would refuse it.
pub fn write_animation(
    mut file: impl Write,
    shape: ImageShape,
    frames: &[Vec<f32>],
) -> Result<(), gif::EncodingError> {
    let columns = |frame: &[f32]| (frame.len() / (shape.height * shape.width)).clamp(1, COLUMNS);
    let mut sheets =
        frames.iter().map(|frame| Sheet::new(shape, frame, columns(frame), scale(shape))).peekable();
    let Some(first) = sheets.peek() else { return Ok(()) };
    let greys: Vec<u8> = (0..=255u8).flat_map(|grey| [grey; 3]).collect();
    let side = |pixels: usize| u16::try_from(pixels).expect("checked before the work was done");
    let (width, height) = (side(first.width), side(first.height));
    // In memory, because an encoder writes its end when it is dropped, and panics if the disk is full.
    let mut encoder = gif::Encoder::new(Vec::new(), width, height, &greys)?;
    encoder.set_repeat(gif::Repeat::Infinite)?;
    for (i, sheet) in sheets.enumerate() {
        let mut frame = gif::Frame::from_indexed_pixels(width, height, sheet.pixels.as_slice(), None);
        // In hundredths of a second.
        frame.delay = if i == 0 || i + 1 == frames.len() { 100 } else { 10 };
        encoder.write_frame(&frame)?;
    }
    Ok(file.write_all(&encoder.into_inner()?)?)
}

/// Reads a picture as grey values in [0, 1], with its height and width.
///
/// # Errors
/// If it is not a PNG, or has more than 2^24 pixels.
pub fn read_grey(file: impl BufRead + Seek) -> Result<(ImageShape, Vec<f32>), png::DecodingError> {
    const LARGEST: u32 = 1 << 24;
    let mut decoder = png::Decoder::new_with_limits(file, png::Limits { bytes: 1 << 27 });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let too_large = || png::DecodingError::LimitsExceeded;
    let info = reader.info();
    let (height, width) = (info.height, info.width);
    if height.checked_mul(width).is_none_or(|pixels| pixels > LARGEST) {
        return Err(too_large());
    }
    let mut bytes = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
    let frame = reader.next_frame(&mut bytes)?;
    let channels = frame.color_type.samples();
    // An alpha channel is last, and does not count.
    let colours = if channels % 2 == 0 { channels - 1 } else { channels };
    let grey = |pixel: &[u8]| {
        pixel[..colours].iter().map(|&value| f32::from(value)).sum::<f32>() / colours as f32 / 255.0
    };
    let values = bytes[..frame.buffer_size()].chunks_exact(channels).map(grey).collect();
    Ok((ImageShape { height: height as usize, width: width as usize }, values))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const SHAPE: ImageShape = ImageShape { height: 2, width: 3 };

    #[test]
    fn a_strip_is_read_back_as_it_was_written() {
        let rows: Vec<f32> = (0..24).map(|i| i as f32 / 23.0).collect();
        let mut file = Vec::new();
        write_strip(&mut file, SHAPE, &rows, 4).unwrap();
        let (shape, values) = read_grey(Cursor::new(file)).unwrap();
        // Four tiles of 9 times 2 x 3 pixels with gaps of two.
        assert_eq!(shape, ImageShape { height: 2 + 18 + 2, width: 2 + 4 * (27 + 2) });
        let at = |y: usize, x: usize| values[(2 + y) * shape.width + 2 + x];
        assert!((at(0, 0) - rows[0]).abs() < 0.003 && (at(17, 26) - rows[5]).abs() < 0.003);
        assert!((at(9, 29) - rows[6 + 3]).abs() < 0.003, "the second picture, second row");
    }

    #[test]
    fn an_animation_has_its_frames() {
        let frames: Vec<Vec<f32>> = (0..3).map(|i| vec![i as f32 / 2.0; 12]).collect();
        let mut file = Vec::new();
        write_animation(&mut file, SHAPE, &frames).unwrap();
        let mut decoder = gif::DecodeOptions::new().read_info(Cursor::new(file)).unwrap();
        assert_eq!((decoder.width(), decoder.height()), (2 + 2 * 29, 22));
        let mut greys = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            greys.push(frame.buffer[5 * 60 + 5]);
        }
        assert_eq!(greys, [0, 128, 255]);
    }

    /// A disk with room for this many bytes.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let n = bytes.len().min(self.0);
            self.0 -= n;
            if n > 0 { Ok(n) } else { Err(std::io::ErrorKind::StorageFull.into()) }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_an_error_of_every_picture_and_no_panic() {
        let frames: Vec<Vec<f32>> = (0..3).map(|i| vec![i as f32 / 2.0; 12]).collect();
        let mut whole = Vec::new();
        write_animation(&mut whole, SHAPE, &frames).unwrap();
        for room in (0..whole.len()).step_by(50).chain([whole.len() - 1]) {
            assert!(write_animation(Full(room), SHAPE, &frames).is_err(), "room for {room} bytes");
        }
        for room in [0, 10, 60] {
            assert!(write_strip(Full(room), SHAPE, &frames[0], 2).is_err(), "room for {room} bytes");
            assert!(write_sheet(Full(room), SHAPE, &frames[0], 9).is_err(), "room for {room} bytes");
        }
    }

    #[test]
    fn an_animation_larger_than_its_format_is_refused() {
        let shape = ImageShape { height: 28, width: 28 };
        assert!(check_animation(shape, 20_000).is_ok());
        assert!(check_animation(shape, 22_000).unwrap_err().contains("302 x 66002"));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(read_grey(Cursor::new(b"GIF89a".to_vec())).is_err());
        assert!(read_grey(Cursor::new(Vec::new())).is_err());
    }
}
