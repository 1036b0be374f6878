//! Contact sheets of grey pictures.

use std::io::Write;

use helmholtz_datasets::ImageShape;

/// Values in [0, 1], one picture a row, as a sheet of tiles, white on black with grey gaps.
///
/// Small pictures are enlarged so that a tile has at least 28 pixels a side.
///
/// # Errors
/// If the picture cannot be written.
pub fn write_sheet(file: impl Write, shape: ImageShape, rows: &[f32]) -> Result<(), png::EncodingError> {
    let (height, width) = (shape.height, shape.width);
    let n = rows.len() / (height * width);
    // Rows that are no images stand one below the other.
    let columns = if height == 1 { 1 } else { (n as f64).sqrt().ceil().max(1.0) as usize };
    let scale = (28 / height.max(width)).max(1);
    let (tile_h, tile_w) = (height * scale + 2, width * scale + 2);
    let (sheet_h, sheet_w) = (n.div_ceil(columns) * tile_h + 2, columns * tile_w + 2);
    let mut sheet = vec![96u8; sheet_h * sheet_w];
    for (i, picture) in rows.chunks_exact(height * width).enumerate() {
        let (top, left) = (i / columns * tile_h + 2, i % columns * tile_w + 2);
        for y in 0..height * scale {
            for x in 0..width * scale {
                let value = picture[y / scale * width + x / scale].clamp(0.0, 1.0);
                sheet[(top + y) * sheet_w + left + x] = (value * 255.0).round() as u8;
            }
        }
    }
    let mut encoder = png::Encoder::new(file, sheet_w as u32, sheet_h as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&sheet)
}
