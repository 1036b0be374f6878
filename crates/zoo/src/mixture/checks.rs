//! The doctor's checks of mixtures and of the strategies on them.

use burn::tensor::{Int, Tensor};
use helmholtz_core::{Batch, Draws, Key, Target, Tractable};
use helmholtz_mixture::{BernoulliMixture, BernoulliMixtureConfig};
use helmholtz_strategies::{ExpectationMaximisation, MaximumLikelihood};

use crate::check::{DoctorCheck, On, Outputs, of_strategy};

const TOLERANCE: f64 = 1e-4;
const OBSERVED: usize = 13;

fn mixture(on: &On) -> BernoulliMixture {
    let config = BernoulliMixtureConfig { classes: 3, ..BernoulliMixtureConfig::new(OBSERVED, 7) };
    on.cast(config.init(None, Key::new(1), &on.device).expect("the sizes make a mixture"))
}

/// The checks of the distribution, with missing values and with classes, and of both strategies.
pub fn checks() -> Vec<DoctorCheck> {
    let law = |on: &On, out: &mut Outputs| {
        let mixture = mixture(on);
        let whole = Batch::of(on.bits("x", [5, OBSERVED]));
        let classes = Tensor::<1, Int>::from_ints([0, 1, 2, 1, 0], &on.device);
        let missing = whole.clone().with_mask(on.bits("mask", [5, OBSERVED]));
        out.put("log p", mixture.log_prob(&whole));
        out.put("log p with classes", mixture.log_prob(&whole.with_target(Target::Classes(classes))));
        out.put("log p with missing values", mixture.log_prob(&missing));
        out.put("log p of classes", mixture.log_class_probabilities(&missing));
        out.put("filled in", mixture.impute(&missing));
        out.put("dreams", mixture.dream(&Draws::new(Key::new(3), 6, 1)).0);
    };
    vec![
        DoctorCheck::new("model", "mixture of classes", TOLERANCE, law),
        DoctorCheck::new("strategy", "ml", TOLERANCE, |on, out| {
            of_strategy(on, out, &mixture(on), &MaximumLikelihood {});
        }),
        DoctorCheck::new("strategy", "em", TOLERANCE, |on, out| {
            let mixture = mixture(on);
            of_strategy(on, out, &mixture, &ExpectationMaximisation::new(&mixture, 0.6));
        }),
    ]
}
