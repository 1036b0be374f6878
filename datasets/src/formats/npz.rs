//! The reader of `.npz` files: a zip archive of NumPy arrays.

use std::io::Cursor;

use zip::ZipArchive;

use crate::formats::beside::{Chosen, labels_of, targets_of};
use crate::formats::npy;
use crate::formats::room::{self, Unfilled};
use crate::formats::wanted::{Limits, Table, Wanted};

/// Bytes at the start of a member that contain its header.
const START: u64 = 1 << 14;

/// Number of bytes to read of an archive: the limit, because its start does not say.
pub(crate) fn promised(start: &[u8], limits: &Limits) -> Result<u64, String> {
    match start.starts_with(b"PK") {
        true => Ok(limits.bytes),
        false => {
            Err("it does not start with the magic number of a zip archive; check that it is a .npz"
                .to_owned())
        }
    }
}

/// Reads the rows from one array, and the labels and targets from others.
pub(crate) fn parse(bytes: &[u8], wanted: &Wanted) -> Result<Table, String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    let arrays: Vec<(String, usize)> = (0..archive.len())
        .filter_map(|i| {
            let name = archive.name_for_index(i)?.ok()?;
            Some((name.strip_suffix(".npy")?.to_owned(), i))
        })
        .collect();
    let names: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).collect();
    let Chosen { rows, label, target } = Chosen::of(&names, wanted)?;
    let mut member = |place: usize| inflated(&mut archive, arrays[place].1, bytes.len(), &wanted.limits);
    let table = npy::parse(&member(rows)?, wanted)?;
    let n = table.split.rows();
    let labels = label.map(|place| labels_of(&npy::array(&member(place)?)?, n, names[place])).transpose()?;
    let targets = target.map(|place| {
        let bytes = member(place)?;
        targets_of(&npy::array(&bytes)?, n, wanted.rows, names[place])
    });
    let split = table.split.with_labels(labels).with_targets(targets.transpose()?);
    Ok(Table { split, ..table })
}

fn damaged(error: &dyn std::fmt::Display) -> String {
    format!("the zip archive is damaged ({error}); copy or download it again")
}

/// The decompressed bytes of a member that holds an array, in an archive of `length` bytes.
fn inflated(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    length: usize,
    limits: &Limits,
) -> Result<Vec<u8>, String> {
    let mut member = archive.by_index(index).map_err(|error| damaged(&error))?;
    let mut array = Vec::new();
    let unfilled = |unfilled| match unfilled {
        Unfilled::NoRoom(problem) => problem,
        Unfilled::Io(error) => damaged(&error),
    };
    room::fill(&mut member, &mut array, START).map_err(unfilled)?;
    let promised = npy::promised(&array, limits)?;
    let stored = member.compressed_size().min(length as u64);
    let most = limits.bytes.min(limits.grown_from(stored));
    if promised > most {
        return Err(format!(
            "its array announces {promised} bytes, but at most {most} are read from one that is stored in {stored}; \
             split it, or check that it is data"
        ));
    }
    // One byte more, to notice an array that is longer than announced, and to reach the end of the member, where the
    // checksum is checked.
    room::fill(&mut member, &mut array, promised.saturating_add(1)).map_err(unfilled)?;
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;
    use crate::formats::wanted::{Column, LabelColumn};

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
        assert!(error.contains("no array `pictures` in it; it holds `images`, `labels`"), "{error}");
        let error = read(Some("labels"), 1 << 20).unwrap_err();
        assert!(error.contains("an array of shape [3]"), "{error}");
    }

    #[test]
    fn labels_and_targets_are_read_from_arrays_beside_the_rows() {
        let named = |name: &str| Column::Named(name.to_owned());
        let labelled = Wanted { label: Some(LabelColumn::At(named("labels"))), ..Wanted::default() };
        // The remaining array holds the rows.
        let split = parse(FIXTURE, &labelled).unwrap().split;
        assert_eq!(split, read(Some("images"), 1 << 20).unwrap().with_labels(Some(vec![7, 2, 1])));
        let targets = Wanted { targets: vec![named("labels")], ..Wanted::default() };
        let split = parse(FIXTURE, &targets).unwrap().split;
        assert_eq!(split.targets().unwrap().values(), [7.0, 2.0, 1.0]);
        let error = parse(FIXTURE, &Wanted { array: Some("labels".to_owned()), ..labelled }).unwrap_err();
        assert!(error.contains("`labels` cannot hold both the rows and the labels"), "{error}");
        let images =
            Wanted { array: Some("labels".to_owned()), targets: vec![named("images")], ..Wanted::default() };
        assert!(parse(FIXTURE, &images).unwrap_err().contains("an array of shape [3]"));
    }

    #[test]
    fn a_member_that_inflates_beyond_the_limit_is_given_up_on() {
        let error = read(Some("images"), 1000).unwrap_err();
        assert!(error.contains("at most 1000 are read"), "{error}");
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
