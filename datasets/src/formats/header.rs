//! Decides whether the first record of a `.csv` is a header or a row.
//!
//! A header holds names, and a row holds numbers, some of which may be missing. A record with both names and numbers is
//! a header only if it cannot be a row with a mistyped value. Otherwise it is refused, because a row that is read as a
//! header would be lost. Numbers are recognised as names if they count the columns, as pandas writes them.

use csv::ByteRecord;

use crate::formats::builder::{is_missing, shown};
use crate::formats::wanted::{Column, LabelColumn, Wanted};
use crate::source_file::Note;

/// How the first record is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Opening {
    /// The names of all columns, if the record is a header.
    pub(crate) names: Option<Vec<String>>,
    /// The column of labels.
    pub(crate) label: Option<usize>,
    /// The columns of targets, in the order of the user's selectors.
    pub(crate) targets: Vec<usize>,
    /// Notes on the reading.
    pub(crate) notes: Vec<Note>,
}

/// Whether a field of a row is missing: empty, `NA` or NaN, in upper or lower case.
pub(crate) fn is_gap(field: &[u8]) -> bool {
    field.is_empty() || field.eq_ignore_ascii_case(b"na") || is_missing(field)
}

/// What spreadsheets and programs write for a missing value. In a row of numbers only the forms of [`is_gap`] are
/// accepted.
const MISSING: [&str; 23] = [
    "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "nil", "none", "missing", "unknown",
    "undef", "?", "-", "--", ".", "*", "#value!", "#ref!", "#div/0!", "#num!",
];
/// Letters that are typed by mistake for 0 and 1.
const LETTERS: [&str; 5] = ["o", "l", "i", "oo", "ll"];

impl Opening {
    /// Reads the first record, which is on line `line`; the error says what is wrong with it.
    pub(crate) fn of(record: &ByteRecord, line: usize, wanted: &Wanted) -> Result<Self, String> {
        let fields: Vec<&[u8]> = record.iter().map(<[u8]>::trim_ascii).collect();
        let is_header = match wanted.header {
            Some(is_header) => is_header,
            None => is_header(&fields, line)?,
        };
        let mut notes = Vec::new();
        // A header with the names 0 and 1 looks like a row.
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
        let columns = Columns { names: names.as_deref(), n: fields.len(), line };
        let label = columns.label(wanted.label.as_ref())?;
        let targets = columns.targets(&wanted.targets, label)?;
        if is_header {
            notes.push(Note::fact(format!("line {line} taken as header")));
        }
        if let Some(label) = label {
            notes.push(Note::fact(format!("column {} (#label={label}) holds the labels", label + 1)));
        }
        let target = |i: &usize| Note::fact(format!("column {} (#target={i}) holds a target", i + 1));
        notes.extend(targets.iter().map(target));
        Ok(Opening { names, label, targets, notes })
    }

    /// Whether a column holds values and not labels or targets.
    pub(crate) fn has_values(&self, column: usize) -> bool {
        self.label != Some(column) && !self.targets.contains(&column)
    }

    /// The columns that hold labels or targets.
    pub(crate) fn taken(&self) -> Vec<usize> {
        self.targets.iter().copied().chain(self.label).collect()
    }

    /// The names of the columns of values.
    pub(crate) fn value_names(&self) -> Option<Vec<String>> {
        let names = self.names.as_ref()?.iter().enumerate();
        Some(names.filter(|(i, _)| self.has_values(*i)).map(|(_, name)| name.clone()).collect())
    }

    /// The names of the columns of targets.
    pub(crate) fn target_names(&self) -> Option<Vec<String>> {
        let names = self.names.as_ref()?;
        Some(self.targets.iter().map(|i| names[*i].clone()).collect())
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
        // Numbers with an empty field are a broken row. Three numbers that count include a 2 and so are not bits.
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
    if !counting && names.iter().all(|name| is_gap(name)) {
        return Ok(false);
    }
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
            "line {line}: found `{}` beside the number `{}`, so the line is neither a row of numbers nor a header of \
             names; correct it, or add #header to the path if it is a header",
            shown(odd.unwrap_or(names[0])),
            shown(value.unwrap_or(numbers[0]))
        )),
    }
}

/// The columns of a file, for finding those of labels and targets.
struct Columns<'a> {
    names: Option<&'a [String]>,
    n: usize,
    line: usize,
}

impl Columns<'_> {
    /// The column of labels: the one that the user names, or the one that the header calls `label`.
    fn label(&self, asked: Option<&LabelColumn>) -> Result<Option<usize>, String> {
        match asked {
            None => {
                let found = self.names.unwrap_or_default().iter().enumerate();
                let mut found = found.filter(|(_, name)| is_label(name.as_bytes())).map(|(i, _)| i);
                match (found.next(), found.next()) {
                    (Some(one), Some(other)) => Err(format!(
                        "line {}: columns {} and {} are both called `label`; add #label={one} to the path, or another \
                         number (counted from 0)",
                        self.line,
                        one + 1,
                        other + 1
                    )),
                    (found, _) => Ok(found),
                }
            }
            Some(LabelColumn::Nowhere) => Ok(None),
            Some(LabelColumn::At(column)) => self.find(column, "label").map(Some),
        }
    }

    /// The columns of targets. Each must be requested once, and none may be the column of labels.
    fn targets(&self, asked: &[Column], label: Option<usize>) -> Result<Vec<usize>, String> {
        let mut targets = Vec::new();
        for column in asked {
            let place = self.find(column, "target")?;
            let line = self.line;
            if label == Some(place) {
                return Err(format!(
                    "line {line}: column {} is the column of labels, but #target={} names it too; add #label=none \
                     to the path if it holds targets",
                    place + 1,
                    column.shown()
                ));
            }
            if targets.contains(&place) {
                return Err(format!(
                    "line {line}: #target={} names column {}, which another #target= already names; leave one out",
                    column.shown(),
                    place + 1
                ));
            }
            targets.push(place);
        }
        Ok(targets)
    }

    /// The place of a column; `piece` is the selector that names it in the path.
    fn find(&self, column: &Column, piece: &str) -> Result<usize, String> {
        let Columns { names, n, line } = *self;
        match column {
            Column::Number(number) => {
                let place = if *number < 0 { number.checked_add_unsigned(n as u64) } else { Some(*number) };
                let place = place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < n);
                place.ok_or_else(|| {
                    format!(
                        "line {line}: there is no column #{piece}={number} among {n} columns, counted from 0; correct \
                         the path"
                    )
                })
            }
            Column::Named(wanted) => {
                let names = names.ok_or_else(|| {
                    format!(
                        "line {line} is not a header, so no column is called `{wanted}`; give its number, as \
                         in #{piece}=0"
                    )
                })?;
                names.iter().position(|name| name == wanted).ok_or_else(|| {
                    let some: Vec<String> =
                        names.iter().take(5).map(|name| format!("`{}`", shown(name.as_bytes()))).collect();
                    let more = if names.len() > 5 { ", ..." } else { "" };
                    format!(
                        "line {line}: no column is called `{wanted}`; the columns are {}{more}: correct #{piece}= in \
                         the path",
                        some.join(", ")
                    )
                })
            }
        }
    }
}

impl Column {
    /// The column as it is written in a path.
    fn shown(&self) -> String {
        match self {
            Column::Number(number) => number.to_string(),
            Column::Named(name) => name.clone(),
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
        for marker in ["?", "null", "-", "#N/A", "O", "1O", "x", "inf"] {
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
        // A marker among numbers that count columns is not a name either.
        assert!(opening(&["NA", "0", "1", "2"], &Wanted::default()).is_err());
    }

    #[test]
    fn numbers_of_which_some_are_missing_are_a_row() {
        for record in
            [vec!["NA", "1", "0"], vec!["0", "nan"], vec!["255", "NaN", "", "17"], vec!["-nan", "0.25"]]
        {
            assert_eq!(opening(&record, &Wanted::default()).unwrap().names, None, "{record:?}");
            let header = Wanted { header: Some(true), ..Wanted::default() };
            assert!(opening(&record, &header).unwrap().names.is_some());
        }
        assert!(opening(&["NA", "x", "1"], &Wanted::default()).is_err());
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
        let named = |name: &str| wanted(Some(LabelColumn::At(Column::Named(name.to_owned()))));
        let number = |number| wanted(Some(LabelColumn::At(Column::Number(number))));
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
            (header, named("y"), "no column is called `y`; the columns are `a`, `label`, `class`"),
            (["7", "0", "1"], named("y"), "line 1 is not a header"),
            (["label", "a", "Label"], wanted(None), "columns 1 and 3 are both called `label`"),
        ] {
            let error = opening(&record, &wanted).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
    #[test]
    fn targets_are_columns_beside_that_of_the_labels() {
        let wanted = |label: Option<LabelColumn>, targets: &[Column]| Wanted {
            label,
            targets: targets.to_vec(),
            ..Wanted::default()
        };
        let (named, number) = (|name: &str| Column::Named(name.to_owned()), Column::Number);
        let header = ["a", "label", "age", "weight"];
        let found = opening(&header, &wanted(None, &[named("weight"), number(0)])).unwrap();
        assert_eq!((found.label, &found.targets), (Some(1), &vec![3, 0]));
        assert_eq!(found.value_names().unwrap(), ["age"]);
        assert_eq!(found.target_names().unwrap(), ["weight", "a"]);
        let found = opening(&header, &wanted(Some(LabelColumn::Nowhere), &[named("label")])).unwrap();
        assert_eq!((found.label, &found.targets), (None, &vec![1]));
        assert_eq!(opening(&["7", "0.5"], &wanted(None, &[number(-1)])).unwrap().targets, [1]);
        for (targets, part) in [
            (vec![named("label")], "column 2 is the column of labels, but #target=label names it"),
            (
                vec![number(2), named("age")],
                "#target=age names column 3, which another #target= already names",
            ),
            (vec![number(4)], "no column #target=4 among 4"),
            (vec![number(i64::MIN)], "no column #target=-9223372036854775808 among 4"),
            (
                vec![named("size")],
                "no column is called `size`; the columns are `a`, `label`, `age`, `weight`: correct #target=",
            ),
        ] {
            let error = opening(&header, &wanted(None, &targets)).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
