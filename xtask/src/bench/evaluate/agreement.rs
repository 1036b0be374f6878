//! Whether the peers estimate what we estimate.
//!
//! There are two checks. From latents that we have drawn, results may differ by rounding alone. From the peers' own
//! samples, the means over all rows may differ by the error of the samples. The first check covers the weights and the
//! sums over chunks of them, the second how samples are drawn and how many.

use anyhow::{Context, bail, ensure};
use burn::module::Param;
use burn::tensor::Tensor;
use helmholtz_core::{Draws, Key, LatentVariableModel};
use helmholtz_layers::{Layer, Top};
use helmholtz_ops::log_weights::log_mean_exp;

use crate::bench::agreement::{Exchange, values};
use crate::bench::peers::Peer;
use crate::bench::stack::{OBSERVED, Stack};
use crate::exit::progress;

/// Rows that are estimated from given latents, and samples of each; `evaluate.py` has the same numbers.
const GIVEN: [usize; 2] = [20, 10];

/// How far our mean and that of a peer may be apart. By chance, six peers in ten million are further off.
const STANDARD_ERRORS: f64 = 5.0;

pub(crate) struct Agreement {
    /// Weights, rows and latents, and the estimates from these.
    pub(crate) exchange: Exchange,
}

impl Agreement {
    pub(crate) fn new(stack: &Stack) -> anyhow::Result<Self> {
        let Stack { model, x } = stack;
        let mut inputs = Vec::new();
        for layer in model.recognition.iter().chain(&model.generative) {
            let Layer::Bernoulli(layer) = layer else { bail!("a layer is not one that the peers know") };
            inputs.extend([constants(&layer.weight)?, constants(&layer.bias)?]);
        }
        let Top::Bernoulli(prior) = &model.prior else { bail!("the prior is not one that the peers know") };
        inputs.extend([constants(&prior.bias)?, constants(&model.centre)?, values(x.clone())?]);

        let [rows, samples] = GIVEN;
        let draws = Draws::new(Key::new(0).child("bench agreement"), rows, samples);
        let proposals = model.propose(x.clone().slice([0..rows, 0..OBSERVED]), &draws, 0.0);
        let estimates = values(log_mean_exp(proposals.log_weights()))?;
        for latents in proposals.latents {
            inputs.push(values(latents)?);
        }
        let exchange = Exchange::new(inputs, vec![("log p(x) from given latents".to_string(), estimates)])?;
        Ok(Agreement { exchange })
    }

    /// Fails if the peer's estimates do not agree with ours; `ours` are those of all rows.
    pub(crate) fn check(&self, peer: &mut Peer, ours: &[f64]) -> anyhow::Result<()> {
        self.exchange.check(peer)?;
        let theirs = self.exchange.numbers(peer, "estimates")?;
        let name = peer.name();
        let [difference, errors] =
            compare(ours, &theirs).with_context(|| format!("{name} does not sample as we do"))?;
        progress(&format!(
            "peers: the mean log p(x) of {name} differs from ours by {difference:.3} nats, {errors:.1} standard errors"
        ));
        Ok(())
    }
}

fn constants<const D: usize>(param: &Param<Tensor<D>>) -> anyhow::Result<Vec<f32>> {
    values(param.val())
}

/// The difference between the means of two estimates of the same rows, in nats and in its standard errors; an error if
/// it is too large for chance.
///
/// An estimate from few samples is too low on average, but both estimates have the same distribution for each row, and
/// so the same bias. The spread of the differences over rows says how large the difference of the means may be.
fn compare(ours: &[f64], theirs: &[f32]) -> anyhow::Result<[f64; 2]> {
    ensure!(ours.len() == theirs.len(), "{} estimates instead of {}", theirs.len(), ours.len());
    let n = ours.len() as f64;
    let differences: Vec<f64> =
        theirs.iter().zip(ours).map(|(&theirs, ours)| f64::from(theirs) - ours).collect();
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|difference| (difference - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let errors = mean.abs() / (variance / n).sqrt();
    // False for NaN.
    ensure!(
        errors <= STANDARD_ERRORS,
        "the mean log p(x) differs from ours by {mean:.3} nats, which is {errors:.1} standard errors"
    );
    Ok([mean, errors])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_beyond_the_error_of_the_samples_is_an_error() {
        let ours: Vec<f64> = (0..100).map(|row| -100.0 - f64::from(row)).collect();
        // One nat up and one down, row by row: a standard error of 0.1.
        let theirs = |shift: f64| -> Vec<f32> {
            ours.iter()
                .zip([1.0, -1.0].iter().cycle())
                .map(|(ours, off)| (ours + off + shift) as f32)
                .collect()
        };
        let [mean, errors] = compare(&ours, &theirs(0.4)).unwrap();
        assert!((mean - 0.4).abs() < 1e-4 && (errors - 4.0).abs() < 0.1, "{mean} {errors}");
        assert!(compare(&ours, &theirs(0.6)).is_err());
        assert!(compare(&ours, &theirs(-0.6)).is_err());
        assert!(compare(&ours, &theirs(f64::NAN)).is_err());
        assert!(compare(&ours, &theirs(0.0)[1..]).is_err());
    }
}
