//! What a model can do that not every model can.
//!
//! Each ability is a trait, which is implemented for every model that has the contract of `core`: [`Summed`] for
//! [`Enumerable`] models, [`Chained`] for [`Layerwise`] and [`Smooth`] for [`Reparameterized`] ones. A model states
//! by [`Can`] which of them it has. A request for another gives an error that says what the model has.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use helmholtz_core::{
    Batch, Draws, Enumerable, Estimate, Gradients, Key, Layerwise, Reparameterized, Tractable,
};
use helmholtz_court::{Enumeration, Exact, Quadrature, ReferenceError, States, StatesError, Supported};
pub use helmholtz_energy::{Transitions, divergence};
use helmholtz_eval::annealing::{AnnealedPartition, Annealing};
use helmholtz_eval::exact::ExactError;
use helmholtz_eval::importance::ZeroWeight;
use helmholtz_eval::{
    Activity, AnnealedImportanceSampling, AnnealedRow, Check, Checked, ExactLikelihood, Reading, RowEstimate,
};
use helmholtz_samplers::{Chains, Gibbs, GibbsError, Known, NoWeight, OneShot, Swaps};
pub use helmholtz_strategies::Connectivity;

use crate::error::ConfigError;
use crate::training_rows::TrainingRows;

/// What a model can do beyond [`LatentVariableModel`](helmholtz_core::LatentVariableModel).
pub trait Can {
    /// Sums over all states, if latents are bits.
    fn summed(&self) -> Option<&dyn Summed> {
        None
    }

    /// Chains through its layers.
    fn chained(&self) -> Option<&dyn Chained> {
        None
    }

    /// Moves along smooth functions of noise, if latents are real numbers.
    fn smooth(&self) -> Option<&dyn Smooth> {
        None
    }

    /// A likelihood in closed form.
    fn formula(&self) -> Option<&dyn Formula> {
        None
    }

    /// Draws of x, if there are no latents to dream.
    fn drawn(&self) -> Option<&dyn Drawn> {
        None
    }

    /// A density up to a factor, if the model is given by an energy.
    fn unnormalised(&self) -> Option<&dyn Unnormalised> {
        None
    }

    /// Connections between two layers, among which training can choose.
    fn connected(&self) -> Option<&dyn Connected> {
        None
    }

    /// A likelihood whose gradient can be computed, though it may take a sum over many states.
    fn likelihood(&self) -> Option<&dyn Likelihood> {
        None
    }

    /// The units of a row in the order in which the model visits them, if its layer over the data is autoregressive.
    fn order(&self) -> Option<Vec<usize>> {
        None
    }

    /// Whether it is a model of rows given their classes, `p(x | y)`. Batches for it then have classes as their target.
    fn is_conditional(&self) -> bool {
        false
    }

    /// Classes of rows.
    fn classified(&self) -> Option<&dyn Classified> {
        None
    }

    /// Recognition means of each row of a batch, layer by layer, each given the means of the one below. There is at
    /// least one layer.
    ///
    /// # Errors
    /// If the model has no recognition means.
    fn encode(&self, _batch: &Batch) -> Result<Vec<Tensor<2>>, ConfigError> {
        Err(ConfigError("the model has no recognition means, so there is nothing to encode into".into()))
    }

    /// The filters of the hidden units next to the data: the connections of each to the values of a row, `[units, d]`.
    ///
    /// # Errors
    /// If no hidden unit has connections to the values of a row.
    fn filters(&self) -> Result<Tensor<2>, ConfigError> {
        Err(ConfigError(
            "the model has no filters: filters are connections of hidden units to the values of a row, which a \
             restricted Boltzmann machine has; train one with --model rbm"
                .into(),
        ))
    }
}

impl dyn Can {
    /// Sums over states. `what` is the end of the error message: what needs them, and what would fit.
    ///
    /// # Errors
    /// If the latents are not bits.
    pub fn summed_for(&self, what: &str) -> Result<&dyn Summed, ConfigError> {
        self.summed().ok_or_else(|| self.refuse(what))
    }

    /// Chains; `what` as for sums.
    ///
    /// # Errors
    /// If there are no layers of bits.
    pub fn chained_for(&self, what: &str) -> Result<&dyn Chained, ConfigError> {
        self.chained().ok_or_else(|| self.refuse(what))
    }

    /// Moves in the noise; `what` as for sums.
    ///
    /// # Errors
    /// If latents are not smooth functions of noise.
    pub fn smooth_for(&self, what: &str) -> Result<&dyn Smooth, ConfigError> {
        self.smooth().ok_or_else(|| self.refuse(what))
    }

    /// Number of latent bits, or `None` if the latents are not bits.
    pub fn latent_bits(&self) -> Option<usize> {
        self.summed().map(Summed::bits)
    }

    /// The states that exact expectations for one row `x` sum over.
    ///
    /// # Errors
    /// If there are too many, or they cannot be summed over.
    pub fn states(&self, x: Tensor<2>) -> Result<Supported<Vec<Tensor<2>>>, StatesError> {
        match (self.summed(), self.smooth()) {
            (Some(summed), _) => summed.states(x),
            (None, Some(smooth)) => smooth.states(x),
            (None, None) => Err(StatesError::Neither),
        }
    }

    fn refuse(&self, what: &str) -> ConfigError {
        ConfigError(match (self.latent_bits(), self.smooth()) {
            (Some(0), _) => format!("the model has no latents: {what}"),
            (Some(_), _) => format!("the latents of the model are bits: {what}"),
            (None, Some(_)) => format!("the latents of the model are real numbers: {what}"),
            (None, None) => {
                format!("the latents of the model are neither bits nor smooth functions of noise: {what}")
            }
        })
    }
}

/// A likelihood in closed form, of rows with missing values and, if the batch has them, with their targets.
pub trait Formula {
    /// `log p` of each row in nats: `[n]`.
    fn log_probs(&self, batch: &Batch) -> Tensor<1>;
}

impl<M: Tractable> Formula for M {
    fn log_probs(&self, batch: &Batch) -> Tensor<1> {
        self.log_prob(batch)
    }
}

/// A likelihood that can be ascended.
pub trait Likelihood {
    /// The units over whose states each update sums; 0 for a formula.
    fn summed_units(&self) -> usize {
        0
    }

    /// The update of [`MaximumLikelihood`](helmholtz_strategies::MaximumLikelihood).
    fn ascend(&self, batch: &Batch, key: Key) -> Estimate;

    /// The exact vectors that the update is compared with, found in another way.
    ///
    /// # Errors
    /// If there are too many states.
    fn gradient(&self, batch: &Batch) -> Result<Box<dyn Exact>, ReferenceError>;
}

/// The law that annealing begins with.
#[derive(Clone, Copy, Debug)]
pub enum Base<'a> {
    /// Independent units with the means and variances of the training rows.
    Data(&'a TrainingRows),
    /// Fair coins. Annealing from them can miss much of a model's mass.
    Uniform,
}

/// Enumerated units up to which log Z is computed exactly where nothing else is asked for: a sum of seconds.
pub const EXACT_UNITS: usize = 23;

/// A density `exp(-F(x)) / Z`, with chains that sample it.
pub trait Unnormalised {
    /// F of each row, in nats: `[n]`.
    fn free_energies(&self, x: Tensor<2>) -> Tensor<1>;

    /// The units over whose states log Z is a sum.
    fn enumerated_units(&self) -> usize;

    /// log Z in nats, exactly.
    ///
    /// # Errors
    /// If there are too many states.
    fn log_partition(&self) -> Result<f64, ConfigError>;

    /// log Z by annealing; `on_step` gets the number of temperatures that are done.
    fn anneal(
        &self,
        by: &Annealing,
        base: &Base<'_>,
        key: Key,
        on_step: &mut dyn FnMut(usize),
    ) -> AnnealedPartition {
        AnnealedPartition::of_log_weights(&self.anneal_part(by, 0..by.chains, base, key, on_step))
    }

    /// The log weights of some of the chains alone, whose exponentials have the mean Z; `on_step` as for annealing.
    /// The draws of a chain are keyed by its number.
    fn anneal_part(
        &self,
        by: &Annealing,
        chains: Range<usize>,
        base: &Base<'_>,
        key: Key,
        on_step: &mut dyn FnMut(usize),
    ) -> Vec<f64>;

    /// `log p_ann` of each row by reverse annealing, on average too low; `on_step` as for annealing.
    fn anneal_back(
        &self,
        by: &Annealing,
        base: &Base<'_>,
        rows: (Tensor<2>, Arc<[u64]>),
        key: Key,
        on_step: &mut dyn FnMut(usize),
    ) -> Vec<RowEstimate>;

    /// A start for chains, one row for each matrix row of `draws`: `[n, d]`.
    fn noise(&self, draws: &Draws) -> Tensor<2>;

    /// A sweep of each chain, `[n, d]`, which leaves the law of the model invariant.
    fn sweep(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2>;

    /// A step of parallel tempering at so many inverse temperatures, equally spaced from 1 to 0: a sweep of each chain, and
    /// swaps between the even pairs of neighbouring temperatures or the odd ones. It leaves the laws of all temperatures
    /// invariant. `x` holds equally many chains for each, those of the model itself in front: `[n, d]`.
    fn temper(&self, x: Tensor<2>, temperatures: usize, is_odd: bool, key: Key) -> (Tensor<2>, Swaps);

    /// The means of x given hidden units that are drawn given x: `[n, d]`.
    fn resample(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2>;

    /// The means of x given the means of the hidden units given x: `[n, d]`.
    fn reconstruct(&self, x: Tensor<2>) -> Tensor<2>;

    /// Laws of its chains over all states of x.
    ///
    /// # Errors
    /// If there are too many states.
    fn transitions(&self) -> Result<Transitions, ConfigError>;
}

/// Connections between two layers, each of which may be there or not. Parameters are given as `[n]`, in the order of
/// [`map_params`](helmholtz_core::map_params): see [`BoxedModel::with_values`](crate::BoxedModel::with_values).
pub trait Connected {
    /// The parameters of a machine of the same sizes whose edges are each there with probability `share`, and whose
    /// biases are zero.
    fn disconnected(&self, share: f64, key: Key) -> (Vec<Tensor<1>>, Connectivity);

    /// The parameters after an update of connections, edges and biases, given the gradients of a loss.
    fn reconnected(
        &self,
        connectivity: &Connectivity,
        gradients: &Gradients,
        rate: f64,
    ) -> (Vec<Tensor<1>>, Connectivity);
}

/// Draws of x from a model without latents that a recognition net proposes.
pub trait Drawn {
    /// `x ~ p(x)`, one for each matrix row of `draws`, or the means of its units given all else that was drawn: `[n, d]`.
    fn draw(&self, draws: &Draws, means: bool) -> Tensor<2>;

    /// Whether units are independent given all else that was drawn, so that their means say more than draws.
    fn units_are_independent(&self) -> bool;
}

/// Classes of rows.
pub trait Classified {
    /// `log p(y | x)` of each class: `[n, classes]`.
    fn log_class_probabilities(&self, batch: &Batch) -> Tensor<2>;
}

/// Sums over all states of latent bits.
pub trait Summed {
    /// Bits of all latents.
    fn bits(&self) -> usize;

    /// `log p` of each row of `x` in nats, or the unnormalised `log p̃*`.
    ///
    /// # Errors
    /// If there are too many states.
    fn log_probs(&self, x: Tensor<2>, reading: Reading) -> Result<Vec<f64>, ExactError>;

    /// 2 log Z of the bidirectional reading.
    ///
    /// # Errors
    /// If there are too many states.
    fn log_z2(&self) -> Result<f64, ExactError>;

    /// All states of a row `x`, `[1, d_x]`.
    ///
    /// # Errors
    /// If there are too many.
    fn states(&self, x: Tensor<2>) -> Result<Supported<Vec<Tensor<2>>>, StatesError>;
}

impl<M: Enumerable<Latents = Vec<Tensor<2>>>> Summed for M {
    fn bits(&self) -> usize {
        self.latent_bits()
    }

    fn log_probs(&self, x: Tensor<2>, reading: Reading) -> Result<Vec<f64>, ExactError> {
        ExactLikelihood::default().score(self, x, reading)
    }

    fn log_z2(&self) -> Result<f64, ExactError> {
        ExactLikelihood::default().log_z2(self)
    }

    fn states(&self, x: Tensor<2>) -> Result<Supported<Vec<Tensor<2>>>, StatesError> {
        Enumeration.of(self, x)
    }
}

/// Chains through layers of bits, under the bidirectional reading of a model.
pub trait Chained {
    /// Sizes of all layers, the observed one first.
    fn sizes(&self) -> Vec<usize>;

    /// Whether observed units are independent given the latents.
    fn observed_are_independent(&self) -> bool;

    /// One sweep over all layers.
    ///
    /// # Errors
    /// If there are known units that chains cannot keep fixed, or a chain cannot go on.
    fn sweep(
        &self,
        by: &Gibbs,
        chains: &Chains,
        known: Option<&Known>,
        key: Key,
    ) -> Result<Chains, GibbsError>;

    /// `n` samples by one resampling of ancestral samples.
    ///
    /// # Errors
    /// If the weights of all draws of a sample are zero or not finite.
    fn sample(&self, by: &OneShot, n: usize, key: Key) -> Result<Chains, NoWeight>;

    /// The findings of an evaluation's check on rows of data, and on dreams.
    fn check(&self, check: &Check, x: Tensor<2>, rows: Arc<[u64]>, keys: [Key; 2]) -> Checked;
}

impl<M: Layerwise + Enumerable> Chained for M {
    fn sizes(&self) -> Vec<usize> {
        let latents = self.states(0, 1);
        std::iter::once(self.observed()).chain(latents.iter().map(|layer| layer.dims()[1])).collect()
    }

    fn observed_are_independent(&self) -> bool {
        Layerwise::observed_are_independent(self)
    }

    fn sweep(
        &self,
        by: &Gibbs,
        chains: &Chains,
        known: Option<&Known>,
        key: Key,
    ) -> Result<Chains, GibbsError> {
        by.sweep(self, chains, known, key)
    }

    fn sample(&self, by: &OneShot, n: usize, key: Key) -> Result<Chains, NoWeight> {
        by.sample(self, n, key)
    }

    fn check(&self, check: &Check, x: Tensor<2>, rows: Arc<[u64]>, keys: [Key; 2]) -> Checked {
        check.of_bits(self, x, rows, keys)
    }
}

/// Latents that are smooth functions of noise.
pub trait Smooth {
    /// Number of noise values for each row.
    fn noise_units(&self) -> usize;

    /// `log p` of each row of `x` by annealing; `on_pairs` is called with the number of (row, temperature) pairs that
    /// are done, and the number planned.
    ///
    /// # Errors
    /// If the weights of all chains of a row are zero or not finite.
    fn anneal(
        &self,
        by: &AnnealedImportanceSampling,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        key: Key,
        on_pairs: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<Vec<AnnealedRow>, ZeroWeight>;

    /// Adds further rows to the variances of the units' means.
    fn add_activity(&self, x: Tensor<2>, to: &mut Activity);

    /// The findings of an evaluation's check on dreams.
    fn check(&self, check: &Check, own: Key) -> Checked;

    /// Grid points in place of all latents of a row `x`, `[1, d_x]`.
    ///
    /// # Errors
    /// If there are too many units, or the nets are too steep for a grid.
    fn states(&self, x: Tensor<2>) -> Result<Supported<Vec<Tensor<2>>>, StatesError>;
}

impl<M: Reparameterized<Latents = Vec<Tensor<2>>>> Smooth for M {
    fn noise_units(&self) -> usize {
        Reparameterized::noise_units(self)
    }

    fn anneal(
        &self,
        by: &AnnealedImportanceSampling,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        key: Key,
        on_pairs: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<Vec<AnnealedRow>, ZeroWeight> {
        by.estimate(self, x, rows, key, on_pairs)
    }

    fn add_activity(&self, x: Tensor<2>, to: &mut Activity) {
        to.add(self, x);
    }

    fn check(&self, check: &Check, own: Key) -> Checked {
        check.of_dreams(self, own)
    }

    fn states(&self, x: Tensor<2>) -> Result<Supported<Vec<Tensor<2>>>, StatesError> {
        Quadrature::default().of(self, x)
    }
}
