//! Estimates of the gradient of `log p(x)` on probabilistic principal components.
//!
//! With `h ~ N(0, I)` and `x | h ~ N(h W + b, v I)` the posterior is `N(m, S)` with `S = (I + W Wᵀ / v)⁻¹` and
//! `m = (x - b) Wᵀ S / v`, and the gradient of `log p(x)` in W is that of `E log p(x, h)` under it,
//! `(mᵀ (x - b) - (S + mᵀ m) W) / v`. The recognition net is factorised and linear in x, and trained by IWAE on samples
//! from the model. Where the posterior is correlated, the recognition net is narrower than it in some directions.

use burn::module::{Module, Param};
use burn::optim::AdamConfig;
use burn::tensor::{Device, Tensor, TensorData};
use helmholtz_core::{Draws, Estimate, Gradients, Key, LatentVariableModel, Role, Strategy, Trainable};
use helmholtz_noise::Stream;
use helmholtz_ops::into_f64;
use helmholtz_strategies::{Coupled, Kernel, Pathwise, Weighting};
use helmholtz_vae::{Likelihood, Std, Vae, VaeConfig};

/// Observed units: enough that the posterior of the latents is nearly factorised, and q is close to it.
pub(crate) const OBSERVED: usize = 100;
/// Latents; 100 in the paper.
pub(crate) const LATENTS: usize = 20;
/// v, as in the paper.
pub(crate) const VARIANCE: f64 = 0.1;
/// Runs of the estimator whose mean is one estimate.
pub(crate) const ROWS: usize = 20;
/// W is uniform between minus and plus this number.
const SPREAD: f64 = 0.5;
/// Training of the recognition net: samples as in the paper, and steps.
const TRAINING_SAMPLES: usize = 100;
const TRAINING: u64 = 3000;
/// Learning rates of Adam in the three thirds of the training.
const RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];
/// Number of estimates whose mean gives the direction.
const DIRECTION: u64 = 500;
/// Calls after which the correlation of DISIR has settled.
const SETTLING: u64 = 150;

/// The methods, from left to right.
pub(crate) const METHODS: [Method; 4] = [Method::Elbo, Method::Iwae, Method::Isir, Method::Disir];

/// A method that estimates the gradient.
#[derive(Clone, Copy)]
pub(crate) enum Method {
    Elbo,
    Iwae,
    Isir,
    Disir,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Elbo => "ELBO",
            Method::Iwae => "IWAE",
            Method::Isir => "C-ISIR",
            Method::Disir => "C-ISIR-DISIR",
        }
    }
}

/// The model with its recognition net, an observation and the exact gradient there.
pub(crate) struct Components {
    model: Vae,
    x: Tensor<2>,
    exact: Vec<f64>,
    /// The direction in which the gradient of the ELBO deviates from the exact one, from separate estimates. Its length
    /// is one over the norm of the exact gradient, so that a product with it is a share of that norm.
    direction: Vec<f64>,
    samples: usize,
    key: Key,
}

/// How far the estimates of a method deviate from the exact gradient.
pub(crate) struct Deviations {
    /// Deviations along the direction of the ELBO's bias, as shares of the norm of the exact gradient.
    pub(crate) along: Vec<f64>,
    pub(crate) meeting_time: Option<f64>,
    pub(crate) longest: Option<usize>,
    pub(crate) capped: usize,
    pub(crate) beta: Option<f64>,
}

impl Deviations {
    pub(crate) fn bias(&self) -> f64 {
        self.along.iter().sum::<f64>() / self.along.len() as f64
    }

    /// Standard deviation of an estimate.
    pub(crate) fn spread(&self) -> f64 {
        let (n, mean) = (self.along.len() as f64, self.bias());
        (self.along.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
    }

    pub(crate) fn bias_se(&self) -> f64 {
        self.spread() / (self.along.len() as f64).sqrt()
    }
}

impl Components {
    /// A model drawn from `seed`, with a trained recognition net.
    pub(crate) fn trained(samples: usize, seed: u64) -> Self {
        let (device, key) = (Device::flex(), Key::new(seed).child("components"));
        let config = VaeConfig {
            bodies: vec![vec![]],
            std: Std::Exp,
            likelihood: Likelihood::Gaussian { variance: VARIANCE },
            ..VaeConfig::new(OBSERVED, vec![LATENTS])
        };
        let mean = vec![0.0; OBSERVED];
        let mut model = config.init(Some(&mean), key, &device).expect("the sizes make a model");
        let mut stream = Stream::new(key.child("weights"));
        let weights: Vec<f32> =
            (0..LATENTS * OBSERVED).map(|_| stream.uniform_in(-SPREAD, SPREAD) as f32).collect();
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [LATENTS, OBSERVED]), &device);
        let map = model.observed.weight.take().expect("the last map is linear");
        model.observed.weight = Some(map.map(|_| weights.clone()));

        let mut taped = model.train();
        let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
        let iwae = Pathwise::new(TRAINING_SAMPLES, Weighting::Iwae);
        for step in 0..TRAINING {
            let now = taped.valid();
            let (x, _) = now.dream(&Draws::new(key.child(Role::Sleep).child(step), 100, 1));
            let Estimate { gradients, .. } = iwae.estimate(&now, &x.into(), key.child(step));
            // Only the recognition net is trained; the model stays fixed.
            let mut of_q = Gradients::new();
            let layer = &now.recognition[0];
            for map in [&layer.mean, &layer.std] {
                keep(&gradients, &map.weight, &mut of_q);
                keep(&gradients, &map.bias, &mut of_q);
            }
            taped = adam.step(RATES[(3 * step / TRAINING) as usize], taped, of_q.into_params());
        }
        let model = taped.valid();
        let (x, _) = model.dream(&Draws::new(key.child(Role::Data), 1, 1));
        let exact = exact(&into_f64(weights), &into_f64(x.clone()));
        let x = x.repeat_dim(0, ROWS);
        let mut components = Components { model, x, exact, direction: Vec::new(), samples, key };
        components.direction = components.where_the_elbo_is_off();
        components
    }

    fn elbo(&self) -> Pathwise {
        Pathwise::new(self.samples, Weighting::Elbo { analytic_kl: true })
    }

    fn where_the_elbo_is_off(&self) -> Vec<f64> {
        let mut off = vec![0.0; self.exact.len()];
        let key = self.key.child("direction");
        for i in 0..DIRECTION {
            let estimate = self.elbo().estimate(&self.model, &self.x.clone().into(), key.child(i));
            let ascent = self.ascent(&estimate.gradients);
            off.iter_mut().zip(ascent.iter().zip(&self.exact)).for_each(|(off, (a, g))| *off += a - g);
        }
        let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        let scale = 1.0 / (norm(&off) * norm(&self.exact));
        off.iter().map(|off| off * scale).collect()
    }

    /// The deviations of `estimates` estimates by a method.
    pub(crate) fn deviations(&self, method: Method, estimates: usize) -> anyhow::Result<Deviations> {
        let device = self.model.device();
        let key = self.key.child(method.name());
        let mut found =
            Deviations { along: Vec::new(), meeting_time: None, longest: None, capped: 0, beta: None };
        let chains = match method {
            Method::Elbo | Method::Iwae => None,
            Method::Isir => Some(Coupled::new(self.samples, Kernel::Isir, &device)?.chains()),
            Method::Disir => {
                let strategy = Coupled::new(self.samples, Kernel::Disir, &device)?;
                for step in 0..SETTLING {
                    let batch = self.x.clone().into();
                    let _ = strategy.estimate(&self.model, &batch, self.key.child("settle").child(step));
                }
                found.beta = Some(strategy.beta());
                Some(strategy.chains())
            }
        };
        let mut times = Vec::new();
        for i in 0..estimates {
            let (key, x) = (key.child(i), self.x.clone());
            let gradients = match (method, &chains) {
                (_, Some(chains)) => {
                    let mut gradients = Gradients::new();
                    let meetings = Coupled::theta(&self.model, x, chains, key, &mut gradients)?.times;
                    times.extend(meetings.iter().map(|time| time.unwrap_or(chains.cap)));
                    found.capped += meetings.iter().filter(|time| time.is_none()).count();
                    gradients
                }
                (Method::Elbo, None) => self.elbo().estimate(&self.model, &x.into(), key).gradients,
                (_, None) => {
                    Pathwise::new(self.samples, Weighting::Iwae)
                        .estimate(&self.model, &x.into(), key)
                        .gradients
                }
            };
            found.along.push(self.along(&gradients));
        }
        if !times.is_empty() {
            found.meeting_time = Some(times.iter().sum::<usize>() as f64 / times.len() as f64);
            found.longest = times.into_iter().max();
        }
        Ok(found)
    }

    /// How far an estimate deviates from the exact gradient along the direction.
    fn along(&self, gradients: &Gradients) -> f64 {
        let ascent = self.ascent(gradients);
        ascent.iter().zip(&self.exact).zip(&self.direction).map(|((a, g), d)| (a - g) * d).sum()
    }

    /// The ascent direction of W. Estimates are gradients for descent, so the sign is flipped.
    fn ascent(&self, gradients: &Gradients) -> Vec<f64> {
        let weight = self.model.observed.weight.as_ref().expect("the last map is linear");
        let found =
            into_f64(gradients.get::<2>(weight.id).expect("every strategy updates the generative net"));
        found.into_iter().map(|descent| -descent).collect()
    }
}

fn keep<const D: usize>(gradients: &Gradients, param: &Param<Tensor<D>>, into: &mut Gradients) {
    let gradient = gradients.get::<D>(param.id).expect("the strategy updates the recognition net");
    into.add(param, gradient);
}

/// The gradient of `log p(x)` in W with b = 0, `[LATENTS, OBSERVED]` in row-major order.
fn exact(w: &[f64], x: &[f64]) -> Vec<f64> {
    let (h, d, v) = (LATENTS, OBSERVED, VARIANCE);
    let dot = |i: usize, l: usize| (0..d).map(|j| w[i * d + j] * w[l * d + j]).sum::<f64>();
    let precision: Vec<Vec<f64>> =
        (0..h).map(|i| (0..h).map(|l| dot(i, l) / v + f64::from(u8::from(i == l))).collect()).collect();
    let s = inverse(precision);
    let projected: Vec<f64> = (0..h).map(|l| (0..d).map(|j| x[j] * w[l * d + j]).sum::<f64>() / v).collect();
    let m: Vec<f64> = (0..h).map(|i| (0..h).map(|l| projected[l] * s[l][i]).sum()).collect();
    let second = |i: usize, l: usize| s[i][l] + m[i] * m[l];
    let at =
        |i: usize, j: usize| (m[i] * x[j] - (0..h).map(|l| second(i, l) * w[l * d + j]).sum::<f64>()) / v;
    (0..h * d).map(|place| at(place / d, place % d)).collect()
}

/// The inverse of a symmetric positive definite matrix, by elimination.
fn inverse(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = a.len();
    let mut inverse: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for i in 0..n {
        let pivot = a[i][i];
        for j in 0..n {
            a[i][j] /= pivot;
            inverse[i][j] /= pivot;
        }
        let (row, of_inverse) = (a[i].clone(), inverse[i].clone());
        for other in (0..n).filter(|&other| other != i) {
            let factor = a[other][i];
            for j in 0..n {
                a[other][j] -= factor * row[j];
                inverse[other][j] -= factor * of_inverse[j];
            }
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_differences_of_log_p() {
        // log p(x) = -log det(C)/2 - x C⁻¹ xᵀ/2 with C = Wᵀ W + v I, by the pivots of its elimination.
        let log_p = |w: &[f64], x: &[f64]| {
            let cell = |i: usize, j: usize| {
                let dot: f64 = (0..LATENTS).map(|l| w[l * OBSERVED + i] * w[l * OBSERVED + j]).sum();
                dot + if i == j { VARIANCE } else { 0.0 }
            };
            let mut a: Vec<Vec<f64>> =
                (0..OBSERVED).map(|i| (0..OBSERVED).map(|j| cell(i, j)).chain([x[i]]).collect()).collect();
            let (mut log_det, mut square) = (0.0, 0.0);
            for i in 0..OBSERVED {
                let row = a[i].clone();
                log_det += row[i].ln();
                square += row[OBSERVED].powi(2) / row[i];
                for other in a.iter_mut().skip(i + 1) {
                    let factor = other[i] / row[i];
                    other.iter_mut().zip(&row).for_each(|(cell, above)| *cell -= factor * above);
                }
            }
            -0.5 * (log_det + square)
        };
        let mut stream = Stream::new(Key::new(3));
        let w: Vec<f64> = (0..LATENTS * OBSERVED).map(|_| stream.uniform_in(-SPREAD, SPREAD)).collect();
        let x: Vec<f64> = (0..OBSERVED).map(|_| stream.uniform_in(-2.0, 2.0)).collect();
        let gradient = exact(&w, &x);
        let step = 1e-5;
        for place in [0, 57, 400, LATENTS * OBSERVED - 1] {
            let moved = |sign: f64| {
                let mut w = w.clone();
                w[place] += sign * step;
                log_p(&w, &x)
            };
            let difference = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            // The error is h² times third derivatives, plus rounding of 1e-14 / h.
            assert!((difference - gradient[place]).abs() < 1e-5 * (1.0 + difference.abs()), "{place}");
        }
    }
}
