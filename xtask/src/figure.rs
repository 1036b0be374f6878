//! `cargo xtask figure`.

mod boxes;
mod components;
mod front;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use helmholtz_cli::error::user;
use serde_json::json;

use crate::exit::{print, progress};
use crate::output::write;
use crate::workspace;
use boxes::{Boxes, Quantiles};
use components::Components;

/// Draw a figure: one of a paper from new estimates, into results/, or those of the README.
///
/// `components`: errors of gradient estimates on probabilistic principal components, where the gradient of log p(x)
/// is known (Ruiz et al. 2021). The estimates are those of the ELBO, of IWAE, of coupled chains of ISIR, and of
/// coupled chains of ISIR and DISIR. The recognition net was trained by IWAE. Each box shows the deviations of the
/// estimates from the exact gradient, along the direction of the ELBO's bias, as shares of the gradient's norm. The
/// position of a box shows the bias, its extent the spread.
///
/// Writes an SVG, and its numbers as JSON.
///
/// `front`: the pictures of the README, into docs/images/. It runs the built-in comparison, trains a bidirectional machine on
/// `mnist/binarized` and fills in digits with it, which takes about ten minutes on two cores.
#[derive(Args)]
pub(crate) struct Figure {
    /// Figure to draw.
    #[arg(value_enum)]
    name: Name,
    /// Number of estimates by each method.
    #[arg(long, default_value_t = 200)]
    estimates: usize,
    /// Number of points in a chain's state, and of samples in the bounds, K.
    #[arg(long, default_value_t = 10)]
    samples: usize,
    /// Seed of the model, of its training and of the estimates.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder with the data files, for front.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    Components,
    Front,
}

impl Figure {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.name {
            Name::Components => self.components(),
            Name::Front => {
                front::draw(self.data_dir.as_deref().map(std::path::absolute).transpose()?.as_deref())
            }
        }
    }

    fn components(self) -> anyhow::Result<()> {
        let Figure { estimates, samples, seed, .. } = self;
        if estimates < 20 || samples < 2 {
            return Err(user(format!(
                "--estimates {estimates} --samples {samples}: must be at least 20 estimates and 2 samples"
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
            title: format!("Error of the gradient of log p(x) along the bias of the ELBO; K = {samples}"),
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
