//! A conditional restricted Boltzmann machine: one whose biases and connections depend on a side input u.
//!
//! Given u, `[k]`, it is the machine with
//!
//! ```text
//! a(u) = a + uA        b(u) = b + uB        W(u)ᵢⱼ = Wᵢⱼ (1 + (uG)ⱼ)
//! ```
//!
//! so that `p(v, h | u) = exp(-E(v, h; u)) / Z(u)`: each u has a partition function of its own. Without the gains G, the
//! connections are the same for all u. A class is a unit vector u.
//!
//! Its rows are those of v followed by those of u. A sweep leaves u as it is.
//!
//! With the means η of the hidden units given v and u, `α = a + uA` and `γ = 1 + uG`, the gradient of F is
//!
//! ```text
//! ∂F/∂A = u (∂F/∂α)ᵀ        ∂F/∂B = -u ηᵀ        ∂F/∂W = -v (η ∘ γ)ᵀ        ∂F/∂G = -u (η ∘ Wᵀv)ᵀ
//! ```
//!
//! with `v / s²` in the place of v for real units, and `∂F/∂α = -v` or `-(v - α) / s²`.
//!
//! # Reference
//! Taylor, Hinton, Roweis, "Modeling human motion using binary latent variables", NIPS 2006, for the biases; the gains are
//! a factored three-way interaction, as in Taylor, Hinton, "Factored conditional restricted Boltzmann machines for modeling
//! motion style", ICML 2009, with one factor for each hidden unit. Both are in Taylor, Hinton, Roweis, "Two
//! distributed-state models for generating high-dimensional time series", JMLR 12, 2011.

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor};
use helmholtz_core::{
    Batch, Contrast, Draws, EnergyModel, GENERATIVE, Gradients, Harmonium, LayerMeans, ParameterGroup,
    Tractable, Trainable, Weighed,
};
use helmholtz_ops::{bernoulli, into_f64, product};

use crate::Rbm;
use crate::partition::TooManyUnits;
use crate::rbm::{along, sum};
use crate::units::Natural;

/// A machine that depends on k numbers.
#[derive(Module, Debug)]
pub struct ConditionalRbm {
    /// The machine for u = 0, with d columns of visible units and m hidden units.
    pub rbm: Rbm,
    /// A: `[k, d]`.
    pub of_visible: Param<Tensor<2>>,
    /// B: `[k, m]`.
    pub of_hidden: Param<Tensor<2>>,
    /// G: `[k, m]`, if the connections depend on u.
    pub gains: Option<Param<Tensor<2>>>,
}

/// What a row means for the hidden units.
struct Seen {
    /// What the connections see of v: `[n, d]`.
    v: Tensor<2>,
    /// `vW`: `[n, m]`.
    product: Tensor<2>,
    /// `b + uB + (vW) ∘ γ`: `[n, m]`.
    logits: Tensor<2>,
}

impl ConditionalRbm {
    /// The conditional machine that is `rbm` for every u, until it learns otherwise: A, B and G are zero.
    ///
    /// # Panics
    /// If k, the number of side inputs, is zero, or the machine has labels.
    pub fn new(rbm: Rbm, k: usize, has_gains: bool) -> Self {
        assert!(k > 0, "a conditional machine needs at least one side input");
        assert_eq!(rbm.classes(), 0, "a label is a side input of a conditional machine or a unit, not both");
        let zeros = |columns: usize| {
            Param::from_tensor(Tensor::zeros([k, columns], (&rbm.device(), Trainable::dtype(&rbm))))
        };
        let (d, m) = (rbm.observed(), rbm.n_hidden());
        ConditionalRbm { of_visible: zeros(d), of_hidden: zeros(m), gains: has_gains.then(|| zeros(m)), rbm }
    }

    /// k, the number of side inputs.
    pub fn side_inputs(&self) -> usize {
        self.of_visible.lazy_shape()[0]
    }

    /// The machine for a side input `u`, `[1, k]`. Its parameters are constants to autodiff.
    pub fn given(&self, u: Tensor<2>) -> Rbm {
        let row = |of: &Param<Tensor<2>>| product::ab(u.clone(), of.val());
        let add = |own: &Param<Tensor<1>>, of: &Param<Tensor<2>>| own.val() + row(of).squeeze_dim::<1>(0);
        let weight = match &self.gains {
            None => self.rbm.weight.val(),
            Some(gains) => self.rbm.weight.val() * (row(gains) + 1.0),
        };
        let [visible, hidden] =
            [add(&self.rbm.visible, &self.of_visible), add(&self.rbm.hidden, &self.of_hidden)];
        let mut given =
            Rbm::new(self.rbm.layer().clone(), weight.detach(), visible.detach(), hidden.detach());
        given.log_variance = self.rbm.log_variance.as_ref().map(|own| Param::from_tensor(own.val().detach()));
        given
    }

    /// v and u of rows.
    fn split(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let (d, k) = (self.rbm.observed(), self.side_inputs());
        (x.clone().narrow(1, 0, d), x.narrow(1, d, k))
    }

    /// α of each row: `[n, d]`.
    fn biases(&self, u: Tensor<2>) -> Tensor<2> {
        product::ab(u, self.of_visible.val()) + self.rbm.visible.val().unsqueeze()
    }

    /// `values ∘ γ`: `[n, m]`.
    fn gained(&self, values: Tensor<2>, u: &Tensor<2>) -> Tensor<2> {
        match &self.gains {
            None => values,
            Some(gains) => values * (product::ab(u.clone(), gains.val()) + 1.0),
        }
    }

    fn seen(&self, v: Tensor<2>, u: &Tensor<2>) -> Seen {
        let v = self.rbm.seen(v);
        let product = product::ab(v.clone(), self.rbm.weight.val());
        let biases = product::ab(u.clone(), self.of_hidden.val()) + self.rbm.hidden.val().unsqueeze();
        let logits = self.gained(product.clone(), u) + biases;
        Seen { v, product, logits }
    }

    /// The field `W(u) h` of the visible units: `[n, d]`.
    fn field(&self, h: Tensor<2>, u: &Tensor<2>) -> Tensor<2> {
        product::abt(self.gained(h, u), self.rbm.weight.val())
    }

    /// Minus the own energies of the visible units, as for a machine.
    fn own(&self, v: Tensor<2>, u: Tensor<2>) -> (Tensor<1>, Option<Tensor<1>>) {
        self.rbm.own_with(v, self.biases(u))
    }

    /// `-Σⱼ softplus(logits)` of each row: `[n]`.
    fn log_off(&self, logits: Tensor<2>) -> Tensor<1> {
        bernoulli::log_prob(self.rbm.off(self.rbm.n_hidden()), logits)
    }

    fn add_gradient(&self, x: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) {
        let (v, u) = self.split(x);
        let Seen { v: seen, product, logits } = self.seen(v.clone(), &u);
        let h = burn::tensor::activation::sigmoid(logits);
        let weighed = |values: Tensor<2>| values * weights.clone().unsqueeze_dim::<2>(1);
        let of_hidden = weighed(h.clone());
        let by_side = |values: Tensor<2>| -product::atb(u.clone(), values);
        into.add(&self.of_hidden, by_side(of_hidden.clone()));
        if let Some(gains) = &self.gains {
            into.add(gains, by_side(of_hidden.clone() * product));
        }
        into.add(&self.rbm.hidden, -of_hidden.sum_dim(0).squeeze_dim::<1>(0));
        let of_weight = product::weighed_atb(seen, weights.clone(), self.gained(h, &u)).0;
        let mut of_visible = weighed(v.clone());
        if let (Some(precision), Some(log_variance)) = (self.rbm.precision(), &self.rbm.log_variance) {
            let is_real = self.rbm.real_columns();
            let away = v - self.biases(u.clone()) * is_real.clone().unsqueeze();
            of_visible = weighed(away.clone()) * precision.clone().unsqueeze();
            let joint = (self.rbm.weight.val() * of_weight.clone()).sum_dim(1).squeeze_dim::<1>(1);
            let squares = sum(weights.clone(), away.square());
            into.add(log_variance, (joint - precision * squares * 0.5) * is_real);
        }
        into.add(&self.of_visible, by_side(of_visible.clone()));
        into.add(&self.rbm.visible, -of_visible.sum_dim(0).squeeze_dim::<1>(0));
        into.add(&self.rbm.weight, -of_weight);
    }

    /// The places of rows that have the same side input, with the machine for it.
    fn by_side_input(&self, u: Tensor<2>) -> Vec<(Vec<usize>, Tensor<2>, Rbm)> {
        let values = into_f64(u.clone());
        let mut places: Vec<Vec<usize>> = Vec::new();
        let of_row = |row: usize| &values[row * self.side_inputs()..][..self.side_inputs()];
        for row in 0..u.dims()[0] {
            match places.iter_mut().find(|group| of_row(group[0]) == of_row(row)) {
                Some(group) => group.push(row),
                None => places.push(vec![row]),
            }
        }
        let with_machine = |group: Vec<usize>| {
            let u = u.clone().narrow(0, group[0], 1);
            let rbm = self.given(u.clone());
            (group, u, rbm)
        };
        places.into_iter().map(with_machine).collect()
    }

    /// `log Z(u)` for each row of side inputs in nats, exactly: `[n]` for `[n, k]`.
    ///
    /// # Errors
    /// If there are too many states.
    pub fn log_partitions(&self, u: Tensor<2>) -> Result<Tensor<1>, TooManyUnits> {
        let mut found = vec![0.0; u.dims()[0]];
        for (places, _, rbm) in self.by_side_input(u) {
            let log_z = rbm.log_partition()?;
            places.into_iter().for_each(|row| found[row] = log_z);
        }
        Ok(Tensor::from_data(found.as_slice(), (&self.device(), Trainable::dtype(self))))
    }

    /// The unit vectors of all k classes: `[k, k]`.
    pub fn classes(&self) -> Tensor<2> {
        Tensor::<2>::eye(self.side_inputs(), &self.device()).cast(Trainable::dtype(self))
    }

    /// `log p(y | v)` of each class, `[n, k]`, if a side input is the class of a row and all k are equally likely:
    ///
    /// ```text
    /// p(y | v) = p(v | y) / Σ_c p(v | c)
    /// ```
    ///
    /// A conditional machine knows nothing of how often a class occurs.
    ///
    /// # Shapes
    /// - `v`: `[n, d]`
    ///
    /// # Errors
    /// If there are too many states.
    pub fn log_class_probabilities(&self, v: Tensor<2>) -> Result<Tensor<2>, TooManyUnits> {
        let classes = self.classes();
        let log_z = self.log_partitions(classes.clone())?;
        let n = v.dims()[0];
        let of = |y: usize| {
            let u = classes.clone().narrow(0, y, 1).repeat_dim(0, n);
            let log_p = -self.free_energy(Tensor::cat(vec![v.clone(), u], 1)) - log_z.clone().narrow(0, y, 1);
            log_p.unsqueeze_dim::<2>(1)
        };
        Ok(log_softmax(Tensor::cat((0..self.side_inputs()).map(of).collect(), 1), 1))
    }

    /// Independent samples of the visible and of the hidden units, one for each row of side inputs: `[n, d]` and `[n, m]`.
    ///
    /// # Shapes
    /// - `u`: `[n, k]` for the n matrix rows of `draws`, with one sample of each data row
    ///
    /// # Errors
    /// If there are too many states.
    ///
    /// # Panics
    /// If there are more or fewer side inputs than data rows.
    pub fn sample(&self, u: Tensor<2>, draws: &Draws) -> Result<(Tensor<2>, Tensor<2>), TooManyUnits> {
        assert_eq!([u.dims()[0], 1], [draws.n_rows(), draws.k()], "a side input for each row to draw");
        let (mut drawn, mut order) = (Vec::new(), Vec::new());
        for (places, _, rbm) in self.by_side_input(u) {
            let numbers: Vec<u64> = places.iter().map(|place| draws.cell(*place).0).collect();
            drawn.push(rbm.sample(&Draws::of_rows(draws.key(), numbers, 1))?);
            order.extend(places);
        }
        let mut back = vec![0i64; order.len()];
        order.into_iter().enumerate().for_each(|(at, place)| back[place] = at as i64);
        let back = Tensor::<1, Int>::from_data(back.as_slice(), &self.device());
        let (v, h): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
        Ok((Tensor::cat(v, 0).select(0, back.clone()), Tensor::cat(h, 0).select(0, back)))
    }

    /// `E[v | h, u]` of each row: `[n, d]`.
    pub fn visible_means(&self, h: Tensor<2>, u: Tensor<2>) -> Tensor<2> {
        let linear = self.field(h, &u) + self.biases(u);
        let precision = self.rbm.precision().map(Tensor::unsqueeze);
        self.rbm.layer().means(&Natural { linear: self.rbm.seen(linear), precision })
    }
}

impl Trainable for ConditionalRbm {
    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    /// d, without the side input.
    fn observed(&self) -> usize {
        self.rbm.observed()
    }

    fn dtype(&self) -> DType {
        Trainable::dtype(&self.rbm)
    }

    fn device(&self) -> Device {
        self.rbm.device()
    }
}

/// x is v followed by u, and the density is `p(v | u) = exp(-F(x)) / Z(u)`.
impl EnergyModel for ConditionalRbm {
    /// The values of the batch and its side input; if it has none, its classes as unit vectors.
    fn rows(&self, batch: &Batch) -> Tensor<2> {
        let side = batch.side.clone().or_else(|| batch.unit_vectors(self.side_inputs()));
        let side = side.expect("a conditional machine needs the side inputs of rows, or their classes");
        Tensor::cat(vec![batch.whole(), side], 1)
    }

    fn free_energy(&self, x: Tensor<2>) -> Tensor<1> {
        let (v, u) = self.split(x);
        let logits = self.seen(v.clone(), &u).logits;
        let (own, real) = self.own(v, u);
        let free_energy = self.log_off(logits) - own;
        match real {
            Some(real) => free_energy - real,
            None => free_energy,
        }
    }

    fn free_energy_gradient(&self, x: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        self.add_gradient(x.clone(), weights, into);
        self.free_energy(x)
    }
}

impl Harmonium for ConditionalRbm {
    fn hidden_means(&self, x: Tensor<2>) -> Tensor<2> {
        let (v, u) = self.split(x);
        burn::tensor::activation::sigmoid(self.seen(v, &u).logits)
    }

    /// Values of v that do not depend on the parameters, with u = 0. Chains with another side input begin at rows that
    /// have it.
    fn noise(&self, draws: &Draws) -> Tensor<2> {
        let v = self.rbm.noise(draws);
        let u = Tensor::zeros([draws.len(), self.side_inputs()], (&v.device(), v.dtype()));
        Tensor::cat(vec![v, u], 1)
    }

    fn sweep(&self, x: Tensor<2>, beta: Option<Tensor<2>>, draws: &Draws) -> Tensor<2> {
        let (v, u) = self.split(x);
        let no_bias = self.rbm.hidden.val().zeros_like();
        let (logits, biases) = (self.seen(v, &u).logits, self.biases(u.clone()));
        // As for a machine, the biases of real units are not tempered.
        let (logits, of_bias, of_field) = match beta {
            None => (logits, biases, None),
            Some(beta) => {
                let is_real = self.rbm.real_columns().unsqueeze::<2>();
                let share = beta.clone() * (-is_real.clone() + 1.0) + is_real;
                (logits * beta.clone(), biases * share, Some(beta))
            }
        };
        let h = self.rbm.sample_hidden(logits, no_bias, draws);
        let field = self.field(h, &u);
        let linear = of_field.map_or(field.clone(), |beta| field * beta) + of_bias;
        let v = if self.rbm.layer().is_bits() {
            self.rbm.sample_visible(linear, self.rbm.visible.val().zeros_like(), draws)
        } else {
            let precision = self.rbm.precision().map(Tensor::unsqueeze);
            self.rbm.sample_law(&Natural { linear: self.rbm.seen(linear), precision }, draws)
        };
        Tensor::cat(vec![v, u], 1)
    }

    fn log_tempered(&self, x: Tensor<2>, beta: Tensor<2>) -> Tensor<2> {
        let (v, u) = self.split(x);
        let logits = self.seen(v.clone(), &u).logits;
        let (own, real) = self.own(v, u);
        let at = |beta: Tensor<2>| {
            let log_off = self.log_off(logits.clone() * beta.clone()).unsqueeze_dim::<2>(1);
            own.clone().unsqueeze_dim::<2>(1) * beta - log_off
        };
        let tempered = Tensor::cat(beta.clone().chunk(beta.dims()[1], 1).into_iter().map(at).collect(), 1);
        match real {
            Some(real) => tempered + real.unsqueeze_dim::<2>(1),
            None => tempered,
        }
    }

    /// With offsets, W, a and b take the step of a machine that is written with them. A and B are the same with and without
    /// offsets, and so is their step; that of gains and of variances is the plain one.
    ///
    /// # Panics
    /// If the mean side input of the samples is not that of the data: then the contrast would be one between different
    /// machines. Chains must begin at the rows of the data.
    fn contrast(
        &self,
        data: Weighed,
        samples: Weighed,
        offsets: &mut dyn FnMut(LayerMeans, LayerMeans) -> Option<LayerMeans>,
    ) -> Contrast {
        let n = data.x.dims()[0];
        let mean_input = |rows: &Weighed| into_f64(sum(rows.weights.clone(), self.split(rows.x.clone()).1));
        let is_near = |(a, b): (f64, f64)| (a - b).abs() <= 1e-3 * a.abs().max(1.0);
        assert!(
            mean_input(&data).into_iter().zip(mean_input(&samples)).all(is_near),
            "the samples of a conditional machine must have the side inputs of the data: begin chains at the data"
        );
        let means = |rows: &Weighed| LayerMeans {
            visible: sum(rows.weights.clone(), rows.x.clone()),
            hidden: sum(rows.weights.clone(), self.hidden_means(rows.x.clone())),
        };
        let offsets = offsets(means(&data), means(&samples));
        let x = Tensor::cat(vec![data.x, samples.x], 0);
        let mut plain = Gradients::new();
        self.add_gradient(x.clone(), Tensor::cat(vec![data.weights, -samples.weights], 0), &mut plain);
        let free_energy = self.free_energy(x);
        let gradients = match offsets {
            None => plain,
            Some(offsets) => self.centred(plain, offsets),
        };
        Contrast {
            gradients,
            at_data: free_energy.clone().narrow(0, 0, n),
            at_samples: free_energy.clone().narrow(0, n, free_energy.dims()[0] - n),
        }
    }
}

impl ConditionalRbm {
    /// The step of W, a and b for offsets, from the plain contrast.
    fn centred(&self, plain: Gradients, offsets: LayerMeans) -> Gradients {
        let d = self.rbm.observed();
        let mu = self.rbm.seen(offsets.visible.narrow(0, 0, d).unsqueeze()).squeeze_dim::<1>(0);
        let nu = offsets.hidden;
        let of = |param: &Param<Tensor<1>>| plain.get::<1>(param.id).expect("the contrast has it");
        let (of_visible, of_hidden) = (of(&self.rbm.visible), of(&self.rbm.hidden));
        let outer =
            |a: &Tensor<1>, b: &Tensor<1>| a.clone().unsqueeze_dim::<2>(1) * b.clone().unsqueeze::<2>();
        let by = -outer(&mu, &of_hidden) - outer(&of_visible, &nu);
        let of_weight = plain.get::<2>(self.rbm.weight.id).expect("the contrast has it") + by.clone();
        let mut centred = plain;
        centred.add(&self.rbm.weight, by);
        centred.add(&self.rbm.visible, -along(of_weight.clone(), nu));
        centred.add(&self.rbm.hidden, -sum(mu, of_weight));
        centred
    }
}

/// `log p(v | u)` by enumeration for each u that occurs.
///
/// # Panics
/// If both layers have more than 25 units.
impl Tractable for ConditionalRbm {
    fn log_prob(&self, batch: &Batch) -> Tensor<1> {
        let x = self.rows(batch);
        let log_z = self.log_partitions(self.split(x.clone()).1).unwrap_or_else(|error| panic!("{error}"));
        -self.free_energy(x) - log_z
    }

    fn likelihood_gradient(&self, batch: &Batch, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        let x = self.rows(batch);
        for (places, u, rbm) in self.by_side_input(self.split(x.clone()).1) {
            let indices: Vec<i64> = places.iter().map(|place| *place as i64).collect();
            let indices = Tensor::from_data(indices.as_slice(), &x.device());
            let v = self.split(x.clone().select(0, indices.clone())).0;
            let mut of_given = Gradients::new();
            rbm.likelihood_gradient(&Batch::of(v), weights.clone().select(0, indices), &mut of_given);
            self.add_from_given(&u, &rbm, &of_given, into);
        }
        self.log_prob(batch)
    }
}

impl ConditionalRbm {
    /// Adds the gradient of the parameters from that of the parameters of the machine for `u`, by the chain rule.
    fn add_from_given(&self, u: &Tensor<2>, rbm: &Rbm, of_given: &Gradients, into: &mut Gradients) {
        let of = |param: &Param<Tensor<1>>| of_given.get::<1>(param.id).expect("the likelihood has it");
        let outer = |row: Tensor<1>| u.clone().transpose() * row.unsqueeze::<2>();
        let (of_visible, of_hidden) = (of(&rbm.visible), of(&rbm.hidden));
        let of_weight = of_given.get::<2>(rbm.weight.id).expect("the likelihood has it");
        into.add(&self.of_visible, outer(of_visible.clone()));
        into.add(&self.of_hidden, outer(of_hidden.clone()));
        into.add(&self.rbm.visible, of_visible);
        into.add(&self.rbm.hidden, of_hidden);
        if let Some(gains) = &self.gains {
            let of_gains = (of_weight.clone() * self.rbm.weight.val()).sum_dim(0).squeeze_dim::<1>(0);
            into.add(gains, outer(of_gains));
        }
        into.add(&self.rbm.weight, self.gained(of_weight, u));
        if let (Some(own), Some(given)) = (&self.rbm.log_variance, &rbm.log_variance) {
            into.add(own, of(given));
        }
    }
}
