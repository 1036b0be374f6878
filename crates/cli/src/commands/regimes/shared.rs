//! What the commands share: the config of those that train, the energy of a model, the times of records.

use helmholtz_zoo::{BoxedModel, Unnormalised};
use indicatif::{ProgressBar, ProgressStyle};
use toml::Table;

use crate::args::TrainedHereArgs;
use crate::config::{Config, Overlay, count};
use crate::error::user;

/// The config of a command that trains: of the file, or the built-in one, with flags on top.
pub(super) fn config_of(args: &TrainedHereArgs, built_in: &str) -> anyhow::Result<Config> {
    let mut overlay = Overlay::default();
    for pair in &args.set {
        overlay = overlay.parse(pair)?;
    }
    for (flag, value) in [
        ("--hidden", args.hidden),
        ("--epochs", args.epochs),
        ("--steps", args.steps),
        ("--batch", args.batch),
        ("--seed", args.seed),
        ("--threads", args.threads),
    ] {
        value.map(|value| count(flag, value)).transpose()?;
    }
    let overlay = overlay
        .set_if("data.id", args.dataset.clone())
        .set_if("model.hidden", args.hidden)
        .set_if("strategy.kind", args.strategy.clone())
        .set_if("train.epochs", args.epochs)
        .set_if("train.steps", args.steps)
        .set_if("train.batch", args.batch)
        .set_if("optimizer.lr", args.lr)
        .set_if("seed", args.seed)
        .set_if("run.device", args.device.clone())
        .set_if("run.threads", args.threads);
    match &args.config {
        Some(path) => Config::resolve(Some(path), &overlay),
        None => {
            let table: Table = built_in.parse().expect("the built-in config is valid TOML");
            Config::of_table(table, "the built-in config", &overlay)
        }
    }
}

/// The energy of a model.
///
/// # Errors
/// If it is not given by one.
pub(super) fn energy_of<'a>(
    model: &'a BoxedModel,
    config: &Config,
    command: &str,
) -> anyhow::Result<&'a dyn Unnormalised> {
    model.unnormalised().ok_or_else(|| {
        user(format!(
            "the model is {}, and `regimes {command}` needs one that is given by an energy (helmholtz models)",
            config.spec.model.kind()
        ))
    })
}

/// Whole numbers from 1 to `last`, about `a_decade` in each power of ten, with both ends.
pub(super) fn spaced(last: u64, a_decade: u32) -> Vec<u64> {
    let points = (0..).map(|i| 10f64.powf(f64::from(i) / f64::from(a_decade)).round() as u64);
    let mut points: Vec<u64> = points.take_while(|point| *point < last).collect();
    points.dedup();
    points.push(last);
    points
}

/// A progress bar over so many of something.
pub(super) fn bar(length: u64, of: &str) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(length);
    bar.set_style(ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {of}, {{eta}} left"))?);
    Ok(bar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_dense_at_first_and_end_where_they_are_asked_to() {
        assert_eq!(spaced(20, 4), [1, 2, 3, 6, 10, 18, 20]);
        assert_eq!(spaced(1, 10), [1]);
        let many = spaced(12_345, 10);
        assert!(many.windows(2).all(|pair| pair[0] < pair[1]) && many.last() == Some(&12_345));
        assert!((35..=42).contains(&many.len()), "{}", many.len());
    }
}
