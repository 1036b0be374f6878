//! The values of a split: bits, grey bytes or real numbers.

use std::fmt;

use sha2::Digest;

/// Values of one kind, row-major.
#[derive(Clone, PartialEq)]
pub enum Values {
    /// One byte each, 0 or 1.
    Binary(Vec<u8>),
    /// One byte each; v stands for the intensity v / 255.
    Grey(Vec<u8>),
    /// Intensities in [0, 1].
    Real(Vec<f32>),
}

/// The kind of values in a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum ValueKind {
    /// 0 or 1.
    Binary,
    /// Bytes that stand for v / 255.
    Grey,
    /// Real numbers in [0, 1].
    Real,
}

/// The intensity that a grey byte stands for.
pub(crate) fn intensity(byte: u8) -> f32 {
    f32::from(byte) / 255.0
}

/// The rows with the given numbers, each `width` values wide.
pub(crate) fn gather<T: Copy>(values: &[T], width: usize, rows: &[usize]) -> Vec<T> {
    rows.iter().flat_map(|i| &values[i * width..][..width]).copied().collect()
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Values::Binary(values) | Values::Grey(values) => values.len(),
            Values::Real(values) => values.len(),
        }
    }

    /// True if there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their kind.
    pub fn kind(&self) -> ValueKind {
        match self {
            Values::Binary(_) => ValueKind::Binary,
            Values::Grey(_) => ValueKind::Grey,
            Values::Real(_) => ValueKind::Real,
        }
    }

    /// The bytes of binary or grey values; `None` for real values.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Values::Binary(values) | Values::Grey(values) => Some(values),
            Values::Real(_) => None,
        }
    }

    /// Bytes that the values take in memory.
    pub(crate) fn bytes_in_memory(&self) -> usize {
        match self {
            Values::Binary(values) | Values::Grey(values) => values.len(),
            Values::Real(values) => size_of_val(&values[..]),
        }
    }

    /// `n` values from `start` on, as numbers in [0, 1].
    pub(crate) fn numbers(&self, start: usize, n: usize) -> Vec<f32> {
        match self {
            Values::Binary(values) => values[start..][..n].iter().map(|value| f32::from(*value)).collect(),
            Values::Grey(values) => values[start..][..n].iter().map(|value| intensity(*value)).collect(),
            Values::Real(values) => values[start..][..n].to_vec(),
        }
    }

    /// Sets the values to 0 where the mask is 0.
    pub(crate) fn clear(&mut self, mask: &[u8]) {
        match self {
            Values::Binary(values) | Values::Grey(values) => {
                values.iter_mut().zip(mask).for_each(|(value, observed)| *value *= observed);
            }
            Values::Real(values) => {
                values.iter_mut().zip(mask).for_each(|(value, observed)| *value *= f32::from(*observed));
            }
        }
    }

    /// The rows with the given numbers, each `width` values wide.
    pub(crate) fn select(&self, width: usize, rows: &[usize]) -> Values {
        match self {
            Values::Binary(values) => Values::Binary(gather(values, width, rows)),
            Values::Grey(values) => Values::Grey(gather(values, width, rows)),
            Values::Real(values) => Values::Real(gather(values, width, rows)),
        }
    }

    /// The sum of each column, as numbers in [0, 1]; bytes are summed as integers, without rounding.
    pub(crate) fn column_sums(&self, width: usize) -> Vec<f64> {
        let of_bytes = |values: &[u8], scale: f64| -> Vec<f64> {
            let mut sums = vec![0u64; width];
            for row in values.chunks_exact(width.max(1)) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += u64::from(*value));
            }
            sums.into_iter().map(|sum| sum as f64 / scale).collect()
        };
        match self {
            Values::Binary(values) => of_bytes(values, 1.0),
            Values::Grey(values) => of_bytes(values, 255.0),
            Values::Real(values) => {
                let mut sums = vec![0.0; width];
                for row in values.chunks_exact(width.max(1)) {
                    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
                }
                sums
            }
        }
    }

    /// The least and the greatest value, as numbers in [0, 1]; `None` if there are no values.
    pub fn range(&self) -> Option<[f32; 2]> {
        let of_bytes = |values: &[u8]| Some([*values.iter().min()?, *values.iter().max()?]);
        match self {
            Values::Binary(values) => of_bytes(values).map(|range| range.map(f32::from)),
            Values::Grey(values) => of_bytes(values).map(|range| range.map(intensity)),
            Values::Real(values) => {
                let first = *values.first()?;
                Some(values.iter().fold([first; 2], |[low, high], value| [low.min(*value), high.max(*value)]))
            }
        }
    }

    /// Adds the values to a hash: one byte each, or the four little-endian bytes of each real number.
    pub(crate) fn hash(&self, sha: &mut sha2::Sha256) {
        match self {
            Values::Binary(values) | Values::Grey(values) => sha.update(values),
            Values::Real(values) => {
                for part in values.chunks(4096) {
                    sha.update(part.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
                }
            }
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} values", self.len(), self.kind())
    }
}
