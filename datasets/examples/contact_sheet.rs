//! Writes the first training rows of a data set as one picture, in the portable grey map format:
//! `cargo run --example contact_sheet -- glyphs/28x28 sheet.pgm`.

use std::error::Error;
use std::fs;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(id), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: contact_sheet ID OUT.pgm [ROWS COLUMNS]".into());
    };
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (n_rows, n_columns) = (number(16)?, number(24)?);

    let set = helmholtz_datasets::load(&id, None)?;
    let (height, width) = (set.shape.height, set.shape.width);
    // One pixel of frame around each image.
    let (sheet_height, sheet_width) = (n_rows * (height + 1) + 1, n_columns * (width + 1) + 1);
    let mut sheet = vec![96u8; sheet_height * sheet_width];
    for i in 0..set.train.rows().min(n_rows * n_columns) {
        let (top, left) = (i / n_columns * (height + 1) + 1, i % n_columns * (width + 1) + 1);
        for (y, line) in set.train.row(i).chunks_exact(width).enumerate() {
            for (x, on) in line.iter().enumerate() {
                sheet[(top + y) * sheet_width + left + x] = 255 * on;
            }
        }
    }
    let mut picture = format!("P5 {sheet_width} {sheet_height} 255\n").into_bytes();
    picture.extend(sheet);
    fs::write(&path, picture)?;
    println!("{}: {path}", set.protocol());
    Ok(())
}
