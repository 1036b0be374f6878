//! Whether the first record of a `.csv` is a header or a row.
//!
//! A header holds names and a row holds numbers. A record with both is a header only if it cannot be
//! a row with something missing or mistyped; else it is refused, for a row that is taken for a header
//! vanishes. Names that are numbers are known where they count the columns, as pandas writes them.

use csv::ByteRecord;

use crate::formats::builder::shown;
use crate::formats::wanted::{LabelColumn, Wanted};
use crate::source_file::Note;

/// What the first record is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Opening {
    /// The names of all columns, if it is a header.
    pub(crate) names: Option<Vec<String>>,
    /// The column of labels.
    pub(crate) label: Option<usize>,
    /// What was understood.
    pub(crate) notes: Vec<Note>,
}

/// What spreadsheets and programs write where a value is missing.
const MISSING: [&str; 23] = [
    "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "nil", "none", "missing", "unknown",
    "undef", "?", "-", "--", ".", "*", "#value!", "#ref!", "#div/0!", "#num!",
];
/// Letters that are typed for 0 and 1.
const LETTERS: [&str; 5] = ["o", "l", "i", "oo", "ll"];

impl Opening {
    /// What the first record is, which stands on a line; or what is wrong with it.
    pub(crate) fn of(record: &ByteRecord, line: usize, wanted: &Wanted) -> Result<Self, String> {
        let fields: Vec<&[u8]> = record.iter().map(<[u8]>::trim_ascii).collect();
        let is_header = match wanted.header {
            Some(is_header) => is_header,
            None => is_header(&fields, line)?,
        };
        let mut notes = Vec::new();
        // One or two columns named 0 and 1 look like a row.
        if wanted.header.is_none() && !is_header && fields.len() <= 2 && counts(&fields, 0) {
            let names = fields.iter().map(|field| shown(field)).collect::<Vec<_>>().join(",");
            notes.push(Note::doubt(format!(
                "line {line} is `{names}` and was read as a row; add #header to the path if it names the columns, \
                 or #no-header if it is a row"
            )));
        }
        let names = is_header.then(|| -> Vec<String> {
            fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect()
        });
        let label = label(names.as_deref(), fields.len(), line, wanted.label.as_ref())?;
        if is_header {
            notes.push(Note::fact(format!("line {line} taken as header")));
        }
        if let Some(label) = label {
            notes.push(Note::fact(format!("column {} (#label={label}) holds the labels", label + 1)));
        }
        Ok(Opening { names, label, notes })
    }

    /// The names of the columns of values.
    pub(crate) fn value_names(&self) -> Option<Vec<String>> {
        let names = self.names.as_ref()?.iter().enumerate();
        Some(names.filter(|(i, _)| Some(*i) != self.label).map(|(_, name)| name.clone()).collect())
    }
}

fn number(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}

fn is_one_of(field: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| field.eq_ignore_ascii_case(word.as_bytes()))
}

fn is_label(field: &[u8]) -> bool {
    field.eq_ignore_ascii_case(b"label")
}

/// True if the fields are `start`, `start + 1` and so on.
fn counts(fields: &[&[u8]], start: usize) -> bool {
    fields.iter().enumerate().all(|(i, field)| *field == (start + i).to_string().as_bytes())
}

fn is_header(fields: &[&[u8]], line: usize) -> Result<bool, String> {
    let names: Vec<&[u8]> =
        fields.iter().copied().filter(|field| !field.is_empty() && number(field).is_none()).collect();
    let numbers: Vec<&[u8]> = fields.iter().copied().filter(|field| number(field).is_some()).collect();
    if names.is_empty() {
        // Numbers with a hole are a broken row; three that count have a 2 among them, which is no bit.
        return Ok(fields.len() >= 3 && (counts(fields, 0) || counts(fields, 1)));
    }
    let missing = names.iter().find(|name| is_one_of(name, &MISSING));
    if numbers.is_empty() {
        return match missing {
            Some(_) if names.iter().all(|name| is_one_of(name, &MISSING)) => Err(format!(
                "line {line}: every value is missing; leave the row out, or add #header to the path if these are names"
            )),
            _ => Ok(true),
        };
    }
    let counting = numbers.len() >= 3 && (counts(&numbers, 0) || counts(&numbers, 1));
    if missing.is_none() && (counting || names.iter().any(|name| is_label(name))) {
        return Ok(true);
    }
    let in_range = |field: &&[u8]| {
        number(field).is_some_and(|number| {
            (0.0..=1.0).contains(&number) || number.fract() == 0.0 && (0.0..=255.0).contains(&number)
        })
    };
    let value = numbers.iter().copied().find(|field| in_range(field));
    let odd = missing.copied().or(names.iter().copied().find(|name| is_one_of(name, &LETTERS)));
    match (value, odd) {
        (None, None) => Ok(true),
        (value, odd) => Err(format!(
            "line {line}: found `{}` beside the number `{}`, so it is neither a row of numbers nor a header of names; \
             correct it, or add #header to the path if it is a header",
            shown(odd.unwrap_or(names[0])),
            shown(value.unwrap_or(numbers[0]))
        )),
    }
}

/// The column of labels: the one that is asked for, or the one that the header calls so.
fn label(
    names: Option<&[String]>,
    n: usize,
    line: usize,
    asked: Option<&LabelColumn>,
) -> Result<Option<usize>, String> {
    match asked {
        None => {
            let found = names.unwrap_or_default().iter().enumerate();
            let mut found = found.filter(|(_, name)| is_label(name.as_bytes())).map(|(i, _)| i);
            match (found.next(), found.next()) {
                (Some(one), Some(other)) => Err(format!(
                    "line {line}: columns {} and {} are both called `label`; add #label={one} to the path, or another \
                     number, from 0",
                    one + 1,
                    other + 1
                )),
                (found, _) => Ok(found),
            }
        }
        Some(LabelColumn::Nowhere) => Ok(None),
        Some(LabelColumn::Number(number)) => {
            let place = if *number < 0 { number.checked_add_unsigned(n as u64) } else { Some(*number) };
            let place = place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < n);
            place.map(Some).ok_or_else(|| {
                format!("line {line}: there is no column #label={number} among {n}, counted from 0; correct the path")
            })
        }
        Some(LabelColumn::Named(wanted)) => {
            let names = names.ok_or_else(|| {
                format!(
                    "line {line} is no header, so no column is called `{wanted}`; give its number, as in #label=0"
                )
            })?;
            names.iter().position(|name| name == wanted).map(Some).ok_or_else(|| {
                let some: Vec<String> =
                    names.iter().take(5).map(|name| format!("`{}`", shown(name.as_bytes()))).collect();
                let more = if names.len() > 5 { ", ..." } else { "" };
                format!(
                    "line {line}: no column is called `{wanted}`, but {}{more}; correct #label= in the path",
                    some.join(", ")
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(record: &[&str], wanted: &Wanted) -> Result<Opening, String> {
        Opening::of(&ByteRecord::from(record.to_vec()), 1, wanted)
    }

    #[test]
    fn a_record_of_names_is_a_header_and_one_of_numbers_a_row() {
        for (record, is_header) in [
            (vec!["a", "b"], true),
            (vec!["NA", "b", "c"], true),
            (vec!["", "a", "b"], true),
            (vec!["label", "0", "1"], true),
            (vec!["1", "Label"], true),
            (vec!["y", "0", "1", "2"], true),
            (vec!["y", "1", "2", "3"], true),
            (vec!["year", "1990", "1991"], true),
            (vec!["0", "1", "2"], true),
            (vec!["1", "2", "3", "4"], true),
            (vec!["0", "1"], false),
            (vec!["0"], false),
            (vec!["0", "1", "1"], false),
            (vec!["0.5", "1", "2"], false),
            (vec!["0", "", "1"], false),
            (vec!["", ""], false),
            (vec!["inf", "a"], true),
        ] {
            let found = opening(&record, &Wanted::default()).unwrap();
            assert_eq!(found.names.is_some(), is_header, "{record:?}");
        }
    }

    #[test]
    fn a_row_with_a_marker_is_neither() {
        for marker in ["NA", "?", "null", "-", "#N/A", "O", "NaN", "1O", "x", "inf"] {
            for record in
                [vec![marker, "1", "0"], vec!["0", marker], vec!["255", marker, "17"], vec![marker, "0.25"]]
            {
                let error = opening(&record, &Wanted::default()).unwrap_err();
                assert!(
                    error.contains("line 1: found `") && error.contains("#header"),
                    "{record:?}: {error}"
                );
                assert!(error.contains(marker), "{error}");
                let header = Wanted { header: Some(true), ..Wanted::default() };
                assert!(opening(&record, &header).unwrap().names.is_some());
                let row = Wanted { header: Some(false), ..Wanted::default() };
                assert!(opening(&record, &row).unwrap().names.is_none());
            }
        }
        for record in [vec!["NA", "NA"], vec!["?"], vec!["-", ""]] {
            let error = opening(&record, &Wanted::default()).unwrap_err();
            assert!(error.contains("line 1: every value is missing"), "{error}");
        }
        // A marker among numbers that count columns is no name either.
        assert!(opening(&["NA", "0", "1", "2"], &Wanted::default()).is_err());
    }

    #[test]
    fn two_columns_called_0_and_1_are_a_row_with_a_doubt() {
        for record in [vec!["0", "1"], vec!["0"]] {
            let found = opening(&record, &Wanted::default()).unwrap();
            assert!(
                found.notes.iter().any(|note| note.doubtful && note.text.contains("#header")),
                "{found:?}"
            );
            for header in [true, false] {
                let said = opening(&record, &Wanted { header: Some(header), ..Wanted::default() }).unwrap();
                assert!(said.names.is_some() == header && said.notes.iter().all(|note| !note.doubtful));
            }
        }
        assert!(opening(&["1", "0"], &Wanted::default()).unwrap().notes.is_empty());
    }

    #[test]
    fn the_column_of_labels_is_the_one_that_is_named_or_numbered() {
        let wanted = |label| Wanted { label, ..Wanted::default() };
        let named = |name: &str| wanted(Some(LabelColumn::Named(name.to_owned())));
        let number = |number| wanted(Some(LabelColumn::Number(number)));
        let header = ["a", "label", "class"];
        for (record, wanted, label) in [
            (header, wanted(None), Some(1)),
            (header, wanted(Some(LabelColumn::Nowhere)), None),
            (header, named("class"), Some(2)),
            (header, number(0), Some(0)),
            (header, number(-1), Some(2)),
            (["7", "0", "1"], number(0), Some(0)),
            (["0", "1", "7"], number(-1), Some(2)),
            (["7", "0", "1"], wanted(None), None),
        ] {
            assert_eq!(opening(&record, &wanted).unwrap().label, label, "{record:?} {wanted:?}");
        }
        let names = opening(&header, &named("class")).unwrap().value_names().unwrap();
        assert_eq!(names, ["a", "label"]);
        for (record, wanted, part) in [
            (header, number(3), "no column #label=3 among 3"),
            (header, number(-4), "no column #label=-4"),
            (header, named("y"), "no column is called `y`, but `a`, `label`, `class`"),
            (["7", "0", "1"], named("y"), "line 1 is no header"),
            (["label", "a", "Label"], wanted(None), "columns 1 and 3 are both called `label`"),
        ] {
            let error = opening(&record, &wanted).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
