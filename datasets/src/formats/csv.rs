//! The reader of `.csv` files.
//!
//! The first record may be a header, see `header.rs`. A column with the header `label`, in upper or lower case, or a
//! column that the user names, holds classes and does not belong to the rows. Columns of targets, which hold finite
//! numbers of any size, do not belong to the rows either.
//!
//! Values are either all numbers in [0, 1], or all bytes: integers v up to 255 that stand for v / 255. A field that is
//! empty, `NA` or NaN is a missing value in both cases.
//! If only one column has integers above 1, or if all integers are far below 255, they are more likely labels or counts
//! than pictures. Such a file is refused, and the error says what to add if they are bytes.

use std::io::BufRead;
use std::path::Path;

use crate::Targets;
use crate::error::DataError;
use crate::formats::builder::{Builder, integer, shown, unit_number};
use crate::formats::header::{Opening, is_gap};
use crate::formats::source;
use crate::formats::wanted::{Table, Wanted};
use crate::source_file::Note;

mod bytes;
mod records;

use records::Records;

const SEPARATED: &str = "values separated by commas";

/// Reads the records of a file. Unless a protocol sets the width, the first record does.
pub(crate) fn read(path: &Path, text: &mut impl BufRead, wanted: &Wanted) -> Result<Table, DataError> {
    let mut records = Records::new(path, text, &wanted.limits);
    let mut builder = Builder::new(path, wanted.expected.as_ref(), &wanted.limits);
    let (mut row, mut labels, mut targets) = (vec![], vec![], vec![]);
    let mut opening: Option<Opening> = None;
    let mut numbers = Numbers::new(wanted);
    let mut first_fields = None;
    while let Some((line, record)) = records.next(builder.n_rows)? {
        let n_fields = record.len();
        if opening.is_none() {
            let found = Opening::of(record, line, wanted);
            let found = found.map_err(|problem| DataError::malformed(path, problem))?;
            let is_header = found.names.is_some();
            opening = Some(found);
            if is_header {
                continue;
            }
        }
        let Some(opening) = &opening else { continue };
        let Opening { names, label: label_column, targets: target_columns, .. } = opening;
        if let Some(names) = names.as_ref().filter(|names| names.len() != n_fields) {
            let problem = format!(
                "line {line}: found {n_fields} values, but the header has {}; correct the line",
                names.len()
            );
            return Err(DataError::malformed(path, problem));
        }
        // In a row with a missing field the label or the target could be read as a value.
        let of_first = *first_fields.get_or_insert(n_fields);
        if (label_column.is_some() || !target_columns.is_empty()) && n_fields != of_first {
            let problem = format!(
                "line {line}: found {n_fields} values, but the rows before it have {of_first}; correct the line"
            );
            return Err(DataError::malformed(path, problem));
        }
        row.clear();
        let mut label = None;
        for (i, field) in record.iter().enumerate() {
            let field = field.trim_ascii();
            if *label_column == Some(i) {
                label =
                    Some(integer(field).ok_or_else(|| value(path, line, i + 1, field, "an integer label"))?);
            } else if opening.has_values(i) {
                row.push(numbers.read(path, (line, i + 1), field)?);
            }
        }
        for i in target_columns {
            let field = record[*i].trim_ascii();
            let target = finite(field)
                .ok_or_else(|| value(path, line, i + 1, field, "a finite number as a target"))?;
            targets.push(target);
        }
        if row.is_empty() {
            let problem = "it holds labels or targets but no values; add columns of values".to_owned();
            return Err(DataError::malformed(path, problem));
        }
        if numbers.kind == Numerals::Bytes {
            builder.push_bytes(line, &row)?;
        } else {
            builder.push(line, &row)?;
        }
        labels.extend(label);
    }
    let opening = opening.unwrap_or_default();
    if let (Some(bytes), Some(width)) = (builder.bytes(), builder.width) {
        bytes::check(path, bytes, width, &opening, numbers.first_byte.clone(), wanted)?;
    }
    let split = builder.finish()?;
    let labels = (labels.len() == split.rows()).then_some(labels);
    let n_targets = opening.targets.len();
    let with_targets = (n_targets > 0).then(|| Targets::new(n_targets, targets));
    let split = split.with_labels(labels).with_targets(with_targets);
    let (columns, targets, taken) = (opening.value_names(), opening.target_names(), opening.taken());
    let mut notes = opening.notes;
    if numbers.kind == Numerals::Bytes {
        notes.push(Note::fact("integers read as bytes: v stands for v / 255"));
    }
    Ok(Table { split, columns, targets, taken, notes })
}

/// A number that is finite as f32.
fn finite(field: &[u8]) -> Option<f32> {
    let number: f64 = std::str::from_utf8(field).ok()?.parse().ok()?;
    Some(number as f32).filter(|number| number.is_finite())
}

/// Reads only the first record of a file.
pub(crate) fn opening(path: &Path, wanted: &Wanted) -> Result<Opening, DataError> {
    let mut text = source::without_mark(path, source::open(path, &wanted.limits)?)?;
    let mut records = Records::new(path, &mut text, &wanted.limits);
    match records.next(0)? {
        Some((line, record)) => {
            Opening::of(record, line, wanted).map_err(|problem| DataError::malformed(path, problem))
        }
        None => Ok(Opening::default()),
    }
}

/// The kind of the numbers so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numerals {
    /// Zeros and ones.
    Bits,
    /// Integers up to 255.
    Bytes,
    /// Numbers in [0, 1].
    Real,
}

/// Reads the numbers of a file, which are all in [0, 1] or all bytes.
struct Numbers {
    /// True if a protocol requires zeros and ones.
    binary: bool,
    kind: Numerals,
    /// Line, column and text of the first number that is a byte and not in [0, 1].
    first_byte: Option<(usize, usize, String)>,
}

impl Numbers {
    fn new(wanted: &Wanted) -> Self {
        let kind = if wanted.bytes { Numerals::Bytes } else { Numerals::Bits };
        Numbers { binary: wanted.expected.is_some(), kind, first_byte: None }
    }

    /// The number in a field; a byte as it is written, and NaN if it is missing.
    fn read(&mut self, path: &Path, (line, column): (usize, usize), field: &[u8]) -> Result<f32, DataError> {
        let wrong = |wanted| value(path, line, column, field, wanted);
        if let Some(number) = unit_number(field) {
            return match (number == 0.0 || number == 1.0, self.kind) {
                (true, _) | (false, Numerals::Real) => Ok(number),
                (false, _) if self.binary => Err(wrong(DataError::wanted(true))),
                (false, Numerals::Bytes) => Err(wrong("an integer from 0 to 255, as before,")),
                (false, Numerals::Bits) => {
                    self.kind = Numerals::Real;
                    Ok(number)
                }
            };
        }
        if !self.binary && is_gap(field) {
            return Ok(f32::NAN);
        }
        let byte = integer(field).and_then(|number| u8::try_from(number).ok());
        let Some(byte) = byte.filter(|_| !self.binary && self.kind != Numerals::Real) else {
            return Err(wrong(match self.kind {
                Numerals::Bytes => "an integer from 0 to 255",
                _ => DataError::wanted(self.binary),
            }));
        };
        self.kind = Numerals::Bytes;
        self.first_byte.get_or_insert_with(|| (line, column, shown(field)));
        Ok(f32::from(byte))
    }
}

fn value(path: &Path, line: usize, column: usize, field: &[u8], wanted: &'static str) -> DataError {
    DataError::Value {
        path: path.to_owned(),
        line,
        column,
        value: shown(field),
        wanted,
        separators: SEPARATED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;
    use crate::formats::wanted::{Column, Expected, LabelColumn, Limits};

    fn read_text(text: &str, wanted: &Wanted) -> Result<Split, String> {
        let table = read(Path::new("a.csv"), &mut text.as_bytes(), wanted);
        table.map(|table| table.split).map_err(|error| error.to_string())
    }

    #[test]
    fn records_are_rows_with_or_without_a_header_and_labels() {
        let rows = Split::new(2, 2, vec![0, 1, 1, 1]);
        for text in ["0,1\n1,1\n", "a,b\n0, 1\r\n1,1.0", "\"a, or\",b\n\"0\",1\n1,1\n"] {
            assert_eq!(read_text(text, &Wanted::default()).unwrap(), rows, "{text:?}");
        }
        let labelled = read_text("x,Label,y\n0,7,1\n1,-2,1\n", &Wanted::default()).unwrap();
        assert_eq!(labelled, rows.with_labels(Some(vec![7, -2])));
        let real = read_text("0.25,1\n", &Wanted::default()).unwrap();
        assert_eq!(real, Split::real(1, 2, vec![0.25, 1.0]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let expected = Expected { protocol: "a/b@1".into(), rows: 1, width: 2 };
        let binary = Wanted { expected: Some(expected), ..Wanted::default() };
        let short = Wanted { limits: Limits { line: 10, ..Limits::default() }, ..Wanted::default() };
        let small = Wanted { limits: Limits { bytes: 10, ..Limits::default() }, ..Wanted::default() };
        let few = Wanted { limits: Limits { values: 2, ..Limits::default() }, ..Wanted::default() };
        let free = Wanted::default();
        for (text, wanted, part) in [
            ("a,b\n0,1\n0,2\n", &free, "a.csv, line 3, column 2: found `2`, which is not in [0, 1]"),
            ("0,1\n0\n", &free, "line 2: found 1 values where 2"),
            ("0,1\n0,inf\n", &free, "line 2, column 2: found `inf` where a number in [0, 1]"),
            ("0,null\n", &free, "found `null` beside the number `0`"),
            ("label,b\nx,1\n", &free, "line 2, column 1: found `x` where an integer label"),
            ("a,b\n", &free, "holds no rows"),
            ("label\n1\n2\n3\n", &few, "it holds labels or targets but no values"),
            ("a,b\n0,1\n1,1\n", &few, "more than 2 values after 1 rows"),
            ("0,0.5\n", &binary, "found `0.5` where 0 or 1"),
            ("0,\n", &binary, "found `` where 0 or 1"),
            ("0,1\n0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n", &short, "longer than 10 bytes"),
            ("0,1\n\"0\n1\n0\n1\n0\n1\n0\n1\n0\n1\n0\n1\n0\n1\n", &short, "longer than 10 bytes"),
            ("a,b,c\n0,1\n", &free, "line 2: found 2 values, but the header has 3"),
            ("0,1\n0,1\n0,1\n", &small, "stopped after 10 bytes"),
        ] {
            let error = read_text(text, wanted).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_spreadsheets_write_is_read_alike_or_refused_by_name() {
        let decoded = |text: &[u8]| {
            let mut text =
                source::without_mark(Path::new("a.csv"), text).map_err(|error| error.to_string())?;
            let table = read(Path::new("a.csv"), &mut text, &Wanted::default());
            table.map(|table| table.split).map_err(|error| error.to_string())
        };
        let rows = Split::new(2, 2, vec![0, 1, 1, 1]);
        for text in [
            "0,1\r\n1,1\r\n",
            "\u{feff}0,1\n1,1\n",
            "\u{feff}\"a\",\"b\"\r\n\"0\",\"1\"\r\n\"1\",\"1\"\r\n",
            "\n\n0,1\n\n1,1\n\n",
            "a,a\n0,1\n1,1\n",
            "0,1\r1,1\r",
            " 0 ,\t1\n1,1",
        ] {
            assert_eq!(decoded(text.as_bytes()).unwrap(), rows, "{text:?}");
        }
        for (text, part) in [
            ("", "holds no rows"),
            ("\u{feff}", "holds no rows"),
            ("\n\r\n", "holds no rows"),
            ("a,b\n", "holds no rows"),
            ("a,b\n0,1,\n", "line 2: found 3 values, but the header has 2"),
            ("0,1\n0\n", "line 2: found 1 values where 2"),
            ("0,1\n0,1,1\n", "line 2: found 3 values where 2"),
            ("label,x,LABEL\n1,0,2\n", "columns 1 and 3 are both called `label`"),
            ("0;1\n1;1\n", "found `1;1`"),
            ("0,1\n\"0,1\n1,1\n", "line 2, column 1: found `0,1"),
            ("0,1\n0,\u{0}\n", "line 2, column 2"),
            ("0,1\n1,1,NA\n", "line 2: found 3 values where 2"),
        ] {
            let error = decoded(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        let utf16: Vec<u8> = "\u{feff}0,1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(decoded(&utf16).unwrap_err().contains("the text is UTF-16; save it as UTF-8"));
    }

    fn label(label: LabelColumn) -> Wanted {
        Wanted { label: Some(label), ..Wanted::default() }
    }

    fn number(number: i64) -> LabelColumn {
        LabelColumn::At(Column::Number(number))
    }

    #[test]
    fn fields_that_are_empty_or_say_so_are_missing() {
        let bits = Split::new(3, 3, vec![0, 0, 1, 1, 1, 0, 0, 0, 0]);
        let bits = bits.with_mask(Some(vec![1, 0, 1, 1, 1, 1, 1, 0, 0]));
        for text in
            ["0,,1\n1,1,0\n0,NA,nan\n", "a,b,c\n0, ,1\n1,1,0\n0,\"\",na\n", "0,NaN,1\n1,1,0\n0,-nan,\n"]
        {
            assert_eq!(read_text(text, &Wanted::default()).unwrap(), bits, "{text:?}");
        }
        let grey = Split::grey(2, 2, vec![200, 255, 0, 0]).with_mask(Some(vec![1, 1, 0, 1]));
        assert_eq!(read_text("200,255\n,0\n", &Wanted::default()).unwrap(), grey);
        let real = Split::real(2, 2, vec![0.0, 1.0, 0.5, 0.0]).with_mask(Some(vec![0, 1, 1, 0]));
        assert_eq!(read_text("NA,1\n0.5,\n", &Wanted::default()).unwrap(), real);
        for (text, part) in
            [("label,a\n,1\n", "found `` where an integer label"), ("NA,NA\n", "every value is missing")]
        {
            let error = read_text(text, &Wanted::default()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn targets_are_finite_numbers_of_any_size_beside_labels() {
        let wanted = |targets: &[i64]| Wanted {
            targets: targets.iter().map(|i| Column::Number(*i)).collect(),
            ..Wanted::default()
        };
        let rows = Split::new(2, 2, vec![0, 1, 1, 1]).with_labels(Some(vec![7, 3]));
        let rows = rows.with_targets(Some(Targets::new(2, vec![-1e3, 0.25, 36.6, 2.0])));
        let text = "age,a,label,b,t\n0.25,0,7,1,-1e3\n2,1,3,1,36.6\n";
        assert_eq!(read_text(text, &wanted(&[-1, 0])).unwrap(), rows);
        for (field, targets, part) in [
            ("nan", &[1], "line 1, column 2: found `nan` where a finite number as a target"),
            ("inf", &[1], "found `inf`"),
            ("", &[1], "found `` where a finite number"),
            ("1e39", &[1], "found `1e39`"),
            ("0", &[2], "no column #target=2 among 2"),
        ] {
            let error = read_text(&format!("0,{field}\n"), &wanted(targets)).unwrap_err();
            assert!(error.contains(part), "{field}: {error}");
        }
        let error = read_text("0,1\n0\n", &wanted(&[0])).unwrap_err();
        assert!(error.contains("line 2: found 1 values, but the rows before it have 2"), "{error}");
        let error = read_text("0,1\n", &wanted(&[0, 1])).unwrap_err();
        assert!(error.contains("it holds labels or targets but no values"), "{error}");
        // Columns are counted in the file, whatever comes before them.
        let error = read_text("0.5,3,0,255\n7.5,2,9,200\n", &wanted(&[0])).unwrap_err();
        assert!(error.contains("column 2 looks like labels: add #label=1"), "{error}");
    }

    #[test]
    fn grey_bytes_are_read_as_from_any_other_format() {
        let grey = Split::grey(2, 3, vec![0, 255, 128, 200, 0, 1]);
        let labelled = grey.clone().with_labels(Some(vec![3, 7]));
        let plain = Wanted::default();
        let (first, last) = (label(number(0)), label(number(-1)));
        for (text, wanted, split) in [
            ("a,b,c\n0,255,128\n200,0,1\n", &plain, &grey),
            ("0,255,128\r\n200,0,1\r\n", &plain, &grey),
            ("0,255.0,128\n2e2,0,1.0\n", &plain, &grey),
            ("label,a,b,c\n3,0,255,128\n7,200,0,1\n", &plain, &labelled),
            ("label,a,b,c\n3.0,0,255,128\n7.0,200,0,1\n", &plain, &labelled),
            ("3,0,255,128\n7,200,0,1\n", &first, &labelled),
            ("0,255,128,3\n200,0,1,7\n", &last, &labelled),
            ("label,0,1,2\n3,0,255,128\n7,200,0,1\n", &plain, &labelled),
        ] {
            assert_eq!(read_text(text, wanted).unwrap(), *split, "{text}");
        }
        // Zeros and ones alone are bits, unless the user says that they are bytes.
        let bits = "label,a,b\n3,0,1\n7,1,1\n";
        assert_eq!(
            read_text(bits, &plain).unwrap(),
            Split::new(2, 2, vec![0, 1, 1, 1]).with_labels(Some(vec![3, 7]))
        );
        let bytes = Wanted { bytes: true, ..Wanted::default() };
        assert_eq!(read_text("0,1\n1,1\n", &bytes).unwrap(), Split::grey(2, 2, vec![0, 1, 1, 1]));
        assert_eq!(read_text("0,16\n7,1\n", &bytes).unwrap(), Split::grey(2, 2, vec![0, 16, 7, 1]));
    }

    #[test]
    fn integers_that_may_be_something_else_are_refused_with_what_to_say() {
        let plain = Wanted::default();
        for (text, parts) in [
            (
                "3,0,255,51\n7,1,0,128\n",
                ["line 1, column 1: found `3`", "column 1 looks like labels", "#label=0"],
            ),
            (
                "0,255,51,3\n200,0,128,7\n",
                ["column 2: found `255`", "column 4 looks like labels", "#label=3"],
            ),
            (
                ",a,b\n0,0,255\n1,255,0\n2,9,255\n",
                ["line 2, column 3", "column 1 numbers the rows", "index=False"],
            ),
            ("x,y\n0,0\n1,2\n", ["line 3, column 2: found `2`", "column 2 looks like labels", "#label=1"]),
            (
                "0,0,1\n1,1,0\n2,1,1\n",
                ["line 3, column 1: found `2`", "column 1 numbers the rows", "index=False"],
            ),
            ("0,16,3\n9,1,7\n", ["line 1, column 2: found `16`", "no number is above 16", "#bytes"]),
        ] {
            let error = read_text(text, &plain).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{error}");
            }
        }
        // If the user has said it, the file is not refused.
        assert!(read_text("3,0,255,51\n7,1,0,128\n", &label(LabelColumn::Nowhere)).is_ok());
    }

    #[test]
    fn bytes_and_fractions_do_not_stand_in_one_file() {
        let plain = Wanted::default();
        for (text, part) in [
            ("0,255\n0.5,1\n", "line 2, column 1: found `0.5` where an integer from 0 to 255"),
            ("0.5,0\n255,1\n", "line 2, column 1: found `255` where a number in [0, 1]"),
            ("0,256\n", "line 1, column 2: found `256` where a number in [0, 1]"),
            ("0,255\n0,256\n", "line 2, column 2: found `256` where an integer from 0 to 255"),
            ("0,-1\n", "found `-1` where a number in [0, 1]"),
            ("label,a\n3.5,1\n", "found `3.5` where an integer label"),
            ("label,a\nNA,1\n", "found `NA` where an integer label"),
        ] {
            let error = read_text(text, &plain).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
