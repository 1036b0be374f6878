//! Labels and targets in separate arrays of the same file as the rows.

use crate::formats::array::{Array, pick};
use crate::formats::axes::AxisOrder;
use crate::formats::room;
use crate::formats::wanted::{Column, LabelColumn, RowAxis, Wanted};
use crate::targets::Targets;

/// The places of the requested arrays in a file that holds several.
pub(crate) struct Chosen {
    pub(crate) rows: usize,
    pub(crate) label: Option<usize>,
    pub(crate) target: Option<usize>,
}

impl Chosen {
    /// Finds the requested arrays among arrays with these names. If the array of rows is not named, it must be the
    /// only other one.
    pub(crate) fn of(names: &[&str], wanted: &Wanted) -> Result<Self, String> {
        let target = match wanted.targets.as_slice() {
            [] => None,
            [target] => Some(place(names, target, "target")?),
            [_, _, ..] => {
                return Err("there are several #target=; give one array of [rows, targets]".to_owned());
            }
        };
        let label = match &wanted.label {
            None | Some(LabelColumn::Nowhere) => None,
            Some(LabelColumn::At(label)) => Some(place(names, label, "label")?),
        };
        let others: Vec<usize> = (0..names.len()).filter(|i| ![label, target].contains(&Some(*i))).collect();
        let rows = match &wanted.array {
            Some(name) => pick(names, Some(name))?,
            None if others.is_empty() && !names.is_empty() => {
                return Err(
                    "it holds labels or targets and no array of rows; save one of shape [rows, width]"
                        .to_owned(),
                );
            }
            None => {
                let free: Vec<&str> = others.iter().map(|i| names[*i]).collect();
                others[pick(&free, None)?]
            }
        };
        let twice = |one: &str, other: &str, place: usize| {
            Err(format!(
                "the array `{}` cannot hold both the {one} and the {other}; correct the path",
                names[place]
            ))
        };
        match (label, target) {
            (Some(label), _) if label == rows => twice("rows", "labels", rows),
            (_, Some(target)) if target == rows => twice("rows", "targets", rows),
            (Some(label), Some(target)) if label == target => twice("labels", "targets", label),
            _ => Ok(Chosen { rows, label, target }),
        }
    }
}

/// The place of a named array.
fn place(names: &[&str], column: &Column, piece: &str) -> Result<usize, String> {
    let wanted = match column {
        Column::Named(name) => name.clone(),
        Column::Number(number) => number.to_string(),
    };
    names.iter().position(|name| *name == wanted).ok_or_else(|| {
        let there = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match there.is_empty() {
            true => "there is no array of numbers in it; save one of shape [rows, width]".to_owned(),
            false => {
                format!(
                    "there is no array `{wanted}` in it; it holds {there}: name one of these as in #{piece}=NAME"
                )
            }
        }
    })
}

/// Whether an array is a list of `n` numbers, as a row, a column or a plain vector.
fn is_list(axes: &[usize], n: usize) -> bool {
    let long: Vec<usize> = axes.iter().copied().filter(|axis| *axis != 1).collect();
    !axes.is_empty() && if n == 1 { long.is_empty() } else { long == [n] }
}

/// The label of each row.
pub(crate) fn labels_of(array: &Array<'_>, rows: usize, name: &str) -> Result<Vec<i32>, String> {
    if !is_list(&array.axes, rows) {
        return Err(format!(
            "the labels `{name}` have the shape {:?}, but there are {rows} rows with one label each; give the \
             shape [{rows}]",
            array.axes
        ));
    }
    let numbers = array.numbers()?.into_iter().enumerate();
    let label = |(row, number): (usize, f64)| {
        let label = number as i32;
        (f64::from(label) == number).then_some(label).ok_or_else(|| {
            format!(
                "the labels `{name}`, row {}: found {number:?} where an integer is expected; correct it",
                row + 1
            )
        })
    };
    numbers.map(label).collect()
}

/// The targets of each row, which lie along the same axis as the rows.
pub(crate) fn targets_of(
    array: &Array<'_>,
    rows: usize,
    axis: Option<RowAxis>,
    name: &str,
) -> Result<Targets, String> {
    let of_row = match axis {
        Some(RowAxis::Last) => 1,
        None | Some(RowAxis::First) => 0,
    };
    // Number of targets per row, and the strides from row to row and from target to target.
    let (width, [by_row, by_target]) = match array.axes[..] {
        _ if is_list(&array.axes, rows) => (1, [1, 0]),
        [first, last] if [first, last][of_row] == rows && [first, last][1 - of_row] > 0 => {
            let width = [first, last][1 - of_row];
            let is_row_major = (array.order == AxisOrder::RowMajor) == (of_row == 0);
            (width, if is_row_major { [width, 1] } else { [1, rows] })
        }
        _ => {
            let wanted = if of_row == 0 { format!("[{rows}, n]") } else { format!("[n, {rows}]") };
            return Err(format!(
                "the targets `{name}` have the shape {:?}, but there are {rows} rows with n targets each; give the \
                 shape [{rows}] or {wanted}",
                array.axes
            ));
        }
    };
    let numbers = array.numbers()?;
    let mut values: Vec<f32> = room::with_room(numbers.len())?;
    for i in 0..numbers.len() {
        let (row, target) = (i / width, i % width);
        let number = numbers[row * by_row + target * by_target];
        if !(number as f32).is_finite() {
            return Err(format!(
                "the targets `{name}`, row {}: found {number:?} where a finite number is expected; correct it, or \
                 leave the row out",
                row + 1
            ));
        }
        values.push(number as f32);
    }
    Ok(Targets::new(width, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::array::Number;

    fn array<'a>(axes: &[usize], order: AxisOrder, data: &'a [[u8; 8]]) -> Array<'a> {
        let number = Number::Float { bytes: 8 };
        Array {
            axes: axes.to_vec(),
            order,
            number,
            big_endian: false,
            integers: false,
            data: data.as_flattened(),
        }
    }

    #[test]
    fn targets_lie_along_the_axis_of_the_rows_in_either_order() {
        let (c, f) = ([1.5, 2.0, -3.0, 4.0, 5.0, 6.0], [1.5, 4.0, 2.0, 5.0, -3.0, 6.0]);
        let [c, f] = [c, f].map(|numbers: [f64; 6]| numbers.map(f64::to_le_bytes));
        let targets = Targets::new(3, vec![1.5, 2.0, -3.0, 4.0, 5.0, 6.0]);
        let last = Some(RowAxis::Last);
        for (axes, order, axis, data) in [
            ([2, 3], AxisOrder::RowMajor, None, &c),
            ([2, 3], AxisOrder::ColumnMajor, Some(RowAxis::First), &f),
            ([3, 2], AxisOrder::RowMajor, last, &f),
            ([3, 2], AxisOrder::ColumnMajor, last, &c),
        ] {
            assert_eq!(
                targets_of(&array(&axes, order, data), 2, axis, "y").unwrap(),
                targets,
                "{axes:?} {order:?}"
            );
        }
        for axes in [vec![6], vec![6, 1], vec![1, 6]] {
            let list = targets_of(&array(&axes, AxisOrder::ColumnMajor, &c), 6, None, "y").unwrap();
            assert_eq!((list.width(), list.values()), (1, [1.5, 2.0, -3.0, 4.0, 5.0, 6.0].as_slice()));
        }
        let one = targets_of(&array(&[1, 6], AxisOrder::RowMajor, &c), 1, None, "y").unwrap();
        assert_eq!((one.width(), one.rows()), (6, 1));
    }

    #[test]
    fn labels_and_targets_of_another_length_or_without_numbers_are_refused() {
        let data = [1.0, f64::NAN, 1e300].map(f64::to_le_bytes);
        let list = |n: usize| array(&[n], AxisOrder::RowMajor, &data[..n]);
        for (error, part) in [
            (
                labels_of(&list(3), 4, "y").unwrap_err(),
                "the labels `y` have the shape [3], but there are 4 rows with one label each",
            ),
            (labels_of(&list(2), 2, "y").unwrap_err(), "the labels `y`, row 2: found NaN where an integer"),
            (
                targets_of(&list(3), 4, None, "t").unwrap_err(),
                "the targets `t` have the shape [3], but there are 4 rows with n targets each",
            ),
            (targets_of(&list(2), 2, None, "t").unwrap_err(), "row 2: found NaN where a finite number"),
            (
                targets_of(&array(&[1], AxisOrder::RowMajor, &data[2..]), 1, None, "t").unwrap_err(),
                "row 1: found 1e",
            ),
            (labels_of(&array(&[], AxisOrder::RowMajor, &data[..1]), 1, "y").unwrap_err(), "the shape []"),
            (
                targets_of(&array(&[2, 0], AxisOrder::RowMajor, &[]), 2, None, "t").unwrap_err(),
                "the shape [2, 0]",
            ),
        ] {
            assert!(error.contains(part), "{error}");
        }
        let damaged = array(&[2, usize::MAX], AxisOrder::RowMajor, &data);
        assert!(targets_of(&damaged, 2, None, "t").unwrap_err().contains("does not fit the 24 bytes"));
    }

    #[test]
    fn each_array_has_one_part_and_the_rest_is_that_of_the_rows() {
        let wanted = |array: Option<&str>, label: Option<&str>, target: Option<&str>| Wanted {
            array: array.map(str::to_owned),
            label: label.map(|name| LabelColumn::At(Column::Named(name.to_owned()))),
            targets: target.map(|name| Column::Named(name.to_owned())).into_iter().collect(),
            ..Wanted::default()
        };
        let names = ["y", "x", "t"];
        let chosen = Chosen::of(&names, &wanted(None, Some("y"), Some("t"))).unwrap();
        assert_eq!((chosen.rows, chosen.label, chosen.target), (1, Some(0), Some(2)));
        for (wanted, part) in [
            (wanted(None, Some("y"), None), "it holds the arrays `x`, `t`; name one of them"),
            (
                wanted(Some("x"), Some("z"), None),
                "no array `z` in it; it holds `y`, `x`, `t`: name one of these as in #label=",
            ),
            (wanted(Some("x"), None, Some("z")), "as in #target=NAME"),
            (wanted(Some("x"), Some("x"), None), "`x` cannot hold both the rows and the labels"),
            (wanted(Some("x"), None, Some("x")), "`x` cannot hold both the rows and the targets"),
            (wanted(None, Some("y"), Some("y")), "it holds the arrays `x`, `t`"),
            (wanted(Some("x"), Some("y"), Some("y")), "`y` cannot hold both the labels and the targets"),
        ] {
            let error = Chosen::of(&names, &wanted).err().unwrap();
            assert!(error.contains(part), "{error}");
        }
        let error = Chosen::of(&["y"], &wanted(None, Some("y"), None)).err().unwrap();
        assert!(error.contains("no array of rows"), "{error}");
    }
}
