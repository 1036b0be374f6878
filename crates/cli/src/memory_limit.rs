//! Estimates memory before it is allocated, so that a run that cannot fit ends with an error message, not an abort.
//!
//! An estimate counts only what is certainly held at the same time, so that no run that fits is refused. A run that
//! passes may still be too large. Values take 4 bytes each. With P weights, d_x observed units, Σd latent units in all
//! layers together, and K samples for each of B rows:
//!
//! | command | bytes at least |
//! | --- | --- |
//! | any that loads a model | 4 P |
//! | `train`, each strategy of a race | 4 P each for the weights, their gradient, every moment of the optimiser (adam 2, rmsprop 1, momentum 1 more) and an average of the weights; 4 d_x per row of the train and valid splits; 4 B K u for the proposals of a step |
//! | `evaluate` by importance sampling | 4 u per (row, sample) pair in flight: `--batch-rows` pairs, or those of 250 rows with all their samples if these are fewer |
//! | `evaluate --method ais` | 12 Σd for each of the C chains of every row in flight, one row per thread |
//! | `sample` | 4 (d_x + Σd) per sample, and the pixels of a contact sheet |
//! | `data show`, `filters` | the pixels of a contact sheet |
//! | `inpaint` | 4 d_x for each state shown of each picture |
//! | a court of `compare` | 8 B K u for the proposals of an estimate, which is computed in double precision |
//!
//! u is the number of values that a proposal keeps. The model reports it (`ModelSpec::values_of_proposal`): d_x + 3 Σd
//! for layers of bits, which keep traces of p and q for the gradient, and d_x + Σd for real-valued latents.
//!
//! The estimates are compared with [`Limit::of`]. On the processor it is the memory of the machine with its swap, or
//! less if the control group or `ulimit -v` allows less.

mod machine;

use burn::tensor::Device;
use helmholtz_datasets::{DataSet, ImageShape};
use helmholtz_zoo::ModelSpec;
use helmholtz_zoo::spec::of_layers;

use crate::config::Config;
use crate::error::user;
pub use machine::Limit;

/// Minimum bytes that something needs, listed by purpose.
#[derive(Clone, Debug, Default)]
pub struct Need(Vec<(String, u64)>);

impl Need {
    /// Adds `bytes` under `name`: the flag or key that asks for them, with its value.
    pub fn and(mut self, name: impl Into<String>, bytes: u64) -> Self {
        self.0.push((name.into(), bytes));
        self
    }

    /// The total number of bytes.
    pub fn bytes(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// Refuses a need above the limit.
    ///
    /// # Errors
    /// If it is above. The message gives the largest part, the sum and the limit.
    pub fn check(&self, limit: Limit) -> anyhow::Result<()> {
        let bytes = self.bytes();
        if bytes <= limit.bytes {
            return Ok(());
        }
        let (name, most) =
            self.0.iter().max_by_key(|(_, bytes)| *bytes).expect("a need above a limit is not empty");
        let (bytes, most) = (shown(bytes), shown(*most));
        let share = if most == bytes { String::new() } else { format!(" ({most} of it for this)") };
        Err(user(format!(
            "{name}: at least {bytes} of memory is needed{share}, but {} {}; use smaller values",
            limit.of,
            shown(limit.bytes)
        )))
    }
}

/// Bytes as text, in GiB or MiB.
fn shown(bytes: u64) -> String {
    const GIB: f64 = (1u64 << 30) as f64;
    match bytes as f64 / GIB {
        gib if gib >= 100.0 => format!("{gib:.0} GiB"),
        gib if gib >= 0.1 => format!("{gib:.1} GiB"),
        gib => format!("{:.1} MiB", gib * 1024.0),
    }
}

/// The bytes of as many values as the product of `factors`, 4 bytes each.
fn values(factors: &[u64]) -> u64 {
    factors.iter().fold(4, |product, &factor| product.saturating_mul(factor))
}

fn size(n: usize) -> u64 {
    n as u64
}

/// Refuses a model whose weights alone do not fit.
///
/// # Errors
/// If they do not. The message names the settings that ask for them.
pub fn check_model(config: &Config, width: usize, device: &Device) -> anyhow::Result<()> {
    let need =
        Need::default().and(config.spec.model.sizes_in_words(), values(&[config.spec.model.weights(width)]));
    need.check(Limit::of(device))
}

/// What a training run needs.
pub fn of_training(config: &Config, [train, valid]: [usize; 2], width: usize) -> Need {
    let (model, optimizer) = (&*config.spec.model, &config.optimizer);
    let moments = match optimizer.kind.as_str() {
        "adam" => 2,
        "rmsprop" => 1,
        _ => 0,
    };
    let more = [optimizer.momentum > 0.0, optimizer.average > 0.0].into_iter().filter(|given| *given).count();
    // The weights and their gradient.
    let copies = 2 + moments + size(more);
    let batch = config.train.batch.min(train);
    let samples = config.spec.samples().iter().copied().max().unwrap_or(1);
    let remembered = config.spec.strategy.values_remembered(model.weights(width));
    let of_samples = if config.spec.takes_samples() {
        format!("strategy.samples = {samples} (--samples), ")
    } else {
        String::new()
    };
    Need::default()
        .and(
            model.sizes_in_words(),
            values(&[model.weights(width), copies]).saturating_add(values(&[remembered])),
        )
        .and(format!("data.id = \"{}\"", config.data.id), values(&[size(train + valid), size(width)]))
        .and(
            format!(
                "{of_samples}train.batch = {} (--batch) and {}",
                config.train.batch,
                model.sizes_in_words()
            ),
            values(&[size(batch), size(samples), model.values_of_proposal(width)]),
        )
}

/// Refuses a training run that cannot fit.
///
/// # Errors
/// If it cannot. The message names what asks for the most.
pub fn check_training(config: &Config, data: &DataSet, device: &Device) -> anyhow::Result<()> {
    let rows = [data.train.rows(), data.valid.rows()];
    let need = of_training(config, rows, data.train.width());
    need.check(Limit::of(device))
}

/// What a court needs for its estimates, in addition to the training of its weights.
pub fn of_court(config: &Config, rows: usize, width: usize) -> Need {
    let samples = config.spec.strategy.samples();
    let bytes = values(&[2, size(rows), size(samples), config.spec.model.values_of_proposal(width)]);
    Need::default().and(format!("[[court]] samples = {samples} with rows = {rows}"), bytes)
}

/// What importance sampling of rows needs.
pub fn of_importance(model: &dyn ModelSpec, width: usize, rows: usize, samples: usize, chunk: usize) -> Need {
    let samples_at_once = samples.min(chunk).max(1);
    let rows_at_once = (chunk / samples_at_once).min(rows);
    let pairs = size(samples_at_once).saturating_mul(size(rows_at_once));
    Need::default().and(
        format!("--batch-rows {chunk} with --samples {samples}"),
        values(&[pairs, model.values_of_proposal(width)]),
    )
}

/// What annealed importance sampling needs for the rows in flight at one time.
pub fn of_annealing(model: &dyn ModelSpec, rows: usize, chains: usize) -> Need {
    // Position, momentum and gradient.
    Need::default()
        .and(format!("--chains {chains}"), values(&[size(rows), size(chains), 3, of_layers(model.layers())]))
}

/// What samples need, with or without a contact sheet.
///
/// `sheet` is the number of pixels per side of each value on it.
pub fn of_samples(
    model: &dyn ModelSpec,
    shape: ImageShape,
    width: usize,
    n: usize,
    sheet: Option<usize>,
) -> Need {
    let values = values(&[size(n), size(width).saturating_add(of_layers(model.layers()))]);
    let sheet = sheet.map_or(0, |scale| bytes_of_sheet(shape, n, scale));
    Need::default().and(format!("--n {n}"), values.saturating_add(sheet))
}

/// What the chains behind `n` samples need that run at the other of so many temperatures.
pub fn of_tempering(model: &dyn ModelSpec, width: usize, n: usize, temperatures: usize) -> Need {
    let others = size(n).saturating_mul(size(temperatures - 1));
    let bytes = values(&[others, size(width).saturating_add(of_layers(model.layers()))]);
    Need::default().and(format!("--temperatures {temperatures} with --n {n}"), bytes)
}

/// What a sheet of `n` pictures needs, with `scale` pixels per side of each value.
pub fn of_sheet(shape: ImageShape, n: usize, scale: usize) -> Need {
    Need::default().and(format!("{n} pictures at {scale} pixels per value"), bytes_of_sheet(shape, n, scale))
}

fn bytes_of_sheet(shape: ImageShape, n: usize, scale: usize) -> u64 {
    let side = |pixels: usize| size(pixels.saturating_mul(scale).saturating_add(2));
    side(shape.height).saturating_mul(side(shape.width)).saturating_mul(size(n))
}

/// What `n` pictures need, each shown in `states` states.
pub fn of_states(width: usize, n: usize, states: usize) -> Need {
    Need::default().and(
        format!("--n {n} with {states} states of each picture"),
        values(&[size(n), size(states), size(width)]),
    )
}

#[cfg(test)]
mod tests;
