//! The reader of `.npz` files: a zip archive of NumPy arrays.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::Split;
use crate::formats::{Wanted, npy, pick};

/// The rows of one of the arrays.
pub(crate) fn parse(bytes: &[u8], wanted: &Wanted) -> Result<Split, String> {
    let damaged = |error| format!("the zip archive is damaged ({error}); copy or download it again");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let arrays: Vec<(String, usize)> = (0..archive.len())
        .filter_map(|i| {
            let name = archive.name_for_index(i)?.ok()?;
            Some((name.strip_suffix(".npy")?.to_owned(), i))
        })
        .collect();
    let index = *pick(&arrays, wanted.array.as_deref())?;
    let member = archive.by_index(index).map_err(damaged)?;
    let (mut array, limit) = (Vec::new(), wanted.limits.bytes);
    member
        .take(limit.saturating_add(1))
        .read_to_end(&mut array)
        .map_err(|error| format!("the zip archive is damaged ({error}); copy or download it again"))?;
    if array.len() as u64 > limit {
        return Err(format!("stopped after {limit} bytes of one array; split it, or check that it is data"));
    }
    npy::parse(&array, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Limits;

    const FIXTURE: &[u8] = include_bytes!("../../fixtures/images.npz");

    fn read(array: Option<&str>, bytes: u64) -> Result<Split, String> {
        let limits = Limits { bytes, ..Limits::default() };
        parse(FIXTURE, &Wanted { array: array.map(str::to_owned), limits, ..Wanted::default() })
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
        assert!(error.contains("stopped after 1000 bytes"), "{error}");
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
