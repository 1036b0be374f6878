//! Finds the axis of an array that the examples lie along, and the axes that form an image.
//!
//! NumPy users stack images along the first axis and MATLAB users along the last. Two axes are `[rows, values]` unless
//! the user says otherwise. Three axes are read as `[rows, height, width]`, with a note if another reading is possible;
//! they are refused if the other reading is more likely. Among four axes one must be a single channel, which is
//! dropped.

use crate::formats::wanted::RowAxis;
use crate::shape::ImageShape;

/// The axis that varies fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AxisOrder {
    /// The last: C.
    RowMajor,
    /// The first: Fortran and MATLAB.
    ColumnMajor,
}

/// How an array's axes are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The axis of the rows.
    pub(crate) rows: usize,
    /// The axes of height and width, or one axis of values.
    pub(crate) image: [Option<usize>; 2],
    /// How a row is laid out.
    pub(crate) shape: ImageShape,
    /// A note on the reading, if the axes could have been read otherwise.
    pub(crate) doubt: Option<String>,
}

/// The layout of an array with these axes, stored in that order; `rows` is the user's choice.
pub(crate) fn layout(axes: &[usize], order: AxisOrder, rows: Option<RowAxis>) -> Result<Layout, String> {
    match (axes, rows) {
        (&[_, width], None | Some(RowAxis::First)) => Ok(values(0, 1, width)),
        (&[width, _], Some(RowAxis::Last)) => Ok(values(1, 0, width)),
        (&[first, height, width], None) => {
            // Square images, as in MNIST, or a single image: the other reading is unlikely.
            if first == 1 || height == width && first != height {
                return images(axes, 0, [1, 2]);
            }
            let both = format!(
                "an array of shape {axes:?} is {first} rows of {height} x {width} if they lie along the first axis, \
                 and {width} rows of {first} x {height} if along the last"
            );
            let square_stack = first == height && height != width;
            if square_stack || order == AxisOrder::ColumnMajor && width > first {
                return Err(format!("{both}; add #rows=first or #rows=last to the path"));
            }
            let doubt = Some(format!(
                "{both}: it was read along the first axis; add #rows=last to the path for the last"
            ));
            Ok(Layout { doubt, ..images(axes, 0, [1, 2])? })
        }
        (&[_, _, _], Some(RowAxis::First)) => images(axes, 0, [1, 2]),
        (&[_, _, _], Some(RowAxis::Last)) => images(axes, 2, [0, 1]),
        // One channel, before or after height and width.
        (&[_, 1, _, _], None | Some(RowAxis::First)) => images(axes, 0, [2, 3]),
        (&[_, _, _, 1], None | Some(RowAxis::First)) => images(axes, 0, [1, 2]),
        (&[_, _, 1, _], Some(RowAxis::Last)) => images(axes, 3, [0, 1]),
        (&[1, _, _, _], Some(RowAxis::Last)) => images(axes, 3, [1, 2]),
        (&[_, _, 1, _] | &[1, _, _, _], None) => Err(format!(
            "an array of shape {axes:?} where [rows, height, width] is expected; if the rows lie along the last axis, \
             add #rows=last to the path"
        )),
        (&[_, _, _, _], _) => Err(format!(
            "an array of shape {axes:?} where [rows, height, width] is expected, with one channel at most; take one \
             channel, or the mean of the colours"
        )),
        (_, Some(RowAxis::Last)) => Err(format!(
            "an array of shape {axes:?} has no transpose; it needs two axes, [width, rows], or three, \
             [height, width, rows]"
        )),
        _ => Err(format!(
            "an array of shape {axes:?} where [rows, width] or [rows, height, width] is expected; reshape it to one \
             of these"
        )),
    }
}

fn values(rows: usize, axis: usize, width: usize) -> Layout {
    Layout { rows, image: [None, Some(axis)], shape: ImageShape::of_width(width), doubt: None }
}

fn images(axes: &[usize], rows: usize, [y, x]: [usize; 2]) -> Result<Layout, String> {
    let shape = ImageShape { height: axes[y], width: axes[x] };
    // From here on the product of height and width is computed without a check.
    shape.height.checked_mul(shape.width).ok_or("its rows are too wide; check that it is data")?;
    Ok(Layout { rows, image: [Some(y), Some(x)], shape, doubt: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_along_the_axis_that_is_named() {
        let shape = |height, width| ImageShape { height, width };
        for (axes, rows, of, image) in [
            (vec![30, 12], None, 0, shape(1, 12)),
            (vec![12, 30], Some(RowAxis::Last), 1, shape(1, 12)),
            (vec![30, 4, 4], None, 0, shape(4, 4)),
            (vec![1, 4, 3], None, 0, shape(4, 3)),
            (vec![2, 4, 4], None, 0, shape(4, 4)),
            (vec![3, 4, 30], Some(RowAxis::First), 0, shape(4, 30)),
            (vec![3, 4, 30], Some(RowAxis::Last), 2, shape(3, 4)),
            (vec![30, 1, 3, 4], None, 0, shape(3, 4)),
            (vec![30, 3, 4, 1], None, 0, shape(3, 4)),
            (vec![3, 4, 1, 30], Some(RowAxis::Last), 3, shape(3, 4)),
            (vec![1, 3, 4, 30], Some(RowAxis::Last), 3, shape(3, 4)),
        ] {
            for order in [AxisOrder::RowMajor, AxisOrder::ColumnMajor] {
                let found = layout(&axes, order, rows).unwrap();
                assert_eq!((found.rows, found.shape, found.doubt), (of, image, None), "{axes:?}");
            }
        }
    }

    #[test]
    fn a_stack_that_could_be_read_along_either_axis_is_refused_or_told() {
        for (axes, order, is_refused) in [
            ([3, 4, 30], AxisOrder::ColumnMajor, true),
            ([10, 28, 20], AxisOrder::ColumnMajor, true),
            ([28, 28, 1000], AxisOrder::ColumnMajor, true),
            ([28, 28, 1000], AxisOrder::RowMajor, true),
            ([28, 28, 20], AxisOrder::ColumnMajor, true),
            ([10, 28, 20], AxisOrder::RowMajor, false),
            ([28, 28, 28], AxisOrder::ColumnMajor, false),
            ([1965, 28, 20], AxisOrder::ColumnMajor, false),
        ] {
            let [a, b, c] = axes;
            let both =
                format!("{a} rows of {b} x {c} if they lie along the first axis, and {c} rows of {a} x {b}");
            let said = match layout(&axes, order, None) {
                Ok(found) => {
                    assert!(!is_refused && found.rows == 0, "{axes:?}");
                    found.doubt.unwrap()
                }
                Err(error) => {
                    assert!(
                        is_refused && error.contains("add #rows=first or #rows=last"),
                        "{axes:?}: {error}"
                    );
                    error
                }
            };
            assert!(said.contains(&both) && said.contains("#rows=last"), "{said}");
        }
    }

    #[test]
    fn other_shapes_are_refused_with_what_to_do() {
        for (axes, rows, part) in [
            (vec![6], None, "an array of shape [6] where"),
            (vec![], None, "an array of shape []"),
            (vec![1, 2, 3, 4, 5], None, "reshape it"),
            (vec![10, 3, 32, 32], None, "take one channel, or the mean of the colours"),
            (vec![32, 32, 3, 10], Some(RowAxis::Last), "take one channel"),
            (vec![28, 28, 1, 1000], None, "add #rows=last"),
            (vec![6], Some(RowAxis::Last), "has no transpose"),
            (vec![1, usize::MAX, 2], Some(RowAxis::First), "too wide"),
        ] {
            let error = layout(&axes, AxisOrder::RowMajor, rows).unwrap_err();
            assert!(error.contains(part), "{axes:?}: {error}");
        }
    }
}
