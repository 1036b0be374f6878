//! Selectors: the parts after `#` in a user's path, which say how the file is read.
//!
//! | selector | formats | meaning |
//! | --- | --- | --- |
//! | `#NAME` | `.npz`, `.mat` | one of several arrays |
//! | `#NAME.T`, `#rows=last` | arrays | the examples lie along the last axis |
//! | `#rows=first` | arrays | the examples lie along the first axis, whatever the shape |
//! | `#label=K`, `#label=NAME` | `.csv` | the column of labels: its number from 0 (-1: the last), or its name |
//! | `#label=none` | `.csv` | no column holds labels |
//! | `#target=K`, `#target=NAME` | `.csv` | a column of real numbers to predict; may be repeated |
//! | `#label=NAME`, `#target=NAME` | `.npz`, `.mat` | the array of labels, or of targets, that belongs to the rows |
//! | `#header`, `#no-header` | `.csv` | the first line is a header, or a row |
//! | `#bytes` | `.csv` | the numbers are bytes: v stands for v / 255 |
//!
//! A path may have several selectors: `PATH#no-header#label=0`.

use std::path::Path;

use crate::DataError;
use crate::formats::{Column, Format, LabelColumn, RowAxis, Wanted};

/// How to read a file according to its selectors.
///
/// # Errors
/// If the format of the file does not have one of the selectors, or if two of them set the same thing.
pub(crate) fn wanted<'a>(path: &Path, pieces: impl Iterator<Item = &'a str>) -> Result<Wanted, DataError> {
    let mut wanted = Wanted::default();
    let Ok(format) = Format::of(path) else { return Ok(wanted) };
    for piece in pieces {
        let new = match format {
            Format::Csv => of_csv(&mut wanted, piece),
            Format::Npy | Format::Npz | Format::Mat | Format::Idx => of_array(&mut wanted, piece, format),
            // The reader reports that the format has no arrays.
            Format::Text(_) | Format::Libsvm => {
                wanted.array.replace(piece.to_owned()).is_none().then_some(())
            }
        };
        new.ok_or_else(|| {
            let known = match format {
                Format::Csv => "#label=COLUMN, #label=none, #target=COLUMN, #header, #no-header and #bytes",
                Format::Npz | Format::Mat => {
                    "one #NAME of an array, #label=NAME and #target=NAME for others, and #rows=first or #rows=last"
                }
                _ => "#rows=first and #rows=last",
            };
            let problem = format!("unknown or repeated selector `#{piece}`; this format has {known}");
            DataError::malformed(path, problem)
        })?;
    }
    Ok(wanted)
}

/// Sets a value; `None` if it was already set.
fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.is_none().then(|| *place = Some(value))
}

fn of_csv(wanted: &mut Wanted, piece: &str) -> Option<()> {
    match piece {
        "header" => set(&mut wanted.header, true),
        "no-header" => set(&mut wanted.header, false),
        "bytes" => (!std::mem::replace(&mut wanted.bytes, true)).then_some(()),
        "label=none" => set(&mut wanted.label, LabelColumn::Nowhere),
        _ => {
            let (kind, column) = piece.split_once('=').filter(|(_, column)| !column.is_empty())?;
            let column = match column.parse() {
                Ok(number) => Column::Number(number),
                Err(_) => Column::Named(column.to_owned()),
            };
            match kind {
                "label" => set(&mut wanted.label, LabelColumn::At(column)),
                "target" if !wanted.targets.contains(&column) => {
                    wanted.targets.push(column);
                    Some(())
                }
                _ => None,
            }
        }
    }
}

fn of_array(wanted: &mut Wanted, piece: &str, format: Format) -> Option<()> {
    if let Some((kind @ ("label" | "target"), name)) = piece.split_once('=').filter(|_| format.names_arrays())
    {
        let column = (!name.is_empty()).then(|| Column::Named(name.to_owned()))?;
        return match kind {
            "label" => set(&mut wanted.label, LabelColumn::At(column)),
            _ => wanted.targets.is_empty().then(|| wanted.targets.push(column)),
        };
    }
    let (name, axis) = match piece {
        "rows=first" => ("", Some(RowAxis::First)),
        "rows=last" => ("", Some(RowAxis::Last)),
        _ => match piece.strip_suffix(".T") {
            Some(name) => (name, Some(RowAxis::Last)),
            None => (piece, None),
        },
    };
    if let Some(axis) = axis {
        set(&mut wanted.rows, axis)?;
    }
    match (name, format.names_arrays()) {
        ("", _) => axis.map(|_| ()),
        (name, true) => set(&mut wanted.array, name.to_owned()),
        // The reader reports that the format has no arrays.
        (name, false) if axis.is_none() && !name.contains('=') => set(&mut wanted.array, name.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, pieces: &str) -> Result<Wanted, String> {
        wanted(Path::new(path), pieces.split('#').filter(|piece| !piece.is_empty()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn pieces_say_how_a_file_is_read() {
        let first = of("a.mat", "#ff.T").unwrap();
        assert_eq!((first.array.as_deref(), first.rows), (Some("ff"), Some(RowAxis::Last)));
        let second = of("a.mat.gz", "#ff#rows=first").unwrap();
        assert_eq!((second.array.as_deref(), second.rows), (Some("ff"), Some(RowAxis::First)));
        for pieces in ["#.T", "#rows=last"] {
            let npy = of("a.npy", pieces).unwrap();
            assert_eq!((npy.array, npy.rows), (None, Some(RowAxis::Last)));
        }
        let named = |name: &str| Column::Named(name.to_owned());
        let csv = of("a.csv", "#no-header#label=-1#bytes#target=2#target=age").unwrap();
        let label = Some(LabelColumn::At(Column::Number(-1)));
        assert_eq!((csv.header, csv.label, csv.bytes), (Some(false), label, true));
        assert_eq!(csv.targets, [Column::Number(2), named("age")]);
        let npz = of("a.npz", "#x#label=0#target=t").unwrap();
        assert_eq!((npz.array.as_deref(), npz.label), (Some("x"), Some(LabelColumn::At(named("0")))));
        assert_eq!(npz.targets, [named("t")]);
        assert_eq!(of("a.csv", "#label=none").unwrap().label, Some(LabelColumn::Nowhere));
        assert_eq!(of("a.csv", "#label=class").unwrap().label, Some(LabelColumn::At(named("class"))));
    }

    #[test]
    fn pieces_that_a_format_does_not_know_are_refused_with_those_it_does() {
        for (path, pieces, part) in [
            ("a.csv", "#x", "unknown or repeated selector `#x`; this format has #label=COLUMN"),
            ("a.csv", "#label=", "selector `#label=`"),
            ("a.csv", "#target=", "selector `#target=`"),
            ("a.csv", "#target=1#target=1", "unknown or repeated selector `#target=1`"),
            ("a.npz", "#label=", "selector `#label=`; this format has one #NAME of an array, #label=NAME"),
            ("a.mat", "#target=a#target=b", "unknown or repeated selector `#target=b`"),
            ("a.npy", "#target=t", "has #rows=first"),
            ("a.csv", "#header#no-header", "unknown or repeated selector `#no-header`"),
            ("a.csv", "#bytes#bytes", "repeated selector"),
            ("a.npz", "#x#y", "unknown or repeated selector `#y`; this format has one #NAME"),
            ("a.npy", "#x.T", "has #rows=first and #rows=last"),
            ("a.npy", "#label=0", "has #rows=first"),
            ("a.npz", "#x.T#rows=first", "repeated selector"),
        ] {
            let error = of(path, pieces).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
