//! The reader of `.npz` files: a zip archive of NumPy arrays.

use std::io::Cursor;

use zip::ZipArchive;

use crate::formats::array::pick;
use crate::formats::npy;
use crate::formats::room::{self, Unfilled};
use crate::formats::wanted::{Limits, Table, Wanted};

/// Bytes of a member that hold its header.
const START: u64 = 1 << 14;

/// Bytes of the file, if it is an archive: as many as may be.
pub(crate) fn promised(start: &[u8], limits: &Limits) -> Result<u64, String> {
    match start.starts_with(b"PK") {
        true => Ok(limits.bytes),
        false => Err("it does not start with the magic of a zip archive; check that it is a .npz".to_owned()),
    }
}

/// The rows of one of the arrays.
pub(crate) fn parse(bytes: &[u8], wanted: &Wanted) -> Result<Table, String> {
    let damaged = |error: &dyn std::fmt::Display| {
        format!("the zip archive is damaged ({error}); copy or download it again")
    };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    let arrays: Vec<(String, usize)> = (0..archive.len())
        .filter_map(|i| {
            let name = archive.name_for_index(i)?.ok()?;
            Some((name.strip_suffix(".npy")?.to_owned(), i))
        })
        .collect();
    let names: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).collect();
    let (_, index) = arrays[pick(&names, wanted.array.as_deref())?];
    let mut member = archive.by_index(index).map_err(|error| damaged(&error))?;
    let mut array = Vec::new();
    let unfilled = |unfilled| match unfilled {
        Unfilled::NoRoom(problem) => problem,
        Unfilled::Io(error) => damaged(&error),
    };
    room::fill(&mut member, &mut array, START).map_err(unfilled)?;
    let promised = npy::promised(&array, &wanted.limits)?;
    let stored = member.compressed_size().min(bytes.len() as u64);
    let most = wanted.limits.bytes.min(wanted.limits.grown_from(stored));
    if promised > most {
        return Err(format!(
            "its array promises {promised} bytes, and no more than {most} are read of one that is stored in {stored}; \
             split it, or check that it is data"
        ));
    }
    // One byte more, to tell an array that goes on from one that ends there; and the checksum, which
    // is looked at where the member ends.
    room::fill(&mut member, &mut array, promised.saturating_add(1)).map_err(unfilled)?;
    npy::parse(&array, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;

    const FIXTURE: &[u8] = include_bytes!("../../fixtures/images.npz");

    fn read(array: Option<&str>, bytes: u64) -> Result<Split, String> {
        let limits = Limits { bytes, ..Limits::default() };
        let wanted = Wanted { array: array.map(str::to_owned), limits, ..Wanted::default() };
        parse(FIXTURE, &wanted).map(|table| table.split)
    }

    #[test]
    fn an_array_is_read_by_its_name() {
        assert_eq!(read(Some("images"), 1 << 20).unwrap().rows(), 3);
        let error = read(None, 1 << 20).unwrap_err();
        assert!(
            error.contains("the arrays `images`, `labels`; name one of them as in file:PATH#NAME"),
            "{error}"
        );
        let error = read(Some("pictures"), 1 << 20).unwrap_err();
        assert!(error.contains("no array `pictures` in it, but `images`, `labels`"), "{error}");
        let error = read(Some("labels"), 1 << 20).unwrap_err();
        assert!(error.contains("an array of shape [3]"), "{error}");
    }

    #[test]
    fn a_member_that_inflates_beyond_the_limit_is_given_up_on() {
        let error = read(Some("images"), 1000).unwrap_err();
        assert!(error.contains("no more than 1000 are read"), "{error}");
    }

    #[test]
    fn damage_is_an_error() {
        for cut in [0, 10, FIXTURE.len() / 2, FIXTURE.len() - 1] {
            assert!(
                parse(&FIXTURE[..cut], &Wanted::default()).unwrap_err().contains("zip archive is damaged")
            );
        }
        let mut flipped = FIXTURE.to_vec();
        flipped[200] ^= 1; // inside the deflated images
        let wanted = Wanted { array: Some("images".to_owned()), ..Wanted::default() };
        assert!(parse(&flipped, &wanted).unwrap_err().contains("damaged"));
    }
}
