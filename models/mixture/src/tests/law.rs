//! Probabilities of rows, classes and missing values, by enumeration.

use helmholtz_core::{Tractable, map_params};

use super::*;

/// For every row of `batch`, the states that agree with its observed values: their values and their probabilities.
/// `log_prob` gives `log p` of all states for a row.
fn agreeing(batch: &Batch, log_prob: impl Fn(usize, &Batch) -> Tensor<1>) -> Vec<Vec<(Vec<f64>, f64)>> {
    let [n, d] = batch.x.dims();
    let all = states(d);
    let (x, mask) = (into_f64(batch.x.clone()), into_f64(batch.mask.clone().unwrap()));
    let bits = into_f64(all.x.clone());
    let row = |i: usize| {
        let log_prob = into_f64(log_prob(i, &all));
        let agrees = |state: &&[f64]| (0..d).all(|j| mask[i * d + j] == 0.0 || state[j] == x[i * d + j]);
        let with = bits.chunks(d).zip(log_prob);
        with.filter(|(state, _)| agrees(state)).map(|(state, log)| (state.to_vec(), log.exp())).collect()
    };
    (0..n).map(row).collect()
}

fn classes_of(batch: &Batch) -> Vec<i64> {
    batch.classes().map_or(vec![0; batch.len()], |y| y.into_data_as::<i64>().try_to_vec().unwrap())
}

#[test]
fn probabilities_of_all_states_sum_to_one() {
    // Sums of 1024 terms: 1e-12 is far above their rounding.
    for d in [1, 4, 10] {
        let alone = mixture([1, 5, d], 0.0, 1);
        assert!((sum_exp(alone.log_prob(&states(d))) - 1.0).abs() < 1e-12);
        let model = mixture([3, 2, d], 0.0, 2);
        let total: f64 = (0..3).map(|y| sum_exp(model.log_prob(&of_class(states(d), y)))).sum();
        assert!((total - 1.0).abs() < 1e-12);
        assert!((sum_exp(model.log_prob(&states(d))) - 1.0).abs() < 1e-12);
    }
}

#[test]
fn missing_values_are_summed_out() {
    for classes in [1, 3] {
        let (model, batch) = (mixture([classes, 3, 6], 0.0, 3), data([12, 6], classes, true, 3));
        let y = classes_of(&batch);
        let rows = agreeing(&batch, |i, all| model.log_prob(&of_class(all.clone(), y[i])));
        let expected: Vec<f64> =
            rows.iter().map(|states| states.iter().map(|(_, p)| p).sum::<f64>().ln()).collect();
        assert_close(&into_f64(model.log_prob(&batch)), &expected, 1e-12);
    }
}

#[test]
fn a_row_without_observed_values_has_the_probability_of_its_class() {
    let model = mixture([2, 3, 4], 0.0, 4);
    let nothing = Batch::of(tensor(vec![0.0; 4], [1, 4])).with_mask(tensor(vec![0.0; 4], [1, 4]));
    let weights = into_f64(model.log_weights().exp());
    let found = into_f64(model.log_prob(&of_class(nothing.clone(), 1)));
    assert_close(&found, &[weights[3..].iter().sum::<f64>().ln()], 1e-13);
    assert_close(&into_f64(model.log_prob(&nothing)), &[0.0], 1e-13);
}

#[test]
fn a_mask_of_ones_changes_nothing() {
    let (model, batch) = (mixture([3, 4, 9], 0.0, 5), data([20, 9], 3, false, 5));
    let masked = batch.clone().with_mask(batch.x.ones_like());
    assert_close(&into_f64(model.log_prob(&masked)), &into_f64(model.log_prob(&batch)), 1e-13);
}

#[test]
fn class_probabilities_are_those_of_bayes_rule() {
    let model = mixture([3, 2, 6], 0.0, 6);
    for missing in [false, true] {
        let batch = unlabelled(&data([10, 6], 3, missing, 6));
        let joint: Vec<Vec<f64>> =
            (0..3).map(|y| into_f64(model.log_prob(&of_class(batch.clone(), y)).exp())).collect();
        let expected: Vec<f64> = (0..10)
            .flat_map(|i| (0..3).map(move |y| (i, y)))
            .map(|(i, y)| (joint[y][i] / joint.iter().map(|of| of[i]).sum::<f64>()).ln())
            .collect();
        assert_close(&into_f64(model.log_class_probabilities(&batch)), &expected, 1e-12);
        // Targets are ignored.
        let labelled = of_class(batch, 2);
        assert_close(&into_f64(model.log_class_probabilities(&labelled)), &expected, 1e-12);
    }
}

#[test]
fn responsibilities_sum_to_one_within_the_class_of_a_row() {
    let (model, batch) = (mixture([3, 2, 5], 0.0, 7), data([8, 5], 3, true, 7));
    let (r, y) = (into_f64(model.responsibilities(&batch)), classes_of(&batch));
    for (r, y) in r.chunks(6).zip(y) {
        let own: f64 = r[2 * y as usize..][..2].iter().sum();
        assert!((own - 1.0).abs() < 1e-13 && (r.iter().sum::<f64>() - 1.0).abs() < 1e-13);
    }
}

#[test]
fn missing_values_are_filled_in_with_their_means_given_the_observed_ones() {
    for classes in [1, 3] {
        let (model, batch) = (mixture([classes, 3, 6], 0.0, 8), data([12, 6], classes, true, 8));
        let y = classes_of(&batch);
        let rows = agreeing(&batch, |i, all| model.log_prob(&of_class(all.clone(), y[i])));
        let mean = |states: &Vec<(Vec<f64>, f64)>, j: usize| {
            let total: f64 = states.iter().map(|(_, p)| p).sum();
            states.iter().map(|(x, p)| x[j] * p).sum::<f64>() / total
        };
        let expected: Vec<f64> =
            rows.iter().flat_map(|states| (0..6).map(move |j| mean(states, j))).collect();
        assert_close(&into_f64(model.impute(&batch)), &expected, 1e-12);
    }
    let (model, whole) = (mixture([1, 3, 6], 0.0, 8), data([12, 6], 1, false, 8));
    assert_eq!(into_f64(model.impute(&whole)), into_f64(whole.x));
}

#[test]
fn a_model_without_classes_has_no_target() {
    let (model, batch) = (mixture([1, 3, 4], 0.0, 9), data([5, 4], 1, false, 9));
    let log_prob = into_f64(model.log_prob(&batch));
    assert_eq!(into_f64(model.log_prob(&of_class(batch.clone(), 7))), log_prob);
    let values = Target::Values(batch.x.clone());
    assert_eq!(into_f64(model.log_prob(&batch.with_target(values))), log_prob);
}

#[test]
#[should_panic(expected = "the targets are real numbers")]
fn a_model_with_classes_refuses_targets_that_are_real_numbers() {
    let batch = data([5, 4], 1, false, 9);
    mixture([2, 3, 4], 0.0, 9).log_prob(&batch.clone().with_target(Target::Values(batch.x)));
}

#[test]
fn extreme_logits_give_their_exact_probabilities() {
    // In single precision, sums of 20 000 nats are exact to 1e-3.
    for (dtype, tolerance) in [(DType::F32, 1e-3), (DType::F64, 1e-11)] {
        let mut model = mixture([1, 2, 3], 0.0, 10);
        model.weights = Param::from_tensor(tensor(vec![0.0, 0.0], [2]));
        model.logits = Param::from_tensor(tensor(vec![1e4, -1e4, 1e4, -1e4, -1e4, 1e4], [2, 3]));
        let model = map_params(model, |_, param| param.values().cast(dtype));
        let x = tensor(vec![1.0, 0.0, 1.0, 1.0, 1.0, 1.0], [2, 3]).cast(dtype);
        let mask = tensor(vec![1.0, 1.0, 1.0, 0.0, 1.0, 1.0], [2, 3]).cast(dtype);
        // The first row has the most probable values of the first component. The second row differs from those by one
        // unit, and from those of the second component by two.
        let half = 0.5f64.ln();
        let whole = Batch::of(x.clone());
        assert_close(&into_f64(model.log_prob(&whole)), &[half, half - 1e4], tolerance);
        // Without its first value, the second row differs from both components by one unit.
        let masked = Batch::of(x * mask.clone()).with_mask(mask);
        assert_close(&into_f64(model.log_prob(&masked)), &[half, -1e4], tolerance);
        assert_close(&into_f64(model.impute(&masked))[3..], &[0.5, 1.0, 1.0], tolerance);
    }
}

#[test]
fn a_single_unit_and_a_single_component_are_a_coin() {
    let mut model = mixture([1, 1, 1], 0.0, 11);
    model.logits = Param::from_tensor(tensor(vec![0.75f64.ln() - 0.25f64.ln()], [1, 1]));
    let log_prob = |x: f64| into_f64(model.log_prob(&Batch::of(tensor(vec![x], [1, 1]))));
    assert_close(&[log_prob(1.0), log_prob(0.0)].concat(), &[0.75f64.ln(), 0.25f64.ln()], 1e-14);
}

#[test]
fn single_and_double_precision_are_the_same_law() {
    // Sums of 784 products of a few nats each: a thousand roundings of relative size 6e-8, in numbers near 3000.
    let (model, batch) = (mixture([2, 5, 784], 0.0, 12), data([30, 784], 2, true, 12));
    let single = map_params(model.clone(), |_, param| param.values().cast(DType::F32));
    let cast = |tensor: Tensor<2>| tensor.cast(DType::F32);
    let as_single = Batch { x: cast(batch.x.clone()), mask: batch.mask.clone().map(cast), ..batch.clone() };
    assert_close(&into_f64(single.log_prob(&as_single)), &into_f64(model.log_prob(&batch)), 1e-5);
}
