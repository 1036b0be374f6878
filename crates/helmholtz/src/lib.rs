//! Deep generative models with latent variables, and the strategies that train them, on Burn.
//!
//! This crate is the front page: it re-exports the workspace's libraries under one name.
//!
//! | module | contents |
//! | --- | --- |
//! | [`core`] | the contracts between layers, models, strategies and evaluators |
//! | [`directed`] | sigmoid belief networks and other stacks, with their recognition nets |
//! | [`vae`] | variational autoencoders |
//! | [`mixture`] | mixtures of Bernoulli units, with classes and missing values |
//! | [`energy`] | restricted Boltzmann machines |
//! | [`strategies`] | wake-sleep, reweighted wake-sleep, VIMCO, REINFORCE, NVIL, bidirectional Helmholtz machines, ELBO, IWAE and variants, coupled chains, maximum likelihood and EM |
//! | [`court`] | compares the updates of any strategy, including yours, with the exact gradient |
//! | [`samplers`] | Gibbs chains and independent samples for bidirectional machines, coupled chains for any posterior |
//! | [`eval`] | exact and importance-sampled likelihoods with their errors |
//! | [`train`] | training with Burn's learner: run folders, metrics, exact resume |
//! | [`zoo`] | the registry of families: models and strategies by their names in a config |
//! | [`datasets`] | data sets by protocol and hash |
//! | [`layers`], [`ops`], [`noise`] | stochastic layers, fused operations, keyed randomness |
//!
//! ```
//! use burn::tensor::Device;
//! use helmholtz::prelude::*;
//!
//! let data = helmholtz::datasets::load("lines/3x3", None).unwrap();
//! let device = Device::flex();
//! let sbn = StackConfig::new(9, vec![6]).init(Some(&data.train.mean()), Key::new(0), &device).unwrap();
//! let x = data.train.select(&[0, 1, 2, 3]).tensor(&device);
//! // Two strategies on the same model, the same rows and the same noise.
//! let batch = Batch::of(x.clone());
//! let ws = WakeSleep::new(1).estimate(&sbn, &batch, Key::new(1));
//! let rws = ReweightedWakeSleep::new(10).unwrap().estimate(&sbn, &batch, Key::new(1));
//! println!("{:?} and {:?}", ws.value(Measure::BOUND), rws.value(Measure::BOUND));
//! // The exact value: log p(x) by enumeration of all 64 latent states.
//! let log_p = ExactLikelihood::default().log_prob(&sbn, x).unwrap();
//! assert!(log_p.iter().all(|log_p| log_p.is_finite()));
//! ```

pub use helmholtz_core as core;
pub use helmholtz_court as court;
pub use helmholtz_datasets as datasets;
pub use helmholtz_directed as directed;
pub use helmholtz_energy as energy;
pub use helmholtz_eval as eval;
pub use helmholtz_layers as layers;
pub use helmholtz_mixture as mixture;
pub use helmholtz_noise as noise;
pub use helmholtz_ops as ops;
pub use helmholtz_samplers as samplers;
pub use helmholtz_strategies as strategies;
pub use helmholtz_train as train;
pub use helmholtz_vae as vae;
pub use helmholtz_zoo as zoo;

/// The names that most programs need.
pub mod prelude {
    pub use helmholtz_core::{
        Batch, Draws, Enumerable, Evaluator, Key, LatentVariableModel, Measure, Reparameterized, Strategy,
        Tractable, Trainable,
    };
    pub use helmholtz_directed::{HelmholtzMachine, StackConfig};
    pub use helmholtz_eval::{ExactLikelihood, ImportanceSampling, PartitionFunction, Reading, summarise};
    pub use helmholtz_mixture::{BernoulliMixture, BernoulliMixtureConfig};
    pub use helmholtz_samplers::{Chains, Gibbs, OneShot};
    pub use helmholtz_strategies::{
        Bidirectional, Coupled, ExpectationMaximisation, Kernel, MaximumLikelihood, Nvil, Pathwise,
        Reinforce, ReweightedWakeSleep, Vimco, WakeSleep, Weighting,
    };
    pub use helmholtz_vae::{Vae, VaeConfig};
}

/// The Rust of the README and of the book is compiled with the documentation tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/introduction.md")]
    struct Introduction;
    #[doc = include_str!("../../../docs/explanation/court.md")]
    struct Court;
    #[doc = include_str!("../../../docs/extend/strategy.md")]
    struct Strategy;
    #[doc = include_str!("../../../docs/extend/model.md")]
    struct Model;
    #[doc = include_str!("../../../docs/extend/data-set.md")]
    struct DataSet;
}
