//! Writes NumPy's `.npy` format, version 1.0, little-endian and in row-major order.

use std::io::{self, Write};

/// Writes an array of doubles.
///
/// # Errors
/// If the file cannot be written.
pub fn write_f64(mut file: impl Write, shape: &[usize], values: &[f64]) -> io::Result<()> {
    header(&mut file, "<f8", shape)?;
    file.write_all(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

/// Writes an array of floats.
///
/// # Errors
/// If the file cannot be written.
pub fn write_f32(mut file: impl Write, shape: &[usize], values: &[f32]) -> io::Result<()> {
    header(&mut file, "<f4", shape)?;
    file.write_all(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

fn header(file: &mut impl Write, dtype: &str, shape: &[usize]) -> io::Result<()> {
    // A tuple of one needs its comma.
    let dims: String = shape.iter().map(|d| format!("{d},")).collect();
    let text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({dims}), }}");
    // Magic, version and length take 10 bytes; the whole is padded to a multiple of 64.
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&(padded as u16).to_le_bytes())?;
    file.write_all(format!("{text:<width$}\n", width = padded - 1).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_numpy_writes() {
        let mut bytes = Vec::new();
        write_f64(&mut bytes, &[3], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(bytes[10..].starts_with(b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }"));
        assert_eq!((bytes.len(), bytes[127]), (128 + 24, b'\n'));
        assert_eq!(bytes[128..136], 1.0f64.to_le_bytes());
    }
}
