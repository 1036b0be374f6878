//! The numbers of the file of a part, column by column.

use helmholtz_eval::halves::GAINS;
use helmholtz_eval::{AnnealedRow, Halves, RowEstimate};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// The numbers of a row's weights, in the order of `RowWeights::parts`: once for the weights and once for their
/// square roots.
pub(super) const WEIGHTS: [&str; 6] = ["n", "max", "sum", "sum_of_squares", "mean_log", "squares_log"];
pub(super) const OF_WEIGHTS: [&str; 2] = ["weights", "roots"];
/// The numbers of an annealed row, in the order of `numbers_of`.
pub(super) const ROW: [&str; 7] =
    ["log_prob", "samples", "ess", "max_weight", "variance", "bias", "acceptance"];
/// What halves of the chains of annealed rows say, row after row, NaN where there are too few.
pub(super) const HALVES: &str = "rows.halves";

/// The numbers of a file.
pub(super) struct Numbers<'a> {
    pub(super) file: SafeTensors<'a>,
    pub(super) is_old: bool,
}

impl Numbers<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, String> {
        let view = self.file.tensor(name).map_err(|error| error.to_string())?;
        if view.dtype() != Dtype::F64 || view.shape() != shape {
            let found = (view.dtype(), view.shape());
            return Err(format!("{name} is {found:?}, but should be F64 {shape:?}"));
        }
        let (numbers, _) = view.data().as_chunks::<8>();
        Ok(numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
    }

    pub(super) fn column(&self, name: &str, n: usize) -> Result<Vec<f64>, String> {
        self.tensor(name, &[n])
    }

    /// `N` numbers of each of `n` rows; `None` if an earlier version wrote the file without them.
    pub(super) fn chunks<const N: usize>(
        &self,
        name: &str,
        n: usize,
    ) -> Result<Option<Vec<[f64; N]>>, String> {
        if !self.file.names().contains(&name) {
            return Ok(None);
        }
        let values = self.column(name, n * N)?;
        let (chunks, _) = values.as_chunks::<N>();
        Ok(Some(chunks.to_vec()))
    }

    /// The estimates of `n` annealed rows.
    pub(super) fn annealed(&self, n: usize) -> Result<Vec<AnnealedRow>, String> {
        let mut rows: Vec<AnnealedRow> = self.table("rows", ROW, n, [0, 7])?.iter().map(annealed).collect();
        for (row, halves) in rows.iter_mut().zip(self.chunks(HALVES, n)?.unwrap_or_default()) {
            let [first @ .., variance]: [f64; GAINS + 1] = halves;
            row.estimate.halves = (!variance.is_nan()).then_some(Halves { gains: first, variance });
        }
        Ok(rows)
    }

    /// The numbers of `n` rows: from one tensor per name or, in older files, from the columns of one tensor of `width`
    /// columns, starting at `first`.
    pub(super) fn table<const N: usize>(
        &self,
        of: &str,
        names: [&str; N],
        n: usize,
        [first, width]: [usize; 2],
    ) -> Result<Vec<[f64; N]>, String> {
        let mut rows = vec![[0.0; N]; n];
        if self.is_old {
            let of = if of == OF_WEIGHTS[1] { OF_WEIGHTS[0] } else { of };
            let values = self.tensor(of, &[n, width])?;
            for (row, values) in rows.iter_mut().zip(values.chunks(width)) {
                row.copy_from_slice(&values[first..first + N]);
            }
            return Ok(rows);
        }
        for (i, name) in names.into_iter().enumerate() {
            for (row, value) in rows.iter_mut().zip(self.column(&format!("{of}.{name}"), n)?) {
                row[i] = value;
            }
        }
        Ok(rows)
    }
}

fn annealed(&[log_prob, samples, ess, max_weight, variance, bias, acceptance]: &[f64; 7]) -> AnnealedRow {
    AnnealedRow {
        estimate: RowEstimate {
            log_prob,
            samples: samples as usize,
            ess,
            max_weight,
            variance,
            bias,
            halves: None,
        },
        acceptance: (!acceptance.is_nan()).then_some(acceptance),
    }
}
