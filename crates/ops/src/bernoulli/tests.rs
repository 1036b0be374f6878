use burn::tensor::{Device, TensorData, Tolerance};
use helmholtz_core::Key;
use proptest::prelude::*;

use super::*;

fn matrix(values: Vec<f64>, shape: [usize; 2], dtype: DType) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (&Device::flex(), dtype))
}

fn logits(n: usize, d: usize, dtype: DType) -> (Tensor<2>, Tensor<1>) {
    let values = (0..n * d).map(|i| ((i * 7919 % 1000) as f64 - 500.0) / 60.0).collect();
    let bias = (0..d).map(|j| j as f64 / 10.0 - 1.0).collect();
    (matrix(values, [n, d], dtype), matrix(bias, [1, d], dtype).squeeze_dim(0))
}

fn tolerance(dtype: DType) -> Tolerance<f64> {
    // A row of up to a thousand terms: rounding grows with the square root of their number.
    if dtype == DType::F64 { Tolerance::rel_abs(1e-12, 1e-12) } else { Tolerance::rel_abs(2e-5, 2e-5) }
}

fn assert_close<const D: usize>(a: Tensor<D>, b: Tensor<D>, dtype: DType) {
    let (a, b) = (a.into_data().convert_dtype(DType::F64), b.into_data().convert_dtype(DType::F64));
    a.assert_approx_eq::<f64>(&b, tolerance(dtype));
}

#[test]
fn the_fused_pass_and_the_tensor_operations_are_the_same_function() {
    for dtype in [DType::F32, DType::F64] {
        for (n, d, k_x, k_l) in
            [(1, 1, 1, 1), (6, 13, 3, 1), (6, 16, 1, 2), (40, 50, 1, 1), (100, 784, 10, 1)]
        {
            let (product, bias) = logits(n / k_l, d, dtype);
            let x = matrix((0..n / k_x * d).map(|i| f64::from(i % 3 == 0)).collect(), [n / k_x, d], dtype);
            let fused = score(x.clone(), product.clone(), bias.clone());
            let plain = score_by_tensors(x, product, bias);
            assert_close(fused.log_prob, plain.log_prob, dtype);
            assert_close(fused.trace, plain.trace, dtype);
        }
    }
}

#[test]
fn a_constant_log_probability_is_that_of_the_score_to_the_bit() {
    for dtype in [DType::F32, DType::F64] {
        for (n, d, k_x, k_l) in [(1, 1, 1, 1), (6, 13, 3, 1), (6, 33, 1, 2), (100, 784, 10, 1)] {
            let (product, bias) = logits(n / k_l, d, dtype);
            let x = (0..n / k_x * d).map(|i| [0.0, 1.0, 0.3][i % 3]).collect();
            let x = matrix(x, [n / k_x, d], dtype);
            let found = constant_log_prob(x.clone(), product.clone(), bias.clone());
            assert_eq!(found.into_data(), score(x, product, bias).log_prob.into_data());
        }
    }
}

#[test]
fn a_sample_is_that_of_the_draw_to_the_bit() {
    for dtype in [DType::F32, DType::F64] {
        for (n, d, k) in [(3, 1, 1), (5, 7, 4), (50, 201, 10)] {
            let ((product, bias), draws) = (logits(n, d, dtype), Draws::new(Key::new(5), n, k));
            let (x, log_prob) = sample(product.clone(), bias.clone(), &draws);
            let drawn = draw(product, bias, &draws, None);
            assert_eq!(x.into_data(), drawn.x.into_data());
            assert_eq!(log_prob.into_data(), drawn.scored.log_prob.into_data());
        }
    }
}

#[test]
fn the_fused_draw_and_the_tensor_operations_are_the_same_function() {
    for dtype in [DType::F32, DType::F64] {
        for (n, d, k) in [(3, 1, 1), (5, 7, 4), (50, 200, 10)] {
            let (product, bias) = logits(n, d, dtype);
            let draws = Draws::new(Key::new(5), n, k);
            let marked: Vec<bool> = (0..n * k).map(|i| i % 3 == 0).collect();
            for defence in [None, Some(&marked[..])] {
                let fused = draw(product.clone(), bias.clone(), &draws, defence);
                let plain = draw_by_tensors(product.clone(), bias.clone(), &draws, defence);
                assert_close(fused.x, plain.x, dtype);
                assert_close(fused.scored.log_prob, plain.scored.log_prob, dtype);
                assert_close(fused.scored.trace, plain.scored.trace, dtype);
            }
        }
    }
}

#[test]
fn infinite_logits_cost_nothing_on_the_right_side_and_everything_on_the_wrong_one() {
    let (inf, dtype) = (f64::INFINITY, DType::F32);
    for by_tensors in [false, true] {
        let score = if by_tensors { score_by_tensors } else { score };
        let x = matrix(vec![1.0, 0.0, 1.0, 0.0], [4, 1], dtype);
        let l = matrix(vec![inf, -inf, -inf, inf], [4, 1], dtype);
        let Scored { log_prob, trace } = score(x, l, Tensor::zeros([1], &Device::flex()));
        assert_eq!(
            log_prob.into_data().try_to_vec::<f32>().unwrap(),
            [0.0, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY]
        );
        assert_eq!(trace.into_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0, -1.0]);
    }
}

#[test]
fn nearly_certain_units_keep_their_digits() {
    // In single precision each of these factors 1 + z would round to one.
    for (d, l) in [(784, 18.0f64), (2000, 20.0), (7, 17.0)] {
        let logits = matrix(vec![l; d], [1, d], DType::F32);
        let found = score(logits.ones_like(), logits, Tensor::zeros([d], &Device::flex())).log_prob;
        let (found, exact) = (found.into_scalar::<f64>(), -(d as f64) * (-l).exp().ln_1p());
        assert!((found / exact - 1.0).abs() < 1e-5, "{found} for {exact}");
    }
}

#[test]
fn long_rows_of_coins_do_not_overflow() {
    for d in [784, 5000, 100_003] {
        let logits = Tensor::<2>::zeros([1, d], &Device::flex());
        let found = score(logits.clone(), logits, Tensor::zeros([d], &Device::flex())).log_prob;
        let (found, exact) = (found.into_scalar::<f64>(), -(d as f64) * 2f64.ln());
        // A lane adds up to 200 logarithms of 32 factors each.
        assert!((found / exact - 1.0).abs() < 1e-5, "{found} for {exact}");
    }
}

#[test]
fn an_undefined_logit_is_never_hidden() {
    let x = matrix(vec![1.0, 1.0], [1, 2], DType::F64);
    let l = matrix(vec![0.0, f64::NAN], [1, 2], DType::F64);
    let scored = score(x, l, Tensor::zeros([2], (&Device::flex(), DType::F64)));
    assert!(scored.log_prob.into_scalar::<f64>().is_nan());
}

#[test]
fn the_error_is_the_gradient_by_finite_differences() {
    let (product, bias) = logits(2, 5, DType::F64);
    let x = matrix(vec![1.0, 0.0, 1.0, 0.3, 0.0, 0.0, 1.0, 1.0, 0.7, 0.0], [2, 5], DType::F64);
    let error =
        score(x.clone(), product.clone(), bias.clone()).trace.into_data().try_to_vec::<f64>().unwrap();
    let step = 1e-6;
    for i in 0..10 {
        let moved = |by: f64| {
            let mut values = product.clone().into_data().try_to_vec::<f64>().unwrap();
            values[i] += by;
            score(x.clone(), matrix(values, [2, 5], DType::F64), bias.clone())
                .log_prob
                .sum()
                .into_scalar::<f64>()
        };
        // Central differences of a smooth function: error of order step², rounding of order 1e-16 / step.
        assert!(((moved(step) - moved(-step)) / (2.0 * step) - error[i]).abs() < 1e-8);
    }
}

#[test]
fn the_tape_yields_the_value_and_the_error_of_the_fused_pass() {
    let (product, _) = logits(6, 9, DType::F64);
    let x = matrix((0..27).map(|i| f64::from(i % 2 == 0)).collect(), [3, 9], DType::F64);
    let tracked = product.clone().autodiff().require_grad();
    let value = log_prob(x.clone().autodiff(), tracked.clone());
    let plain = score_by_tensors(x, product, Tensor::zeros([9], (&Device::flex(), DType::F64)));
    assert_close(value.clone().inner(), plain.log_prob, DType::F64);
    assert_close(tracked.grad(&value.sum().backward()).unwrap(), plain.trace, DType::F64);
}

#[test]
fn the_tape_survives_infinite_logits() {
    let inf = f64::INFINITY;
    let tracked = matrix(vec![inf, -inf, 0.0], [3, 1], DType::F64).autodiff().require_grad();
    let x = matrix(vec![1.0, 1.0, 1.0], [3, 1], DType::F64).autodiff();
    let value = log_prob(x, tracked);
    assert_eq!(value.inner().into_data().try_to_vec::<f64>().unwrap()[..2], [0.0, -inf]);
}

#[test]
fn frequencies_of_a_draw_follow_the_mean() {
    // 40 000 draws per unit; 8 comparisons at 5 standard deviations: false alarms below 5e-6.
    let product = matrix((0..8).map(|j| f64::from(j) - 4.0).collect(), [1, 8], DType::F32);
    let draws = Draws::new(Key::new(2), 1, 40_000);
    let drawn = draw(product.clone(), Tensor::zeros([8], &Device::flex()), &draws, None);
    let frequency = drawn.x.mean_dim(0).into_data().try_to_vec::<f32>().unwrap();
    for (j, f) in frequency.into_iter().enumerate() {
        let mean = 1.0 / (1.0 + (4.0 - j as f64).exp());
        assert!((f64::from(f) - mean).abs() < 5.0 * (mean * (1.0 - mean) / 40_000.0).sqrt(), "unit {j}: {f}");
    }
}

proptest! {
    #[test]
    fn probabilities_of_both_values_add_to_one(l in -80.0f64..80.0, b in -5.0f64..5.0) {
        let probability = |x: f64| {
            let bias = matrix(vec![b], [1, 1], DType::F64).squeeze_dim(0);
            score(matrix(vec![x], [1, 1], DType::F64), matrix(vec![l], [1, 1], DType::F64), bias)
                .log_prob.into_scalar::<f64>().exp()
        };
        prop_assert!((probability(0.0) + probability(1.0) - 1.0).abs() < 1e-12);
    }
}
