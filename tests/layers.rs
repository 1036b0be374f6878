//! One test suite for every layer. To add a layer, add a line to one of the two macros.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{Conditional, Draws, Gradients, Key, Prior, enumerate_bits, map_params, visit_params};
use helmholtz_directed::{LayerKind, StackConfig};
use helmholtz_layers::{Layer, Top, UnitOrder};
use helmholtz_tests::{device, distance, named, stack, taped, values};

const D_X: usize = 4;
const D_Y: usize = 3;

/// A layer `p(x | y)` of a kind, with `d_x` units given `d_y` units.
fn layer(kind: LayerKind, d_x: usize, d_y: usize, order: UnitOrder) -> Layer {
    stack(&StackConfig { order, hidden: Some(5), ..StackConfig::of(kind, d_x, vec![d_y]) }, 11)
        .generative
        .remove(0)
}

fn tanh_layer(d_x: usize, d_y: usize) -> Layer {
    let config =
        StackConfig { tanh: true, hidden: Some(5), ..StackConfig::of(LayerKind::Dsbn, d_x, vec![d_y]) };
    stack(&config, 11).generative.remove(0)
}

/// A prior `p(x)` of a kind, with `d` units.
fn prior(kind: LayerKind, d: usize, order: UnitOrder) -> Top {
    match kind {
        LayerKind::Sbn | LayerKind::Dsbn => stack(&StackConfig::of(kind, 2, vec![d]), 12).prior,
        _ => stack(&StackConfig { order, hidden: Some(5), ..StackConfig::of(kind, d, vec![]) }, 12).prior,
    }
}

fn random(d: usize) -> UnitOrder {
    let order = UnitOrder::random(d, Key::new(6));
    assert!(!order.units(d).is_sorted());
    order
}

/// Checks every conditional layer `p(x | y)` with the given numbers of units (default: 4 given 3).
macro_rules! for_each_layer {
    ($check:ident) => {
        for_each_layer!($check, D_X, D_Y);
    };
    ($check:ident, $d_x:expr, $d_y:expr) => {
        $check("bernoulli", layer(LayerKind::Sbn, $d_x, $d_y, UnitOrder::index()));
        $check("deterministic", layer(LayerKind::Dsbn, $d_x, $d_y, UnitOrder::index()));
        $check("deterministic, tanh", tanh_layer($d_x, $d_y));
        $check("darn", layer(LayerKind::Darn, $d_x, $d_y, UnitOrder::index()));
        $check("darn, random order", layer(LayerKind::Darn, $d_x, $d_y, random($d_x)));
        $check("nade", layer(LayerKind::Nade, $d_x, $d_y, UnitOrder::index()));
        $check("nade, random order", layer(LayerKind::Nade, $d_x, $d_y, random($d_x)));
    };
}

/// Checks every prior with the given number of units (default: 4).
macro_rules! for_each_prior {
    ($check:ident) => {
        for_each_prior!($check, D_X);
    };
    ($check:ident, $d:expr) => {
        $check("bernoulli", prior(LayerKind::Sbn, $d, UnitOrder::index()));
        $check("darn", prior(LayerKind::Darn, $d, UnitOrder::index()));
        $check("darn, random order", prior(LayerKind::Darn, $d, random($d)));
        $check("nade", prior(LayerKind::Nade, $d, UnitOrder::index()));
        $check("nade, random order", prior(LayerKind::Nade, $d, random($d)));
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
        let (d_x, d_y) = layer.dims();
        for y in all(d_y).iter_dim(0) {
            let total: f64 = layer.log_prob(all(d_x), y.clone()).exp().sum().into_scalar();
            let scored: f64 = layer.score(all(d_x), y).log_prob.exp().sum().into_scalar();
            assert!((total - 1.0).abs() < 1e-12 && (scored - 1.0).abs() < 1e-12, "{name}: {total}, {scored}");
        }
    }
    fn check_prior<T: Prior>(name: &str, prior: T) {
        let d = prior.dim();
        let total: f64 = prior.log_prob(all(d)).exp().sum().into_scalar();
        let scored: f64 = prior.score(all(d)).log_prob.exp().sum().into_scalar();
        assert!((total - 1.0).abs() < 1e-12 && (scored - 1.0).abs() < 1e-12, "{name}: {total}, {scored}");
    }
    for_each_layer!(check_layer);
    for_each_prior!(check_prior);
    for_each_layer!(check_layer, 12, 2);
    for_each_prior!(check_prior, 12);
}

#[test]
fn the_mean_of_a_unit_is_that_given_the_units_before_it() {
    // E[xⱼ | x_<j] = (Σ p over the states that agree with x before j and have xⱼ = 1) / (the same sum for both values).
    fn check(name: &str, order: &UnitOrder, means: Vec<f64>, log_probs: Vec<f64>) {
        let (places, n) = (order.places(D_X), 1usize << D_X);
        let bit = |state: usize, j: usize| state >> j & 1;
        for x in 0..n {
            for j in 0..D_X {
                let agrees = |s: &usize| (0..D_X).all(|i| places[i] >= places[j] || bit(*s, i) == bit(x, i));
                let mass = |s: usize| log_probs[s].exp();
                let both: f64 = (0..n).filter(agrees).map(mass).sum();
                let on: f64 = (0..n).filter(agrees).filter(|s| bit(*s, j) == 1).map(mass).sum();
                let found = means[x * D_X + j];
                assert!((found - on / both).abs() < 1e-12, "{name}: state {x}, unit {j}: {found}");
            }
        }
    }
    fn order_of(name: &str) -> UnitOrder {
        if name.contains("random") { random(D_X) } else { UnitOrder::index() }
    }
    fn check_layer<T: Conditional>(name: &str, layer: T) {
        let y = all(D_Y).slice([5..6, 0..3]).repeat_dim(0, 1 << D_X);
        let (means, law) = (layer.mean(all(D_X), y.clone()), layer.log_prob(all(D_X), y));
        check(name, &order_of(name), values(means), values(law));
    }
    fn check_prior<T: Prior>(name: &str, prior: T) {
        check(name, &order_of(name), values(prior.mean(all(D_X))), values(prior.log_prob(all(D_X))));
    }
    for_each_layer!(check_layer);
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
        // Both ways to repeat rows: 16 x for 8 y, and 8 y for 4 x.
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

/// The largest deviation of `gradients` from central differences of `loss`, over all parameters.
fn deviation_from_differences<M: Module>(module: &M, gradients: &Gradients, loss: impl Fn(&M) -> f64) -> f64 {
    let mut closed = Vec::new();
    visit_params(module, |_, param| {
        closed.extend(values(param.gradient(gradients).expect("every parameter has a gradient")));
    });
    let step = 1e-5;
    let difference = |number: usize| {
        // Visiting and mapping go through the parameters in the same order.
        let at = |by: f64| {
            let mut seen = 0;
            loss(&map_params(module.clone(), |_, param| {
                let mut numbers = values(param.values());
                if let Some(moved) = number.checked_sub(seen).and_then(|i| numbers.get_mut(i)) {
                    *moved += by;
                }
                seen += numbers.len();
                Tensor::from_data(numbers.as_slice(), (&device(), DType::F64))
            }))
        };
        (at(step) - at(-step)) / (2.0 * step)
    };
    closed.iter().enumerate().map(|(i, g)| (g - difference(i)).abs()).fold(0.0, f64::max)
}

#[test]
fn the_closed_gradient_agrees_with_finite_differences() {
    // The error is the third derivative of a loss of 16 terms of order one, times step² / 6: far below 1e-7.
    fn check_layer<T: Conditional>(name: &str, layer: T) {
        let (x, y) = (all(D_X), all(D_X).slice([0..16, 0..3]));
        let mut closed = Gradients::new();
        let trace = layer.score(x.clone(), y.clone()).trace;
        layer.gradient(x.clone(), y.clone(), trace, weights(16), &mut closed);
        let deviation = deviation_from_differences(&layer, &closed, |layer| {
            -(layer.score(x.clone(), y.clone()).log_prob * weights(16)).sum().into_scalar::<f64>()
        });
        assert!(deviation < 1e-7, "{name}: {deviation:e}");
    }
    fn check_prior<T: Prior>(name: &str, prior: T) {
        let mut closed = Gradients::new();
        prior.gradient(all(D_X), prior.score(all(D_X)).trace, weights(16), &mut closed);
        let deviation = deviation_from_differences(&prior, &closed, |prior| {
            -(prior.score(all(D_X)).log_prob * weights(16)).sum().into_scalar::<f64>()
        });
        assert!(deviation < 1e-7, "{name}: {deviation:e}");
    }
    for_each_layer!(check_layer);
    for_each_prior!(check_prior);
}

#[test]
fn samples_follow_the_law_of_the_layer() {
    // 20 000 samples; the count of each of 16 states within 5 standard deviations, in 12 settings. Fewer than 2 in
    // 10 000 choices of the key give a false alarm.
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
fn without_recurrent_weights_units_are_independent() {
    for (name, mut layer) in [
        ("darn", layer(LayerKind::Darn, D_X, D_Y, random(D_X))),
        ("nade", layer(LayerKind::Nade, D_X, D_Y, random(D_X))),
    ] {
        // A NADE whose W is zero still uses its hidden units: its logits are those of a DSBN.
        let zero = |w: Param<Tensor<2>>| w.map(|w| w.zeros_like());
        match &mut layer {
            Layer::Darn(darn) => darn.recurrent = zero(darn.recurrent.clone()),
            Layer::Nade(nade) => nade.encoder = zero(nade.encoder.clone()),
            _ => unreachable!("both layers are autoregressive"),
        }
        for y in all(D_Y).iter_dim(0) {
            let means = values(layer.mean(all(D_X), y.clone()));
            let first = &means[..D_X];
            let is_first = |row: &[f64]| row.iter().zip(first).all(|(a, b)| (a - b).abs() < 1e-14);
            assert!(means.chunks(D_X).all(is_first), "{name}");
            let log_probs = values(layer.score(all(D_X), y).log_prob);
            for (state, log_prob) in log_probs.into_iter().enumerate() {
                let factors =
                    first.iter().enumerate().map(|(j, p)| if state >> j & 1 == 1 { *p } else { 1.0 - p });
                assert!((factors.product::<f64>().ln() - log_prob).abs() < 1e-12, "{name}");
            }
        }
    }
}

#[test]
fn one_unit_alone_is_a_coin() {
    for kind in [LayerKind::Darn, LayerKind::Nade] {
        let Some(logit) = (match prior(kind, 1, UnitOrder::index()) {
            Top::Darn(darn) => Some(values(darn.bias.val())[0]),
            Top::Nade(nade) => {
                let hidden = values(nade.hidden_bias.val());
                let read = values(nade.decoder.val());
                let sum: f64 = hidden.iter().zip(read).map(|(c, v)| v / (1.0 + (-c).exp())).sum();
                Some(sum + values(nade.bias.val())[0])
            }
            Top::Bernoulli(_) => None,
        }) else {
            panic!("{kind:?} is autoregressive")
        };
        let log_probs = values(prior(kind, 1, UnitOrder::index()).log_prob(all(1)));
        let on = 1.0 / (1.0 + (-logit).exp());
        assert!((log_probs[1] - on.ln()).abs() < 1e-12 && (log_probs[0] - (1.0 - on).ln()).abs() < 1e-12);
    }
}

#[test]
fn zero_weights_make_bernoulli_units_independent() {
    let Layer::Bernoulli(mut layer) = layer(LayerKind::Sbn, D_X, D_Y, UnitOrder::index()) else {
        panic!("an sbn has Bernoulli layers")
    };
    layer.weight = layer.weight.map(|w| w.zeros_like());
    let means: Vec<f64> = values(layer.mean(all(D_X).slice([0..8, 0..4]), all(D_Y)));
    assert!(means.chunks(D_X).all(|row| row == &means[..D_X]));
}
