//! Statistics, their maximum, and the ascent of EM.

use burn::module::Module;
use burn::optim::GradientsParams;
use helmholtz_core::{Draws, Expectation, Gradients, Tractable, map_params};

use super::gradient::{flat, on_tape};
use super::*;

/// The model after a step of EM over all rows.
fn maximised(model: BernoulliMixture, batch: &Batch) -> BernoulliMixture {
    let mut beyond = Gradients::new();
    model.beyond_maximum(model.expected_statistics(batch).0, &mut beyond);
    map_params(model, |_, param| match param.gradient(&beyond) {
        Some(gradient) => param.values() - gradient,
        None => param.values(),
    })
}

/// What EM ascends: the mean of `log p`, plus the prior.
fn penalised(model: &BernoulliMixture, batch: &Batch) -> f64 {
    into_f64(model.log_prob(batch).mean() + model.log_prior())[0]
}

/// The largest absolute element of the gradient of [`penalised`], by autodiff.
fn steepness(model: &BernoulliMixture, batch: &Batch) -> f64 {
    let tracked = model.clone().train();
    let tape = (tracked.log_prob(&on_tape(batch)).mean() + tracked.log_prior()).backward();
    let gradients = Gradients::from(GradientsParams::from_grads(tape, &tracked));
    flat(&tracked, &gradients).into_iter().fold(0.0, |largest, g| g.abs().max(largest))
}

#[test]
fn a_step_never_lowers_what_it_ascends() {
    for (classes, missing) in kinds() {
        for smoothing in [0.0, 0.1] {
            for start in 0..10 {
                let batch = data([40, 6], classes, missing, 31);
                let mut model = mixture([classes, 3, 6], smoothing, start);
                let mut before = penalised(&model, &batch);
                for step in 0..25 {
                    model = maximised(model, &batch);
                    let after = penalised(&model, &batch);
                    // Rounding of means of 40 numbers of a few nats.
                    assert!(after >= before - 1e-13, "start {start}, step {step}: {before} to {after}");
                    before = after;
                }
            }
        }
    }
}

#[test]
fn a_fixed_point_has_no_gradient() {
    // Rows from two components that are far apart, on which EM converges quickly.
    let mut law = mixture([1, 2, 6], 0.0, 32);
    let side = |l: f64| [l, -l, l, -l, l, l];
    law.logits = Param::from_tensor(tensor([side(1.8), side(-1.8)].concat(), [2, 6]));
    let (x, _) = law.dream(&Draws::new(Key::new(32), 1200, 1));
    for (classes, missing) in kinds() {
        for smoothing in [0.0, 0.5] {
            let noise = data([1200, 6], classes, missing, 32);
            let x = noise.mask.clone().map_or(x.clone(), |mask| x.clone() * mask);
            let (batch, mut model) = (Batch { x, ..noise }, mixture([classes, 2, 6], smoothing, 32));
            let before = steepness(&model, &batch);
            for _ in 0..1000 {
                model = maximised(model, &batch);
            }
            // EM converges linearly: after 1000 steps most of the gradient is rounding.
            let after = steepness(&model, &batch);
            let what = format!("{classes} classes, missing: {missing}, smoothing {smoothing}");
            assert!(before > 1e-2 && after < 1e-9, "{what}: from {before:e} to {after:e}");
            let largest = into_f64(model.logits.val().abs().max())[0];
            assert!(largest < 10.0, "{what}: an interior point has no logit of {largest}");
        }
    }
}

#[test]
fn one_component_for_each_class_is_maximised_by_one_step_even_without_smoothing() {
    for classes in [1, 3] {
        for missing in [false, true] {
            let batch = data([60, 4], classes, missing, 33);
            let model = maximised(mixture([classes, 1, 4], 0.0, 33), &batch);
            assert!(steepness(&model, &batch) < 1e-13);
        }
    }
}

#[test]
fn one_component_gives_the_entropy_of_independent_units() {
    let batch = data([50, 7], 1, false, 34);
    let model = maximised(mixture([1, 1, 7], 0.0, 34), &batch);
    let entropy: f64 = into_f64(batch.x.clone().mean_dim(0))
        .into_iter()
        .flat_map(|p| [p, 1.0 - p])
        .map(|p| if p > 0.0 { -p * p.ln() } else { 0.0 })
        .sum();
    assert_close(&into_f64(model.log_prob(&batch).mean()), &[-entropy], 1e-13);
}

#[test]
fn the_maximum_counts_rows_and_pseudo_rows() {
    // Four rows of a unit that is on in three of them, and two pseudo-rows of mean 0.9.
    let mut model = mixture([1, 1, 1], 0.5, 35);
    model.prior_mean = Param::from_tensor(tensor(vec![0.9], [1])).set_require_grad(false);
    let batch = Batch::of(tensor(vec![1.0, 1.0, 0.0, 1.0], [4, 1]));
    let mean = into_f64(helmholtz_ops::sigmoid(maximised(model, &batch).logits.val()));
    assert_close(&mean, &[(3.0 + 2.0 * 0.9) / (4.0 + 2.0)], 1e-14);
}

#[test]
fn statistics_of_batches_average_to_those_of_all_rows() {
    for (classes, missing) in kinds() {
        let (model, batch) = (mixture([classes, 2, 5], 0.1, 36), data([12, 5], classes, missing, 36));
        let (whole, log_prob) = model.expected_statistics(&batch);
        assert_close(&into_f64(log_prob), &into_f64(model.log_prob(&batch)), 1e-14);
        let [a, b] = [0..6, 6..12].map(|rows| model.expected_statistics(&batch.slice(rows)).0);
        assert_close(&into_f64((a + b) / 2.0), &into_f64(whole), 1e-13);
    }
}

#[test]
fn statistics_do_not_depend_on_whether_a_mask_says_that_nothing_is_missing() {
    let (model, batch) = (mixture([2, 2, 5], 0.1, 37), data([12, 5], 2, false, 37));
    let masked = batch.clone().with_mask(batch.x.ones_like());
    let [plain, masked] = [batch, masked].map(|batch| into_f64(model.expected_statistics(&batch).0));
    assert_close(&masked, &plain, 1e-14);
}

#[test]
fn a_component_that_no_row_is_of_keeps_finite_parameters() {
    for dtype in [DType::F32, DType::F64] {
        for smoothing in [0.0, 0.1] {
            let mut model = mixture([1, 2, 3], smoothing, 38);
            // The second component gives all three units the value one with certainty, and no row has these values.
            let logits = vec![0.0, 0.0, 0.0, 1e4, 1e4, 1e4];
            model.logits = Param::from_tensor(tensor(logits, [2, 3]));
            let model = map_params(model, |_, param| param.values().cast(dtype));
            let batch = Batch::of(tensor(vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [2, 3]).cast(dtype));
            let model = maximised(maximised(model, &batch), &batch);
            let all = [into_f64(model.weights.val()), into_f64(model.logits.val())].concat();
            assert!(all.iter().all(|value| value.is_finite()), "{all:?}");
            assert!(into_f64(model.log_prob(&batch)).iter().all(|log_prob| log_prob.is_finite()));
        }
    }
}

#[test]
fn undefined_statistics_are_never_hidden() {
    let model = mixture([1, 2, 3], 0.1, 40);
    let mut beyond = Gradients::new();
    model.beyond_maximum(tensor(vec![f64::NAN; 14], [14]), &mut beyond);
    assert!(flat(&model, &beyond).into_iter().all(f64::is_nan));
}

#[test]
fn a_single_row_is_learned_by_heart() {
    let batch = Batch::of(tensor(vec![1.0, 0.0, 1.0], [1, 3]));
    let mut model = mixture([1, 2, 3], 0.0, 39);
    for _ in 0..3 {
        model = maximised(model, &batch);
    }
    assert_close(&into_f64(model.log_prob(&batch)), &[0.0], 1e-13);
}
