//! Strategies on models with a closed-form likelihood.

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{
    Batch, Estimate, Expectation, Gradients, Key, Measure, Scope, Strategy, Tractable, Trainable, map_params,
};
use helmholtz_mixture::{BernoulliMixture, BernoulliMixtureConfig};
use helmholtz_strategies::maximum_likelihood::LOG_LIKELIHOOD;
use helmholtz_strategies::{ExpectationMaximisation, MaximumLikelihood};
use helmholtz_tests::{device, distance, named, values};

const D: usize = 5;

/// A mixture of three components in double precision.
fn mixture() -> BernoulliMixture {
    let config = BernoulliMixtureConfig { spread: 1.0, ..BernoulliMixtureConfig::new(D, 3) };
    let mixture = config.init(None, Key::new(2), &device()).unwrap();
    map_params(mixture, |_, param| param.values().cast(DType::F64))
}

/// Different rows of bits.
fn rows(n: usize, from: usize) -> Batch {
    let bits: Vec<f64> =
        (from..from + n).flat_map(|row| (0..D).map(move |j| (row >> j & 1) as f64)).collect();
    Batch::of(Tensor::from_data(TensorData::new(bits, [n, D]), (&device(), DType::F64)))
}

fn at(batch: Batch, step: u64) -> Batch {
    Batch { step, ..batch }
}

fn em(step_exponent: f64) -> ExpectationMaximisation {
    ExpectationMaximisation::new(&mixture(), step_exponent)
}

#[test]
fn maximum_likelihood_descends_the_mean_of_minus_log_p() {
    let (mixture, batch) = (mixture(), rows(7, 3));
    let estimate = MaximumLikelihood {}.estimate(&mixture, &batch, Key::new(0));
    let mean = |model: &BernoulliMixture| values(model.log_prob(&batch)).iter().sum::<f64>() / 7.0;
    let found = estimate.value(LOG_LIKELIHOOD).map(values);
    assert!((found.unwrap()[0] - mean(&mixture)).abs() < 1e-12);
    let found = named(&mixture, &estimate.gradients);
    for (of, gradient) in &found {
        for (i, gradient) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                mean(&map_params(mixture.clone(), |path, param| {
                    let mut step = vec![0.0; param.shape().num_elements()];
                    if path.join(".") == *of {
                        step[i] = by;
                    }
                    param.values() + Tensor::from_data(step.as_slice(), (&device(), DType::F64))
                }))
            };
            let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((gradient + numeric).abs() < 1e-8, "{of}, {i}: {gradient} against {numeric}");
        }
    }
    assert_eq!(found.len(), 2, "the mean of the pseudo-rows is not trained");
}

#[test]
fn statistics_are_averaged_over_batches_and_the_update_goes_to_their_maximum() {
    let (mixture, batches) = (mixture(), [rows(8, 0), rows(8, 8), rows(4, 20)]);
    let strategy = em(0.7);
    let mut expected: Option<Tensor<1>> = None;
    for (step, batch) in (0u64..).zip(&batches) {
        let estimate = strategy.estimate(&mixture, &at(batch.clone(), step), Key::new(0));
        let (found, _) = mixture.expected_statistics(batch);
        let rate = (1.0 + step as f64).powf(-0.7);
        let statistics = match expected {
            None => found,
            Some(old) => old.clone() * (1.0 - rate) + found * rate,
        };
        let mut to_maximum = Gradients::new();
        mixture.beyond_maximum(statistics.clone(), &mut to_maximum);
        let (found, right) = (named(&mixture, &estimate.gradients), named(&mixture, &to_maximum));
        assert!(distance(&found, &right) < 1e-12, "step {step}");
        expected = Some(statistics);
    }
}

#[test]
fn em_on_all_rows_never_lowers_the_penalised_likelihood() {
    let (mut model, batch, strategy) = (mixture(), rows(32, 0), em(0.0));
    let penalised = |model: &BernoulliMixture| {
        let log_prob = values(model.log_prob(&batch));
        log_prob.iter().sum::<f64>() / log_prob.len() as f64 + values(model.log_prior())[0]
    };
    let mut before = penalised(&model);
    for step in 0..30 {
        let Estimate { gradients, .. } = strategy.estimate(&model, &at(batch.clone(), step), Key::new(0));
        model = map_params(model, |_, param| match param.gradient(&gradients) {
            Some(gradient) => param.values() - gradient,
            None => param.values(),
        });
        let now = penalised(&model);
        assert!(now >= before - 1e-12, "step {step}: {before} to {now}");
        before = now;
    }
}

#[test]
fn what_em_remembers_goes_on_in_another_stage_and_survives_a_record() {
    let (mixture, first, second) = (mixture(), rows(8, 0), at(rows(8, 8), 1));
    let update = |strategy: &ExpectationMaximisation| {
        named(&mixture, &strategy.estimate(&mixture, &second, Key::new(0)).gradients)
    };
    let begun = || {
        let strategy = em(0.7);
        strategy.estimate(&mixture, &first, Key::new(0));
        strategy
    };
    let expected = update(&begun());
    assert_ne!(update(&em(0.7)), expected, "the first batch counts");
    let resumed = em(0.7).load_record(begun().into_record());
    assert_eq!(update(&resumed), expected);
    // A stage with the same settings gives the same update; a stage with other settings keeps the state.
    let whole = begun();
    assert_eq!(update(&Strategy::<BernoulliMixture>::continuing(&em(0.7), &whole)), expected);
    let other = Strategy::<BernoulliMixture>::continuing(&em(0.0), &begun());
    assert_eq!(other.step_exponent, 0.0);
    let alone = em(0.0);
    assert_eq!(update(&other), update(&alone), "with an exponent of zero nothing of the past counts");
    assert_eq!(Strategy::<BernoulliMixture>::scope(&alone), Scope::AcrossBatches);
    assert_eq!(Strategy::<BernoulliMixture>::measures(&alone), [LOG_LIKELIHOOD]);
    assert!(!Strategy::<BernoulliMixture>::measures(&alone).contains(&Measure::BOUND));
    assert_eq!(mixture.groups().len(), 1);
}
