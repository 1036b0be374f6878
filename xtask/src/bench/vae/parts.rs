//! The parts of a step of `iwae`, each run alone.

use burn::tensor::{Device, Tensor};
use helmholtz_core::{Draws, Gradients, Key, PathParts, Reparameterized, Trainable};
use helmholtz_ops::hidden::{self, Activation};
use helmholtz_ops::{bernoulli, noise, rows};
use helmholtz_strategies::{Pathwise, Weighting};
use helmholtz_vae::Vae;

use crate::bench::parts::{Inputs, Products, random, repeat, timed};
use crate::bench::report::Row;
use crate::bench::stack::OBSERVED;
use crate::bench::vae::subject::{HIDDEN, LATENTS};

/// What is timed, in the order of [`Estimate::run`], with its row.
const NAMES: [&str; 7] = [
    "iwae/noise",
    "iwae/propose",
    "iwae/gradient",
    "iwae/products-forward",
    "iwae/products-back",
    "iwae/output",
    "iwae/hidden",
];

/// An estimate, run part by part.
pub(crate) struct Estimate<'a> {
    model: &'a Vae,
    x: Tensor<2>,
    iwae: Pathwise,
    products: Products,
    /// Sizes of the passes over hidden units: `[n, d]`.
    hidden: Vec<[usize; 2]>,
    device: Device,
    step: u64,
    ms: [Vec<f64>; NAMES.len()],
}

/// `[n, d_y, d_x]` of the linear maps: the recognition net from the data up, then the generative net. Each row of x has
/// `samples` latents, and only these are multiplied by as many rows.
fn shapes(batch: usize, samples: usize) -> Vec<[usize; 3]> {
    let ([lower, upper], n) = (HIDDEN, batch * samples);
    vec![
        [batch, OBSERVED, lower],
        [batch, lower, upper],
        [batch, upper, LATENTS],
        [batch, upper, LATENTS],
        [n, LATENTS, upper],
        [n, upper, lower],
        [n, lower, OBSERVED],
    ]
}

impl<'a> Estimate<'a> {
    pub(crate) fn new(model: &'a Vae, x: Tensor<2>, samples: usize, device: &Device) -> Self {
        let [batch, _] = x.dims();
        // Every layer needs the derivative in its input, except the one whose input is the data.
        let products = Products::new(shapes(batch, samples), Inputs::Real, |layer| layer > 0, device);
        let hidden = [batch, batch * samples].into_iter().flat_map(|n| HIDDEN.map(|d| [n, d])).collect();
        let (iwae, ms) = (Pathwise::new(samples, Weighting::Iwae), Default::default());
        Estimate { model, x, iwae, products, hidden, device: device.clone(), step: 0, ms }
    }

    /// Runs everything `steps` times more.
    pub(crate) fn extend(&mut self, steps: usize) -> anyhow::Result<()> {
        for times in repeat(steps, || self.run())? {
            self.ms.iter_mut().zip(times).for_each(|(ms, time)| ms.push(time));
        }
        Ok(())
    }

    /// One row for each part.
    pub(crate) fn rows(self) -> Vec<Row> {
        let operations = self.products.operations();
        let row = |((name, ms), operations): ((&str, Vec<f64>), Option<f64>)| {
            let mut row = Row::ours(name, "iwae", ms);
            row.extra.extend(operations.map(|operations| ("gflops", operations / row.median() / 1e6)));
            row
        };
        let [forward, back] = operations.map(Some);
        let operations = [None, None, None, forward, back, None, None];
        NAMES.into_iter().zip(self.ms).zip(operations).map(row).collect()
    }

    fn run(&mut self) -> anyhow::Result<[f64; NAMES.len()]> {
        let (model, x) = (self.model, self.x.clone());
        let [batch, _] = x.dims();
        self.step += 1;
        let draws = Draws::new(Key::new(2).child(self.step), batch, self.iwae.samples);
        let (of_noise, noise) =
            timed(&self.device, || noise::normal(&draws, LATENTS, model.dtype(), &self.device))?;
        let (of_propose, proposals) = timed(&self.device, || model.propose_at(x.clone(), noise.clone()))?;
        let (of_gradient, _) = timed(&self.device, || {
            let mut gradients = Gradients::new();
            self.iwae.update(model, x.clone(), noise, proposals, PathParts::Both, &mut gradients);
            gradients
        })?;
        let [forward, back] = self.products.run()?;
        Ok([of_noise, of_propose, of_gradient, forward, back, self.output()?, self.units()?])
    }

    /// The pass over the logits that gives log-probability and error, and the one that multiplies the errors by weights
    /// and sums them up.
    fn output(&self) -> anyhow::Result<f64> {
        let ([batch, _], n) = (self.x.dims(), self.x.dims()[0] * self.iwae.samples);
        let product = random(n, OBSERVED, &self.device);
        let bias = Tensor::zeros([OBSERVED], &self.device);
        let weights = Tensor::full([n], 1.0 / batch as f64, &self.device);
        let x = self.x.clone();
        let (ms, _) =
            timed(&self.device, || rows::weigh(bernoulli::score(x, product, bias).trace, weights, 1))?;
        Ok(ms)
    }

    /// The passes over hidden units, forward and back.
    fn units(&self) -> anyhow::Result<f64> {
        let inputs: Vec<_> = self
            .hidden
            .iter()
            .map(|&[n, d]| [random(n, d, &self.device), random(n, d, &self.device)])
            .collect();
        let (ms, _) = timed(&self.device, || {
            inputs
                .into_iter()
                .map(|[product, delta]| {
                    let bias = Tensor::zeros([product.dims()[1]], &self.device);
                    let a = hidden::forward(product, bias, Activation::Relu);
                    hidden::backward(delta, a, Activation::Relu)
                })
                .collect::<Vec<_>>()
        })?;
        Ok(ms)
    }
}
