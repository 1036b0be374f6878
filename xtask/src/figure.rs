//! `cargo xtask figure`.

mod boxes;
mod components;

use clap::{Args, ValueEnum};
use helmholtz_cli::error::user;
use serde_json::json;

use crate::exit::{print, progress};
use crate::output::write;
use crate::workspace;
use boxes::{Boxes, Quantiles};
use components::Components;

/// Draw a figure of a paper from estimates made now, into results/.
///
/// `components`: errors of gradients on probabilistic principal components, where the gradient of log p(x) is known
/// (Ruiz et al. 2021): the ELBO's, IWAE's, and those by coupled chains of ISIR, and of ISIR and DISIR, under a
/// recognition net trained by IWAE. Each box holds the deviations of the estimates from the exact gradient, along the
/// direction in which the ELBO is off, as shares of the gradient's norm: where a box lies is the bias, how wide it is
/// the spread.
///
/// Writes an SVG and the numbers behind it as JSON.
#[derive(Args)]
pub(crate) struct Figure {
    /// Which figure.
    #[arg(value_enum)]
    name: Name,
    /// Estimates by each method.
    #[arg(long, default_value_t = 200)]
    estimates: usize,
    /// Points of a chain's state, and samples of the bounds, K.
    #[arg(long, default_value_t = 10)]
    samples: usize,
    /// Seed of the model, its training and the estimates.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    Components,
}

impl Figure {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Figure { name: Name::Components, estimates, samples, seed } = self;
        if estimates < 20 || samples < 2 {
            return Err(user(format!(
                "--estimates {estimates} --samples {samples}: at least 20 estimates, of at least 2 samples"
            )));
        }
        progress("training the recognition net");
        let subject = Components::trained(samples, seed);
        let mut rows = Vec::new();
        for method in components::METHODS {
            progress(&format!("{}: {estimates} estimates", method.name()));
            let found = subject.deviations(method, estimates)?;
            rows.push((method.name(), Quantiles::of(&found.along), found));
        }
        let boxes = Boxes {
            title: format!("Error of the gradient of log p(x) where the ELBO is off; K = {samples}"),
            note: format!("{estimates} estimates, each the mean of {} runs", components::ROWS),
            y: "share of the gradient's norm".to_owned(),
            boxes: rows.iter().map(|(name, quantiles, _)| (*name, *quantiles)).collect(),
        };
        let folder = workspace::root().join("results");
        write(&folder.join("components.svg"), &boxes.to_svg()?)?;
        let numbers: Vec<_> = rows
            .iter()
            .map(|(name, quantiles, found)| {
                json!({
                    "method": name, "bias": found.bias(), "bias_se": found.bias_se(), "spread": found.spread(),
                    "quantiles": quantiles.0, "meeting_time": found.meeting_time, "meeting_time_max": found.longest,
                    "capped": found.capped, "beta": found.beta,
                })
            })
            .collect();
        let json = json!({
            "figure": "components", "source": "Ruiz et al. 2021", "commit": workspace::commit(), "seed": seed,
            "observed": components::OBSERVED, "latents": components::LATENTS, "variance": components::VARIANCE,
            "k": samples, "estimates": estimates, "runs_per_estimate": components::ROWS, "rows": numbers,
        });
        write(&folder.join("components.json"), &(serde_json::to_string_pretty(&json)? + "\n"))?;
        for (name, _, found) in &rows {
            print(&format!(
                "{name:<18} bias {:+.4} ± {:.4}   spread {:.4}\n",
                found.bias(),
                found.bias_se(),
                found.spread()
            ))?;
        }
        print("results/components.svg, results/components.json\n")
    }
}
