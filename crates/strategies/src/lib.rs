//! Training strategies.
//!
//! | module | strategy | theta follows | phi follows |
//! | --- | --- | --- | --- |
//! | [`wake_sleep`] | [`WakeSleep`] | the ELBO | `E_p log q(h \| x)` on dreams |
//! | [`rws`] | [`ReweightedWakeSleep`] | the K-sample bound | `E_{p(h \| x)} log q(h \| x)` on the data, on dreams, or both |
//! | [`bihm`] | [`Bidirectional`] | the K-sample bound on `log p̃*(x)` | `log p̃*(x)`, with a bias of order 1/K |
//! | [`reinforce`] | [`Reinforce`] | the ELBO | the ELBO, by the score function, each sample less the mean of the others |
//! | [`nvil`] | [`Nvil`] | the ELBO | the ELBO, by the score function, layer by layer, less learned baselines |
//! | [`vimco`] | [`Vimco`] | the K-sample bound | the K-sample bound, by the score function, with a baseline for each sample |
//! | [`coupled`] | [`Coupled`] | `log p(x)` itself, by coupled chains | the K-sample bound |
//! | [`pathwise`] | [`Pathwise`] with [`Weighting::Elbo`] | the ELBO | the ELBO, along the path from the noise |
//! | [`pathwise`] | [`Pathwise`] with [`Weighting::Stl`] | the ELBO | the ELBO, without the score of q |
//! | [`pathwise`] | [`Pathwise`] with [`Weighting::Iwae`] | the K-sample bound | the K-sample bound, along the path |
//! | [`pathwise`] | [`Pathwise`] with [`Weighting::Dreg`] | the K-sample bound | the K-sample bound, doubly reparameterised |
//!
//! Where the likelihood has a closed form, [`MaximumLikelihood`] ascends it. [`ExpectationMaximisation`] steps to the
//! maximum given the expected statistics of the latents.
//!
//! Energy models are trained by [`contrastive`] strategies: [`ContrastiveDivergence`], [`PersistentChains`] and
//! [`Tempering`], which differ in the samples that stand for the model, and [`IndependentSamples`], which weights samples
//! instead of moving them. [`EnergyDiscrepancy`] needs no samples of the model.
//!
//! [`connectivity`] is no strategy of its own: with the gradient of any of these, it also learns which units are
//! connected.
//!
//! Each strategy is a pure function of model, batch and key. Those for latents have an inner function that takes its
//! proposals as an argument, so that exact tests can pass in all possible ones. [`Coupled`], [`Nvil`],
//! [`ExpectationMaximisation`] and strategies with persistent chains also keep state between calls: β of the chains,
//! running signals, statistics, states.
//!
//! [`wake`] has the pieces that they share, from which a strategy of one's own is built.

mod baseline;
pub mod bihm;
pub mod connectivity;
pub mod contrastive;
pub mod coupled;
pub mod energy_discrepancy;
pub mod expectation_maximisation;
pub mod maximum_likelihood;
pub mod nvil;
pub mod pathwise;
pub mod reinforce;
pub mod rws;
pub mod vimco;
pub mod wake;
pub mod wake_sleep;

pub use bihm::{Bidirectional, BidirectionalError};
pub use connectivity::Connectivity;
pub use contrastive::{
    Centring, ContrastiveDivergence, IndependentSamples, Offsets, PersistentChains, Start, Tempering,
};
pub use coupled::{Coupled, Kernel};
pub use energy_discrepancy::EnergyDiscrepancy;
pub use expectation_maximisation::ExpectationMaximisation;
pub use maximum_likelihood::MaximumLikelihood;
pub use nvil::Nvil;
pub use pathwise::{Pathwise, Weighting};
pub use reinforce::Reinforce;
pub use rws::{ReweightedWakeSleep, RwsError};
pub use vimco::Vimco;
pub use wake::TooFewSamples;
pub use wake_sleep::WakeSleep;
