//! One suite for every layer; adding a layer means adding a line to one of the two macros.

use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{Conditional, Draws, Gradients, Key, Prior, enumerate_bits};
use helmholtz_tests::{device, distance, named, sbn, taped, values};

const D_X: usize = 4;
const D_Y: usize = 3;

/// Checks every conditional layer, `p(x | y)` with 4 units given 3.
macro_rules! for_each_layer {
    ($check:ident) => {
        $check("bernoulli", sbn(D_X, &[D_Y], 11).generative.remove(0));
    };
}

/// Checks every prior, with 4 units.
macro_rules! for_each_prior {
    ($check:ident) => {
        $check("bernoulli", sbn(2, &[D_X], 12).prior);
    };
}

fn all(d: usize) -> Tensor<2> {
    enumerate_bits(d, 0, 1 << d, DType::F64, &device())
}

fn weights(n: usize) -> Tensor<1> {
    let values: Vec<f64> = (0..n).map(|i| (i % 7) as f64 / 3.0 - 0.9).collect();
    Tensor::from_data(TensorData::new(values, [n]), (&device(), DType::F64))
}

#[test]
fn probabilities_of_all_states_sum_to_one_for_every_condition() {
    fn check_layer<T: Conditional>(name: &str, layer: T) {
        for y in all(D_Y).iter_dim(0) {
            let total: f64 = layer.log_prob(all(D_X), y).exp().sum().into_scalar();
            assert!((total - 1.0).abs() < 1e-12, "{name}: {total}");
        }
    }
    for_each_layer!(check_layer);
    fn check_prior<T: Prior>(name: &str, prior: T) {
        let total: f64 = prior.log_prob(all(D_X)).exp().sum().into_scalar();
        assert!((total - 1.0).abs() < 1e-12, "{name}: {total}");
    }
    for_each_prior!(check_prior);
}

#[test]
fn the_table_of_all_pairs_agrees_with_single_pairs() {
    fn check_layer<T: Conditional>(name: &str, layer: T) {
        let table = values(layer.log_prob_table(all(D_X), all(D_Y)));
        for (j, y) in all(D_Y).iter_dim(0).enumerate() {
            for (i, single) in values(layer.log_prob(all(D_X), y)).into_iter().enumerate() {
                assert!((table[i * (1 << D_Y) + j] - single).abs() < 1e-12, "{name}: pair {i}, {j}");
            }
        }
    }
    for_each_layer!(check_layer);
}

#[test]
fn the_score_is_the_differentiable_log_probability() {
    fn check_layer<T: Conditional>(name: &str, layer: T) {
        // Both ways of repeating rows: 16 x for 8 y, and 8 y for 4 x.
        for (x, y) in [(all(D_X), all(D_Y)), (all(2).repeat_dim(1, 2), all(D_Y))] {
            let (a, b) = (values(layer.score(x.clone(), y.clone()).log_prob), values(layer.log_prob(x, y)));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12), "{name}");
        }
    }
    for_each_layer!(check_layer);
}

#[test]
fn the_closed_gradient_is_the_gradient_of_the_tape() {
    fn check_layer<T: Conditional>(name: &str, layer: T) {
        for (x, y) in [
            (all(D_X), all(D_Y)),
            (all(2).repeat_dim(1, 2), all(D_Y)),
            (all(D_X), all(D_X).slice([0..16, 0..3])),
        ] {
            let n = x.dims()[0].max(y.dims()[0]);
            let mut closed = Gradients::new();
            let trace = layer.score(x.clone(), y.clone()).trace;
            layer.gradient(x.clone(), y.clone(), trace, weights(n), &mut closed);

            let tracked = layer.clone().train();
            let log_prob = tracked.log_prob(x.autodiff(), y.autodiff());
            let tape = (log_prob * weights(n).autodiff()).sum().neg().backward();
            let deviation = distance(&named(&layer, &closed), &taped(&tracked, tape));
            assert!(deviation < 1e-12, "{name}: {deviation:e}");
        }
    }
    for_each_layer!(check_layer);
    fn check_prior<T: Prior>(name: &str, prior: T) {
        let mut closed = Gradients::new();
        let trace = prior.score(all(D_X)).trace;
        prior.gradient(all(D_X), trace, weights(16), &mut closed);
        let tracked = prior.clone().train();
        let tape = (tracked.log_prob(all(D_X).autodiff()) * weights(16).autodiff()).sum().neg().backward();
        let deviation = distance(&named(&prior, &closed), &taped(&tracked, tape));
        assert!(deviation < 1e-12, "{name}: {deviation:e}");
    }
    for_each_prior!(check_prior);
}

#[test]
fn samples_follow_the_law_of_the_layer() {
    // 20 000 samples; each of 16 states within 5 standard deviations of its count, in 2 settings:
    // a false alarm in fewer than 2 of 100 000 choices of the key.
    const N: usize = 20_000;
    fn check(name: &str, samples: Tensor<2>, log_prob: Vec<f64>) {
        let mut counts = [0u32; 1 << D_X];
        for state in values(samples).chunks_exact(D_X) {
            counts[state.iter().enumerate().map(|(j, bit)| (*bit as usize) << j).sum::<usize>()] += 1;
        }
        for (state, (count, log_prob)) in counts.iter().zip(log_prob).enumerate() {
            let p = log_prob.exp();
            let deviation = (f64::from(*count) - N as f64 * p) / (N as f64 * p * (1.0 - p)).sqrt();
            assert!(
                deviation.abs() < 5.0,
                "{name}: state {state} is off by {deviation:.1} standard deviations"
            );
        }
    }
    fn check_layer<T: Conditional>(name: &str, layer: T) {
        let y = all(D_Y).slice([5..6, 0..3]);
        let drawn = layer.draw(y.clone(), &Draws::new(Key::new(3), 1, N), None);
        let scored = values(layer.log_prob(drawn.x.clone(), y.clone()));
        assert!(
            values(drawn.scored.log_prob).iter().zip(&scored).all(|(a, b)| (a - b).abs() < 1e-12),
            "{name}"
        );
        check(name, drawn.x, values(layer.log_prob(all(D_X), y)));
    }
    for_each_layer!(check_layer);
    fn check_prior<T: Prior>(name: &str, prior: T) {
        check(name, prior.draw(&Draws::new(Key::new(4), N, 1)), values(prior.log_prob(all(D_X))));
    }
    for_each_prior!(check_prior);
}

#[test]
fn zero_weights_make_bernoulli_units_independent() {
    let mut layer = sbn(D_X, &[D_Y], 11).generative.remove(0);
    layer.weight = layer.weight.map(|w| w.zeros_like());
    let means: Vec<f64> = values(layer.mean(all(D_Y)));
    assert!(means.chunks(D_X).all(|row| row == &means[..D_X]));
}
