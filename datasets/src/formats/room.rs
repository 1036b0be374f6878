//! Reserves memory for the content of a file before it is used: a file that needs more memory than there is ends with
//! an error message and not with an abort.

use std::io::{self, Read};

/// Bytes that are read at a time; more memory is reserved only as bytes arrive.
const STEP: u64 = 1 << 18;

/// Why bytes could not be read to their end.
#[derive(Debug)]
pub(crate) enum Unfilled {
    /// There is not enough memory; holds the message.
    NoRoom(String),
    /// Reading failed.
    Io(io::Error),
}

/// Reads until there are `n` bytes in total, or until the end. If many bytes are announced, memory is reserved only as
/// they arrive.
pub(crate) fn fill(bytes: &mut dyn Read, whole: &mut Vec<u8>, n: u64) -> Result<(), Unfilled> {
    loop {
        let wanted = n.saturating_sub(whole.len() as u64).min(STEP);
        more_room(whole, wanted as usize).map_err(Unfilled::NoRoom)?;
        if Read::take(&mut *bytes, wanted).read_to_end(whole).map_err(Unfilled::Io)? == 0 {
            return Ok(());
        }
    }
}

/// The message if memory runs out.
fn refused(bytes: u128) -> String {
    format!(
        "{bytes} bytes of memory are not available for its values; split the file, or allow the process more \
         memory (ulimit -v)"
    )
}

/// An empty vector with room for `n` values.
pub(crate) fn with_room<T>(n: usize) -> Result<Vec<T>, String> {
    let mut values = Vec::new();
    values.try_reserve_exact(n).map_err(|_| refused(n as u128 * size_of::<T>() as u128))?;
    Ok(values)
}

/// Reserves room for `n` more values; the capacity grows by doubling, as usual for a vector.
pub(crate) fn more_room<T>(values: &mut Vec<T>, n: usize) -> Result<(), String> {
    let bytes = (values.len() as u128 + n as u128) * size_of::<T>() as u128;
    values.try_reserve(n).map_err(|_| refused(bytes))
}

/// Checks that `n` values of a type could be allocated now, before a copy is made by code that cannot return an error.
pub(crate) fn check<T>(n: usize) -> Result<(), String> {
    with_room::<T>(n).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_a_sentence() {
        let error = with_room::<u64>(usize::MAX / 16).unwrap_err();
        assert!(error.contains("bytes of memory are not available"), "{error}");
        assert!(more_room(&mut vec![0u8; 3], usize::MAX - 8).is_err());
        assert!(check::<u8>(1000).is_ok());
    }
}
