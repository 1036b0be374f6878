//! `helmholtz filters`: what each hidden unit next to the data looks at.
//!
//! The filter of hidden unit j of a restricted Boltzmann machine is column j of W, one connection for each value of a
//! row. A sheet shows every filter on a scale of its own, with `g = ½ + w / (2 maxᵢ |wᵢ|)` as the grey value, so that
//! 0 is grey and signs can be told apart. Filters whose norms differ by orders of magnitude look alike on such a sheet;
//! `--json` has the norms and the scales.

use std::process::ExitCode;

use burn::tensor::Tensor;
use serde_json::json;
use strum::VariantNames;

use super::trained::Trained;
use super::{encode, sample};
use crate::args::{FiltersArgs, UnitOrder};
use crate::config::count;
use crate::console::say;
use crate::error::{OrUser, known, user};
use crate::memory_limit::{self, Limit};

/// Writes a sheet with the filters of the hidden units.
///
/// # Errors
/// If the model has no filters, or the file cannot be written.
pub fn run(args: &FiltersArgs) -> anyhow::Result<ExitCode> {
    let units = args.units.map(|n| count("--units", n)).transpose()?;
    if units == Some(0) {
        return Err(user("--units 0: must be at least 1"));
    }
    let order = args.order.parse::<UnitOrder>().map_err(|_| {
        user(format!("--order {}: unknown; {}", args.order, known(&args.order, UnitOrder::VARIANTS)))
    })?;
    let named = encode::named(args.out.as_ref(), "png")?;
    let trained = Trained::without_data(&args.model)?;
    trained.say_epoch();
    let out = encode::out(named, &trained, "filters.png");
    let shape = trained.data.shape();
    let scale = sample::scale(args.scale, &out, shape)?;
    let mut filters = filters(trained.model.filters().or_user()?)?;
    if order == UnitOrder::Norm {
        filters.sort_by(|a, b| b.norm().total_cmp(&a.norm()));
    }
    filters.truncate(units.unwrap_or(usize::MAX));
    if let Some(scale) = scale {
        memory_limit::of_sheet(shape, filters.len(), scale).check(Limit::of_processor())?;
    }
    let greys: Vec<f32> = filters.iter().flat_map(Filter::greys).collect();
    sample::write(&out, shape, shape.pixels(), &greys, scale)?;
    if args.json {
        let units: Vec<_> = filters
            .iter()
            .map(|filter| json!({"unit": filter.unit, "norm": filter.norm(), "largest": filter.largest()}))
            .collect();
        say!("{}", json!({"file": out.path().display().to_string(), "order": order.word(), "units": units}));
    } else {
        say!("{}", out.path().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The filters of a model, `[units, d]`.
fn filters(of_units: Tensor<2>) -> anyhow::Result<Vec<Filter>> {
    let width = of_units.dims()[1];
    let values = sample::read(of_units)?;
    Ok(values
        .chunks(width)
        .enumerate()
        .map(|(unit, weights)| Filter { unit, weights: weights.to_vec() })
        .collect())
}

/// The connections of a hidden unit.
struct Filter {
    /// The index of the unit, from 0.
    unit: usize,
    /// One for each value of a row.
    weights: Vec<f32>,
}

impl Filter {
    /// The Euclidean norm.
    fn norm(&self) -> f64 {
        self.weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt()
    }

    /// The largest absolute value.
    fn largest(&self) -> f32 {
        self.weights.iter().fold(0.0, |largest, w| w.abs().max(largest))
    }

    /// Grey values in [0, 1]: one half for 0, and 0 or 1 for the largest absolute value.
    fn greys(&self) -> impl Iterator<Item = f32> {
        let largest = self.largest();
        // Without connections, all is grey.
        let scale = if largest > 0.0 { largest } else { 1.0 };
        self.weights.iter().map(move |w| 0.5 + 0.5 * (w / scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_grey_on_any_scale_and_the_largest_value_is_black_or_white() {
        let greys =
            |weights: &[f32]| Filter { unit: 0, weights: weights.to_vec() }.greys().collect::<Vec<_>>();
        assert_eq!(greys(&[0.0, -2.0, 1.0]), [0.5, 0.0, 0.75]);
        assert_eq!(greys(&[0.0, 4e-5, -1e-5]), [0.5, 1.0, 0.375]);
        assert_eq!(greys(&[0.0, 0.0]), [0.5, 0.5]);
        // The smallest and the largest numbers that there are.
        assert_eq!(greys(&[1e-45, -1e-45]), [1.0, 0.0]);
        assert_eq!(greys(&[f32::MAX, -f32::MAX]), [1.0, 0.0]);
    }
}
