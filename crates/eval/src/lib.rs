//! Likelihood evaluation.
//!
//! | module | evaluator |
//! | --- | --- |
//! | [`exact`] | `log p(x)`, `log p̃*(x)` and 2 log Z by enumeration of all states |
//! | [`importance`] | `log p(x)` and `log p̃*(x)` by importance sampling from the recognition net, in bounded memory |
//! | [`ais`] | `log p(x)` by annealed importance sampling, of models whose latents are functions of noise |
//! | [`annealing`] | log Z of any density with a path of densities to it, by annealed importance sampling; its weights for any kernel |
//! | [`plan`] | how many chains and temperatures such an estimate gets for an error of log Z |
//! | [`formula`] | likelihoods that have a closed form |
//! | [`active`] | how many units of such a model carry information about the data |
//! | [`partition`] | 2 log Z of a bidirectional Helmholtz machine, from draws of the machine |
//! | [`allocation`] | how many samples each row gets for an error of their mean |
//! | [`halves`] | the error of a logarithm of a mean, by halves and quarters of the samples |
//! | [`check`] | whether importance sampling can be trusted: what the recognition net misses |
//! | [`similarity`] | how close samples are to data: moments, and adversarial accuracy |
//! | [`row`] | the estimate of one row, with its errors |
//! | [`summary`] | means over rows with their errors |
//!
//! The importance-sampling estimate of a row is too low on average. [`RowEstimate`]
//! carries estimates of its error, and [`exact`] gives values to check it against.

pub mod active;
pub mod ais;
pub mod allocation;
pub mod annealing;
pub mod check;
pub mod exact;
pub mod formula;
pub mod halves;
pub mod importance;
pub mod partition;
pub mod plan;
pub mod row;
pub mod similarity;
pub mod streaming;
pub mod summary;

pub use active::{ACTIVE_ABOVE, Activity};
pub use ais::{AnnealedImportanceSampling, AnnealedRow};
pub use allocation::Within;
pub use annealing::{AnnealedPartition, Annealing, Schedule};
pub use check::{Check, CheckVerdict, Checked, Suspicion};
pub use exact::{ExactError, ExactLikelihood, MAX_JOINT_BITS, MAX_LATENT_BITS};
pub use formula::LikelihoodFormula;
pub use halves::Halves;
pub use importance::{ImportanceSampling, Reading, RowWeights, ZeroWeight};
pub use partition::{FEWEST_DRAWS, LogPartition, PartitionFunction};
pub use plan::{PlannedPartition, Round, WithinPartition};
pub use row::RowEstimate;
pub use similarity::{AdversarialAccuracy, UnitMoments};
pub use summary::{NllSummary, summarise};
