//! Variational autoencoders.
//!
//! With `h₀ = x` and Gaussian latents `h₁ .. h_L`:
//!
//! - generative: `p(x, h) = N(h_L; 0, I) Πₗ N(hₗ; μₗ(hₗ₊₁), σₗ(hₗ₊₁)²) p(x | h₁)`;
//! - recognition: `q(h | x) = Πₗ N(hₗ; μₗ(hₗ₋₁), σₗ(hₗ₋₁)²)`, where the lowest layer sees `x` minus a constant centre.
//!
//! # References
//! Kingma, Welling, "Auto-encoding variational Bayes", ICLR 2014, arXiv:1312.6114.
//! Rezende, Mohamed, Wierstra, "Stochastic backpropagation and approximate inference in deep generative models",
//! ICML 2014, arXiv:1401.4082.
//! Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, arXiv:1509.00519 (several layers).

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{
    Draws, GENERATIVE, Gradients, LatentVariableModel, ParameterGroup, Proposals, RECOGNITION,
    Reparameterized, Role, Traced, Trainable,
};
use helmholtz_ops::log_weights::log_sum_exp;
use helmholtz_ops::noise;

use crate::gaussian::{Gaussian, GaussianMoments, log_standard_normal};
use crate::observed::Observed;

/// A variational autoencoder with any number of Gaussian layers.
///
/// The field names are part of the interface: parameter groups and weight files use them.
#[derive(Module, Debug)]
pub struct Vae {
    /// `p(x | h₁)`.
    pub observed: Observed,
    /// `p(hₗ | hₗ₊₁)` for `l` = 1, 2, ..., from the lowest latents up.
    pub generative: Vec<Gaussian>,
    /// `q(hₗ₊₁ | hₗ)` for `l` = 0, 1, ..., from the data up.
    pub recognition: Vec<Gaussian>,
    /// The centre, which the recognition net subtracts from `x`: `[d_x]`, not trained.
    pub centre: Param<Tensor<1>>,
}

impl Vae {
    /// Number of latent layers.
    pub fn depth(&self) -> usize {
        self.recognition.len()
    }

    /// Sizes of the latent layers, from the data up.
    pub fn latent_sizes(&self) -> Vec<usize> {
        self.recognition.iter().map(|layer| layer.mean.bias.val().dims()[0]).collect()
    }

    /// `h = g(ξ, x)`, differentiable by autodiff in the recognition net.
    ///
    /// # Shapes
    /// - `x`: `[batch, d_x]`, `noise`: `[batch * k, noise_units]`; output `[batch * k, d]` for each layer, from the
    ///   data up
    pub fn latents_at(&self, x: Tensor<2>, noise: Tensor<2>) -> Vec<Tensor<2>> {
        self.infer(x, noise).0
    }

    pub(crate) fn centred(&self, x: Tensor<2>) -> Tensor<2> {
        x - self.centre.val().unsqueeze()
    }

    /// Splits the noise, `[n, noise_units]`, into the noise of each layer.
    pub(crate) fn split(&self, noise: Tensor<2>) -> Vec<Tensor<2>> {
        noise.split_with_sizes(self.latent_sizes(), 1)
    }

    /// The recognition net along the path of `noise`: latents, moments of each layer, and `log q(h | x)`.
    pub(crate) fn infer(
        &self,
        x: Tensor<2>,
        noise: Tensor<2>,
    ) -> (Vec<Tensor<2>>, Vec<GaussianMoments>, Tensor<1>) {
        let [n, _] = noise.dims();
        let log_normal = log_standard_normal(noise.clone());
        let (mut latents, mut kept, mut log_stds) = (Vec::new(), Vec::new(), None);
        let mut below = self.centred(x);
        for (layer, e) in self.recognition.iter().zip(self.split(noise)) {
            let moments = layer.moments(below);
            let [mean, std, log_std] = moments.for_rows(n);
            below = mean + std * e;
            latents.push(below.clone());
            kept.push(moments);
            let sum = log_std.sum_dim(1).squeeze_dim::<1>(1);
            log_stds = Some(log_stds.map_or_else(|| sum.clone(), |all: Tensor<1>| all + sum.clone()));
        }
        let log_q = log_normal - log_stds.expect("there is a latent layer");
        (latents, kept, log_q)
    }

    /// The generative layers of latents, with the values they model and the values they are conditioned on, from the
    /// lowest latents up.
    fn latent_pairs<'a>(
        &'a self,
        h: &'a [Tensor<2>],
    ) -> impl DoubleEndedIterator<Item = (&'a Gaussian, Tensor<2>, Tensor<2>)> {
        self.generative
            .iter()
            .zip(h.windows(2))
            .map(|(layer, pair)| (layer, pair[0].clone(), pair[1].clone()))
    }

    /// The recognition layers with the values they model and the values they are conditioned on, from the data up.
    fn recognition_pairs<'a>(
        &'a self,
        centred: &'a Tensor<2>,
        h: &'a [Tensor<2>],
    ) -> impl Iterator<Item = (&'a Gaussian, Tensor<2>, Tensor<2>)> {
        let below = std::iter::once(centred).chain(h);
        self.recognition.iter().zip(h).zip(below).map(|((layer, h), y)| (layer, h.clone(), y.clone()))
    }

    /// `log p(h₁, .., h_L)` of latents, with the moments of each layer.
    fn trace_latents(&self, h: &[Tensor<2>]) -> (Tensor<1>, Vec<GaussianMoments>) {
        let top = log_standard_normal(h[h.len() - 1].clone());
        let mut kept = Vec::new();
        let log_prob = self.latent_pairs(h).fold(top, |sum, (layer, h, y)| {
            let moments = layer.moments(y);
            let log_prob = moments.log_prob(moments.standardise(h));
            kept.push(moments);
            sum + log_prob
        });
        (log_prob, kept)
    }

    /// The moments of each layer, from the concatenated traces of all layers.
    pub(crate) fn moments_of<'a>(
        layers: &'a [Gaussian],
        traces: &'a [Tensor<2>],
    ) -> impl Iterator<Item = GaussianMoments> + 'a {
        let mut first = 0;
        layers.iter().map(move |layer| {
            first += layer.n_traces();
            layer.moments_of(&traces[first - layer.n_traces()..first])
        })
    }

    /// The latents along the path of `noise`, scored under both nets.
    pub(crate) fn proposals(&self, x: Tensor<2>, noise: Tensor<2>) -> Proposals<Vec<Tensor<2>>> {
        let ([batch, _], [n, _]) = (x.dims(), noise.dims());
        let (latents, kept, log_q) = self.infer(x.clone(), noise);
        let p = self.trace_joint(x, &latents);
        let traces = kept.into_iter().flat_map(GaussianMoments::into_traces).collect();
        let q = Traced { log_prob: log_q.clone(), traces, by_layer: Vec::new() };
        Proposals { latents, p, q, log_proposal: log_q, k: n / batch }
    }
}

impl Trainable for Vae {
    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE, RECOGNITION]
    }

    fn observed(&self) -> usize {
        self.centre.val().dims()[0]
    }

    fn dtype(&self) -> DType {
        self.centre.val().dtype()
    }

    fn device(&self) -> Device {
        self.centre.val().device().inner()
    }
}

impl LatentVariableModel for Vae {
    type Latents = Vec<Tensor<2>>;

    fn log_joint(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<1> {
        self.trace_latents(h).0 + self.observed.log_prob(x, h[0].clone())
    }

    fn log_posterior(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<1> {
        self.trace_posterior(x, h).log_prob
    }

    fn trace_joint(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Traced {
        let (of_latents, kept) = self.trace_latents(h);
        let Traced { log_prob, mut traces, .. } = self.observed.trace(x, h[0].clone());
        traces.extend(kept.into_iter().flat_map(GaussianMoments::into_traces));
        Traced { log_prob: log_prob + of_latents, traces, by_layer: Vec::new() }
    }

    fn trace_posterior(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Traced {
        let mut traces = Vec::new();
        let log_prob = self
            .recognition_pairs(&self.centred(x), h)
            .map(|(layer, h, y)| {
                let moments = layer.moments(y);
                let log_prob = moments.log_prob(moments.standardise(h));
                traces.extend(moments.into_traces());
                log_prob
            })
            .reduce(|sum, log_prob| sum + log_prob)
            .expect("there is a latent layer");
        Traced { log_prob, traces, by_layer: Vec::new() }
    }

    /// # Panics
    /// If `defence` is not zero: there is no uniform distribution over real latents to mix in.
    fn propose(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Proposals<Vec<Tensor<2>>> {
        assert!(
            defence == 0.0,
            "defence = {defence}: continuous latents have no uniform distribution to mix in"
        );
        let noise = noise::normal(draws, self.noise_units(), self.dtype(), &self.device());
        self.propose_at(x, noise)
    }

    fn log_weights(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2> {
        let noise = noise::normal(draws, self.noise_units(), self.dtype(), &self.device());
        self.log_weights_at(x, noise)
    }

    /// s is the prior.
    fn log_weights_defended(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Tensor<2> {
        let (n, device) = (draws.len(), self.device());
        let noise = |draws: &Draws| noise::normal(draws, self.noise_units(), self.dtype(), &device);
        let of_q = self.latents_at(x.clone(), noise(draws));
        let of_prior = self.latents_of(noise(&draws.child(Role::Defensive)));
        let choice =
            noise::uniform(&draws.child(Role::Mixture), 1, self.dtype(), &device).lower_elem(defence);
        let pairs = of_q.into_iter().zip(of_prior);
        let h: Vec<Tensor<2>> = pairs
            .map(|(own, other)| {
                let [_, d] = own.dims();
                own.mask_where(choice.clone().expand([n, d]), other)
            })
            .collect();
        let log_prior = self.trace_latents(&h).0 + defence.ln();
        let log_q = self.log_posterior(x.clone(), &h) + (1.0 - defence).ln();
        let parts = [log_q, log_prior].map(|log_part| log_part.unsqueeze_dim::<2>(1));
        let log_weights: Tensor<1> =
            self.log_joint_value(x, &h) - log_sum_exp(Tensor::cat(parts.to_vec(), 1));
        log_weights.reshape([draws.n_rows(), draws.k()])
    }

    fn dream(&self, draws: &Draws) -> (Tensor<2>, Vec<Tensor<2>>) {
        let units = noise::normal(draws, self.noise_units(), self.dtype(), &self.device());
        let h = self.latents_of(units);
        let x = self.observed.draw(h[0].clone(), &draws.child(Role::Layer).child(0usize));
        (x, h)
    }

    fn decode(&self, _x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<2> {
        self.observed.mean(h[0].clone())
    }

    fn joint_gradient(
        &self,
        _x: Tensor<2>,
        h: &Vec<Tensor<2>>,
        traces: &[Tensor<2>],
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        let (lowest, upper) = traces.split_at(self.observed.n_traces());
        let kept: Vec<GaussianMoments> = Vae::moments_of(&self.generative, upper).collect();
        self.observed.backward(h[0].clone(), lowest.to_vec(), weights.clone().neg(), Some(into), false);
        for ((layer, h, y), moments) in self.latent_pairs(h).zip(kept) {
            let [in_mean, in_std] = moments.score(h, weights.clone().neg());
            layer.backward(y, moments, in_mean, in_std, Some(into), false);
        }
    }

    fn posterior_gradient(
        &self,
        x: Tensor<2>,
        h: &Vec<Tensor<2>>,
        traces: &[Tensor<2>],
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        let centred = self.centred(x);
        let kept = Vae::moments_of(&self.recognition, traces);
        for ((layer, h, y), moments) in self.recognition_pairs(&centred, h).zip(kept) {
            let [in_mean, in_std] = moments.score(h, weights.clone().neg());
            layer.backward(y, moments, in_mean, in_std, Some(into), false);
        }
    }
}

impl Vae {
    /// `h ~ p(h)` along the path of noise, from the lowest latents up.
    fn latents_of(&self, noise: Tensor<2>) -> Vec<Tensor<2>> {
        let mut e = self.split(noise);
        let mut h = vec![e.pop().expect("there is a latent layer")];
        for (layer, e) in self.generative.iter().zip(e).rev() {
            let above = h[h.len() - 1].clone();
            let GaussianMoments { mean, std, .. } = layer.moments(above);
            h.push(mean + std * e);
        }
        h.reverse();
        h
    }

    /// `log p(x, h)` without traces.
    pub(crate) fn log_joint_value(&self, x: Tensor<2>, h: &[Tensor<2>]) -> Tensor<1> {
        self.trace_latents(h).0 + self.observed.trace(x, h[0].clone()).log_prob
    }
}
