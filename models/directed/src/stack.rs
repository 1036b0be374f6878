//! Stacks of stochastic layers.
//!
//! With `h₀ = x` and latents `h₁ .. h_L`:
//!
//! - generative: `p(x, h) = p(h_L) Πₗ p(hₗ | hₗ₊₁)`, where layer `l` of [`Stack::generative`] is `p(hₗ | hₗ₊₁)`;
//! - recognition: `q(h | x) = Πₗ q(hₗ₊₁ | hₗ)`, where layer `l` of [`Stack::recognition`] is `q(hₗ₊₁ | hₗ)`,
//!   and the lowest layer sees `x` minus a constant centre.
//!
//! Gradients stay inside each layer: samples are constants.
//!
//! Without latents the prior is the model of the data, `p(x)`, and `q` has nothing to infer: the only state is the
//! empty one, and its probability is one.
//!
//! # Reference
//! Dayan, Hinton, Neal, Zemel, "The Helmholtz machine", Neural Computation 7, 1995.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{
    Conditional, Draws, Enumerable, GENERATIVE, Gradients, LatentVariableModel, Layerwise, ParameterGroup,
    Prior, Proposals, RECOGNITION, Role, Traced, Trainable, add_gradients, enumerate_bits,
};
use helmholtz_layers::{Layer, Top};
use helmholtz_noise::fill_uniform;
use helmholtz_ops::log_weights::log_sum_exp;
use helmholtz_ops::rows::repeat_rows;
use helmholtz_ops::side_by_side;

/// A stack of conditional layers `C` under a prior `P`, with its recognition net.
///
/// The field names are part of the interface: parameter groups and weight files use them.
#[derive(Module, Debug)]
pub struct Stack<C: helmholtz_core::Model, P: helmholtz_core::Model> {
    /// `p(hₗ | hₗ₊₁)` for `l` = 0, 1, ..., from the data up.
    pub generative: Vec<C>,
    /// `p(h_L)`.
    pub prior: P,
    /// `q(hₗ₊₁ | hₗ)` for `l` = 0, 1, ..., from the data up.
    pub recognition: Vec<C>,
    /// The centre, which the recognition net subtracts from `x`: `[d_x]`, not trained.
    pub centre: Param<Tensor<1>>,
}

/// A stack that can mix layers of any kind.
pub type HelmholtzMachine = Stack<Layer, Top>;

impl<C: Conditional, P: Prior> Stack<C, P> {
    /// Number of latent layers.
    pub fn depth(&self) -> usize {
        self.recognition.len()
    }

    /// Sizes of the latent layers, from the data up.
    pub fn latent_sizes(&self) -> Vec<usize> {
        self.recognition.iter().map(|layer| layer.dims().0).collect()
    }

    fn centred(&self, x: Tensor<2>) -> Tensor<2> {
        x - self.centre.val().unsqueeze()
    }

    /// The input of the recognition layer for latents `l`, given the layer below.
    fn seen(&self, l: usize, below: Tensor<2>) -> Tensor<2> {
        if l == 1 { self.centred(below) } else { below }
    }

    /// The generative layers with the values they model and the values they are conditioned on, from the data up.
    fn generative_pairs<'a>(
        &'a self,
        x: &'a Tensor<2>,
        h: &'a [Tensor<2>],
    ) -> impl Iterator<Item = (&'a C, Tensor<2>, Tensor<2>)> {
        let below = std::iter::once(x).chain(h);
        self.generative.iter().zip(below).zip(h).map(|((layer, x), y)| (layer, x.clone(), y.clone()))
    }

    /// The recognition layers with the values they model and the values they are conditioned on, from the data up.
    fn recognition_pairs<'a>(
        &'a self,
        centred: &'a Tensor<2>,
        h: &'a [Tensor<2>],
    ) -> impl Iterator<Item = (&'a C, Tensor<2>, Tensor<2>)> {
        let below = std::iter::once(centred).chain(h);
        self.recognition.iter().zip(h).zip(below).map(|((layer, x), y)| (layer, x.clone(), y.clone()))
    }

    /// What the prior models: the highest latents, or the data if there are no latents.
    fn top<'a>(&self, x: &'a Tensor<2>, h: &'a [Tensor<2>]) -> &'a Tensor<2> {
        h.last().unwrap_or(x)
    }
}

pub(crate) fn layer_draws(draws: &Draws, l: usize) -> Draws {
    draws.child(Role::Layer).child(l)
}

/// Sums log-probabilities and collects traces, layer by layer; `None` without layers.
fn collect(scored: impl Iterator<Item = helmholtz_core::Scored>) -> Option<Traced> {
    let (traces, by_layer): (Vec<_>, Vec<_>) = scored.map(|scored| (scored.trace, scored.log_prob)).unzip();
    let log_prob = by_layer.iter().cloned().reduce(|sum, log_prob| sum + log_prob)?;
    Some(Traced { log_prob, traces, by_layer })
}

/// Adds the gradients of layers, each with the values it models, the values it is conditioned on, and its trace.
fn add_gradients_of<'a, C: Conditional>(
    layers: impl Iterator<Item = (&'a C, Tensor<2>, Tensor<2>)>,
    traces: &[Tensor<2>],
    weights: &Tensor<1>,
    into: &mut Gradients,
) {
    let layers: Vec<_> = layers.zip(traces).collect();
    let work = multiplications(weights.dims()[0], layers.iter().map(|((layer, ..), _)| *layer));
    let found = side_by_side(&weights.device(), work, layers, |((layer, x, y), trace)| {
        let mut gradients = Gradients::new();
        layer.gradient(x, y, trace.clone(), weights.clone(), &mut gradients);
        (layer, gradients)
    });
    for (layer, gradients) in found {
        add_gradients(layer, &gradients, into);
    }
}

/// About how many multiplications these layers take with `rows` rows: those of the connections from one layer to the
/// next.
fn multiplications<'a, C: Conditional>(rows: usize, layers: impl IntoIterator<Item = &'a C>) -> usize {
    layers.into_iter().map(|layer| rows * layer.dims().0 * layer.dims().1).sum()
}

/// The score of a net without latents: zero nats for each of `n` rows.
fn nothing(x: &Tensor<2>, n: usize) -> Traced {
    let log_prob = Tensor::zeros([n], (&x.device(), x.dtype()));
    Traced { log_prob, traces: Vec::new(), by_layer: Vec::new() }
}

impl<C: Conditional, P: Prior> Trainable for Stack<C, P> {
    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE, RECOGNITION]
    }

    fn observed(&self) -> usize {
        self.generative.first().map_or_else(|| self.prior.dim(), |layer| layer.dims().0)
    }

    fn dtype(&self) -> DType {
        self.centre.val().dtype()
    }

    fn device(&self) -> Device {
        self.centre.val().device().inner()
    }
}

impl<C: Conditional, P: Prior> LatentVariableModel for Stack<C, P> {
    type Latents = Vec<Tensor<2>>;

    fn log_joint(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<1> {
        let prior = self.prior.log_prob(self.top(&x, h).clone());
        self.generative_pairs(&x, h).fold(prior, |sum, (layer, x, y)| sum + layer.log_prob(x, y))
    }

    fn log_posterior(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<1> {
        self.recognition_pairs(&self.centred(x.clone()), h)
            .map(|(layer, x, y)| layer.log_prob(x, y))
            .reduce(|sum, log_prob| sum + log_prob)
            .unwrap_or_else(|| nothing(&x, x.dims()[0]).log_prob)
    }

    fn trace_joint(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Traced {
        let layers = self.generative_pairs(&x, h).map(Some).chain(std::iter::once(None));
        let work = multiplications(self.top(&x, h).dims()[0], &self.generative);
        let scored = side_by_side(&x.device(), work, layers, |layer| match layer {
            Some((layer, x, y)) => layer.score(x, y),
            None => self.prior.score(self.top(&x, h).clone()),
        });
        collect(scored.into_iter()).expect("there is always a prior")
    }

    fn trace_posterior(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Traced {
        let centred = self.centred(x.clone());
        let layers = self.recognition_pairs(&centred, h);
        let work = multiplications(self.top(&x, h).dims()[0], &self.recognition);
        let scored = side_by_side(&x.device(), work, layers, |(layer, x, y)| layer.score(x, y));
        collect(scored.into_iter()).unwrap_or_else(|| nothing(&x, x.dims()[0]))
    }

    fn propose(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Proposals<Vec<Tensor<2>>> {
        let marked = (defence > 0.0).then(|| marks(draws, 0.0..defence));
        let mut latents: Vec<Tensor<2>> = Vec::with_capacity(self.depth());
        let mut y = self.centred(x.clone());
        let q = collect(self.recognition.iter().enumerate().map(|(l, layer)| {
            let drawn = layer.draw(y.clone(), &layer_draws(draws, l), marked.as_deref());
            y = drawn.x.clone();
            latents.push(drawn.x);
            drawn.scored
        }))
        .unwrap_or_else(|| nothing(&x, draws.len()));
        let log_proposal = if defence > 0.0 {
            let uniform = -(self.latent_sizes().iter().sum::<usize>() as f64) * std::f64::consts::LN_2;
            let own = (q.log_prob.clone() + (1.0 - defence).ln()).unsqueeze_dim::<2>(1);
            let other = own.full_like(uniform + defence.ln());
            log_sum_exp(Tensor::cat(vec![own, other], 1))
        } else {
            q.log_prob.clone()
        };
        let x = if self.depth() == 0 { repeat_rows(x, draws.k()) } else { x };
        let p = self.trace_joint(x, &latents);
        Proposals { latents, p, q, log_proposal, k: draws.k() }
    }

    fn log_weights(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2> {
        if self.depth() == 0 {
            // Without latents all samples are the same.
            return self.prior.score(x).log_prob.unsqueeze_dim::<2>(1).repeat_dim(1, draws.k());
        }
        let mut latents: Vec<Tensor<2>> = Vec::with_capacity(self.depth());
        let mut y = self.centred(x.clone());
        let q = self.recognition.iter().enumerate().map(|(l, layer)| {
            let (h, log_prob) = layer.sample(y.clone(), &layer_draws(draws, l));
            y = h.clone();
            latents.push(h);
            log_prob
        });
        let q = q.reduce(|sum, log_prob| sum + log_prob).expect("there are latents");
        let layers = self.generative_pairs(&x, &latents).map(Some).chain(std::iter::once(None));
        let work = multiplications(draws.len(), &self.generative);
        let by_layer = side_by_side(&x.device(), work, layers, |layer| match layer {
            Some((layer, x, y)) => layer.constant_log_prob(x, y),
            None => self.prior.constant_log_prob(self.top(&x, &latents).clone()),
        });
        let p = by_layer.into_iter().reduce(|sum, log_prob| sum + log_prob).expect("there is always a prior");
        (p - q).reshape([draws.n_rows(), draws.k()])
    }

    /// s is half the prior and half the uniform distribution over all states.
    fn log_weights_defended(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Tensor<2> {
        if self.depth() == 0 { self.log_weights(x, draws) } else { self.defended(x, draws, defence) }
    }

    fn dream(&self, draws: &Draws) -> (Tensor<2>, Vec<Tensor<2>>) {
        let top = self.depth();
        let mut h = vec![self.prior.draw(&layer_draws(draws, top))];
        for (l, layer) in self.generative.iter().enumerate().rev() {
            let y = h[h.len() - 1].clone();
            h.push(layer.draw(y, &layer_draws(draws, l), None).x);
        }
        h.reverse();
        let x = h.remove(0);
        (x, h)
    }

    fn decode(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<2> {
        match (self.generative.first(), h.first()) {
            (Some(layer), Some(h)) => layer.mean(x, h.clone()),
            _ => self.prior.mean(x),
        }
    }

    fn joint_gradient(
        &self,
        x: Tensor<2>,
        h: &Vec<Tensor<2>>,
        traces: &[Tensor<2>],
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        add_gradients_of(self.generative_pairs(&x, h), traces, &weights, into);
        let (top, trace) = (self.top(&x, h).clone(), traces[self.depth()].clone());
        // Without latents, one row of x may serve k equal proposals.
        let k = trace.dims()[0] / top.dims()[0];
        self.prior.gradient(repeat_rows(top, k), trace, weights, into);
    }

    fn posterior_gradient(
        &self,
        x: Tensor<2>,
        h: &Vec<Tensor<2>>,
        traces: &[Tensor<2>],
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        add_gradients_of(self.recognition_pairs(&self.centred(x), h), traces, &weights, into);
    }
}

impl<C: Conditional, P: Prior> Layerwise for Stack<C, P> {
    fn generate(&self, l: usize, above: Option<Tensor<2>>, draws: &Draws) -> Tensor<2> {
        match above {
            Some(above) => self.generative[l].draw(above, draws, None).x,
            None => self.prior.draw(draws),
        }
    }

    fn recognise(&self, l: usize, below: Tensor<2>, draws: &Draws) -> Tensor<2> {
        self.recognition[l - 1].draw(self.seen(l, below), draws, None).x
    }

    fn log_generative(&self, l: usize, h: Tensor<2>, above: Option<Tensor<2>>) -> Tensor<1> {
        match above {
            Some(above) => self.generative[l].score(h, above).log_prob,
            None => self.prior.score(h).log_prob,
        }
    }

    fn log_recognition(&self, l: usize, h: Tensor<2>, below: Tensor<2>) -> Tensor<1> {
        self.recognition[l - 1].score(h, self.seen(l, below)).log_prob
    }

    fn recognition_gradient(
        &self,
        l: usize,
        h: Tensor<2>,
        below: Tensor<2>,
        trace: Tensor<2>,
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        self.recognition[l - 1].gradient(h, self.seen(l, below), trace, weights, into);
    }

    fn observed_are_independent(&self) -> bool {
        self.generative.first().is_some_and(Conditional::is_factorial)
    }
}

/// Marks the matrix rows that one component of a mixture proposes: those whose uniform for the choice is in `range`.
pub(crate) fn marks(draws: &Draws, range: std::ops::Range<f64>) -> Vec<bool> {
    let key = draws.child(Role::Mixture).key();
    (0..draws.len())
        .map(|i| {
            let (row, sample) = draws.cell(i);
            let mut u = [0.0f64];
            fill_uniform(key, row, sample, &mut u);
            range.contains(&u[0])
        })
        .collect()
}

impl<C: Conditional, P: Prior> Enumerable for Stack<C, P> {
    fn latent_bits(&self) -> usize {
        self.latent_sizes().iter().sum()
    }

    fn states(&self, first: u64, n: usize) -> Vec<Tensor<2>> {
        let bits = enumerate_bits(self.latent_bits(), first, n, self.dtype(), &self.device());
        bits.split_with_sizes(self.latent_sizes(), 1)
    }

    fn log_joint_table(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<2> {
        let Some(lowest) = self.generative.first() else {
            return self.prior.score(x).log_prob.unsqueeze_dim(1);
        };
        let prior = self.prior.score(self.top(&x, h).clone()).log_prob;
        let latents = self
            .generative_pairs(&x, h)
            .skip(1)
            .fold(prior, |sum, (layer, x, y)| sum + layer.score(x, y).log_prob);
        lowest.log_prob_table(x, h[0].clone()) + latents.unsqueeze()
    }

    fn log_posterior_table(&self, x: Tensor<2>, h: &Vec<Tensor<2>>) -> Tensor<2> {
        let Some(lowest) = self.recognition.first() else {
            return nothing(&x, x.dims()[0]).log_prob.unsqueeze_dim(1);
        };
        let centred = self.centred(x);
        let table = lowest.log_prob_table(h[0].clone(), centred.clone()).transpose();
        self.recognition_pairs(&centred, h)
            .skip(1)
            .fold(table, |sum, (layer, x, y)| sum + layer.score(x, y).log_prob.unsqueeze())
    }
}
