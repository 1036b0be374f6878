//! Variational autoencoders and pathwise strategies, in double precision: gradients are compared with automatic
//! differentiation, identities hold for any noise, and expectations are estimated from many samples.

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{
    Draws, Estimate, Gradients, Key, LatentVariableModel, Measure, PathParts, PathWeights, Reparameterized,
    Role, Strategy, Trainable,
};
use helmholtz_noise::Stream;
use helmholtz_ops::log_weights::{log_mean_exp, normalise};
use helmholtz_ops::noise::normal;
use helmholtz_strategies::{Pathwise, ReweightedWakeSleep, Weighting};
use helmholtz_tests::{Named, add_scaled, block, device, distance, either, named, norm, taped, vae, values};
use helmholtz_vae::{Activation, Likelihood, Std, Vae, VaeConfig};

/// Models with one, two and three layers, and with every activation, form of standard deviation, likelihood and body.
fn models() -> Vec<(&'static str, Vae)> {
    let config = |observed, latents: &[usize], bodies: &[&[usize]]| VaeConfig {
        bodies: bodies.iter().map(|widths| widths.to_vec()).collect(),
        ..VaeConfig::new(observed, latents.to_vec())
    };
    let conv = VaeConfig { channels: vec![2, 3], shape: Some([8, 4]), ..config(32, &[2], &[&[5]]) };
    let bare = VaeConfig { bodies: vec![vec![]], ..conv.clone() };
    let of = |config: VaeConfig, seed| vae(&config, seed);
    vec![
        ("one layer", of(config(6, &[2], &[&[5, 4]]), 1)),
        (
            "linear",
            of(
                VaeConfig { likelihood: Likelihood::Gaussian { variance: 0.3 }, ..config(4, &[2], &[&[]]) },
                2,
            ),
        ),
        (
            "two layers, tanh, exp",
            of(
                VaeConfig {
                    activation: Activation::Tanh,
                    std: Std::Exp,
                    ..config(6, &[3, 2], &[&[4], &[3, 5]])
                },
                3,
            ),
        ),
        (
            "three layers, sigmoid",
            of(VaeConfig { activation: Activation::Sigmoid, ..config(5, &[4, 3, 2], &[&[4], &[], &[3]]) }, 4),
        ),
        (
            "logistics",
            of(
                VaeConfig { likelihood: Likelihood::Logistics { components: 2 }, ..config(3, &[2], &[&[4]]) },
                5,
            ),
        ),
        ("convolutions", of(conv, 6)),
        (
            "convolutions alone, logistics",
            of(VaeConfig { likelihood: Likelihood::Logistics { components: 1 }, ..bare }, 7),
        ),
    ]
}

/// Rows that fit the likelihood of the model: bits, grey values or real numbers.
fn rows(model: &Vae, n: usize, seed: u64) -> Tensor<2> {
    let d = model.observed();
    let mut stream = Stream::new(Key::new(seed));
    let value = |stream: &mut Stream| match model.observed.likelihood() {
        Likelihood::Bernoulli => stream.below(2) as f64,
        Likelihood::Logistics { .. } => stream.below(256) as f64 / 255.0,
        Likelihood::Gaussian { .. } => stream.uniform_in(-2.0, 2.0),
    };
    tensor((0..n * d).map(|_| value(&mut stream)).collect(), [n, d])
}

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&device(), DType::F64))
}

fn noise(model: &Vae, batch: usize, k: usize, key: Key) -> Tensor<2> {
    normal(&Draws::new(key.child(Role::Wake), batch, k), model.noise_units(), DType::F64, &device())
}

fn constants(n: usize, seed: u64) -> Tensor<1> {
    let mut stream = Stream::new(Key::new(seed));
    tensor((0..n).map(|_| stream.uniform_in(-1.0, 1.0)).collect(), [n])
}

/// The gradient of `-Σ α log p + α ρ (log p - log q)(path) + γ log q(density)` by automatic differentiation.
fn by_tape(model: &Vae, x: &Tensor<2>, e: &Tensor<2>, weights: &PathWeights) -> Named {
    let lift = |t: &Tensor<1>| Tensor::<1>::from_inner(t.clone());
    let (x, e) = (Tensor::from_inner(x.clone()), Tensor::from_inner(e.clone()));
    let taped_model = model.clone().train();
    let frozen = taped_model.clone().no_grad();
    let h = taped_model.latents_at(x.clone(), e);
    let fixed: Vec<Tensor<2>> = h.iter().map(|h| h.clone().detach()).collect();
    let alpha = lift(&weights.joint);
    let rho = weights.path.as_ref().map_or_else(|| alpha.ones_like(), lift);
    let gamma = weights.posterior.as_ref().map_or_else(|| alpha.clone().neg() * rho.clone(), lift);
    let along = frozen.log_joint(x.clone(), &h) - frozen.log_posterior(x.clone(), &h);
    let loss = alpha.clone() * taped_model.log_joint(x.clone(), &fixed)
        + alpha * rho * along
        + gamma * taped_model.log_posterior(x, &fixed);
    taped(&taped_model, loss.sum().neg().backward())
}

fn closed(model: &Vae, x: &Tensor<2>, e: &Tensor<2>, weights: &PathWeights) -> Named {
    let mut gradients = Gradients::new();
    let proposals = model.propose_at(x.clone(), e.clone());
    model.pathwise_gradient(x.clone(), e.clone(), proposals, weights, &mut gradients);
    named(model, &gradients)
}

#[test]
fn the_gradient_along_the_path_is_that_of_the_tape_for_any_weights() {
    for (name, model) in models() {
        let (batch, k) = (3, 2);
        let (x, e) = (rows(&model, batch, 8), noise(&model, batch, k, Key::new(9)));
        let [alpha, rho, gamma] = [1, 2, 3].map(|seed| constants(batch * k, seed));
        for (path, posterior) in
            [(None, None), (Some(rho.clone()), None), (None, Some(gamma.clone())), (Some(rho), Some(gamma))]
        {
            let weights = PathWeights {
                joint: alpha.clone(),
                path,
                posterior,
                analytic_prior: false,
                parts: PathParts::Both,
            };
            let (closed, tape) = (closed(&model, &x, &e, &weights), by_tape(&model, &x, &e, &weights));
            // Rounding errors of sums of products of moderate numbers, relative to the norm of the gradient.
            let off = distance(&closed, &tape) / norm(&tape);
            assert!(off < 1e-12, "{name}: {off}");
            let alone = PathWeights { parts: PathParts::Recognition, ..weights };
            let phi = self::closed(&model, &x, &e, &alone);
            assert_eq!(phi, block(&closed, "recognition"), "{name}");
        }
    }
}

#[test]
fn local_gradients_are_those_of_the_tape() {
    for (name, model) in models() {
        let (batch, k) = (3, 2);
        let (x, e) = (rows(&model, batch, 18), noise(&model, batch, k, Key::new(19)));
        let h = model.latents_at(x.clone(), e);
        let w = constants(batch * k, 5);
        let (p, q) = (model.trace_joint(x.clone(), &h), model.trace_posterior(x.clone(), &h));
        let mut gradients = Gradients::new();
        model.joint_gradient(x.clone(), &h, &p.traces, w.clone(), &mut gradients);
        model.posterior_gradient(x.clone(), &h, &q.traces, w.clone(), &mut gradients);
        let tape_model = model.clone().train();
        let lifted: Vec<_> = h.iter().map(|h| Tensor::from_inner(h.clone())).collect();
        let x = Tensor::from_inner(x);
        let (log_p, log_q) = (tape_model.log_joint(x.clone(), &lifted), tape_model.log_posterior(x, &lifted));
        for (taped, traced) in [(&log_p, &p.log_prob), (&log_q, &q.log_prob)] {
            let off = values((taped.clone().inner() - traced.clone()).abs().max());
            assert!(off[0] < 1e-11, "{name}: {off:?}");
        }
        let loss = (Tensor::from_inner(w) * (log_p + log_q)).sum().neg();
        let tape = taped(&tape_model, loss.backward());
        let off = distance(&named(&model, &gradients), &tape) / norm(&tape);
        assert!(off < 1e-12, "{name}: {off}");
    }
}

#[test]
fn the_analytic_prior_is_the_expectation_over_the_highest_noise() {
    // Five Gauss-Hermite nodes make the expectation of polynomials up to degree 9 exact. log p(h_L) has degree 2 in the
    // highest noise, and so its gradients are exact. Nothing else may depend on that noise, and so the decoder may not.
    // The model has two layers, and its generative layer ignores h_2.
    let nodes =
        [-2.856_970_013_872_806, -1.355_626_179_974_266, 0.0, 1.355_626_179_974_266, 2.856_970_013_872_806];
    let masses = [
        0.011_257_411_327_720_7,
        0.222_075_922_005_612_6,
        0.533_333_333_333_333_3,
        0.222_075_922_005_612_6,
        0.011_257_411_327_720_7,
    ];
    let config = VaeConfig { bodies: vec![vec![4], vec![]], ..VaeConfig::new(5, vec![2, 1]) };
    let mut model = vae(&config, 11);
    let layer = &mut model.generative[0];
    for map in [&mut layer.mean, &mut layer.std] {
        map.weight = map.weight.clone().map(|weight| weight.zeros_like());
    }
    let (x, e) = (rows(&model, 2, 3), noise(&model, 2, 1, Key::new(4)));
    let weights = |analytic_prior| PathWeights {
        joint: constants(2, 6),
        path: None,
        posterior: None,
        analytic_prior,
        parts: PathParts::Both,
    };
    let mut expected = Named::new();
    for (node, mass) in nodes.into_iter().zip(masses) {
        let highest = tensor(vec![node; 2], [2, 1]);
        let e = Tensor::cat(vec![e.clone().slice([0..2, 0..2]), highest], 1);
        add_scaled(&mut expected, &closed(&model, &x, &e, &weights(false)), mass);
    }
    let analytic = closed(&model, &x, &e, &weights(true));
    // The maps that ignore h_2 have weights whose gradient depends on it; that gradient is not tested.
    let kept = |named: &Named| -> Named {
        named
            .iter()
            .filter(|(path, _)| !(path.starts_with("generative") && path.ends_with("weight")))
            .map(|(p, v)| (p.clone(), v.clone()))
            .collect()
    };
    let off = distance(&kept(&analytic), &kept(&expected));
    assert!(off < 1e-11, "{off}");
}

#[test]
fn the_gradient_in_the_noise_is_that_of_central_differences() {
    for (name, model) in models() {
        let (x, e) = (rows(&model, 2, 28), noise(&model, 2, 2, Key::new(29)));
        let (log_w, gradient) = model.log_weight_gradient(x.clone(), e.clone());
        let plain = model.log_weights_at(x.clone(), e.clone()).reshape([4]);
        assert!(values((log_w - plain).abs().max())[0] < 1e-12, "{name}");
        let (gradient, units) = (values(gradient), model.noise_units());
        // The error is h² times third derivatives of order one, plus rounding of 1e-15 / h.
        let h = 1e-5;
        for unit in 0..units {
            let moved = |sign: f64| {
                let step = (0..4 * units).map(|i| if i % units == unit { sign * h } else { 0.0 }).collect();
                values(model.log_weights_at(x.clone(), e.clone() + tensor(step, [4, units])))
            };
            for (row, (up, down)) in moved(1.0).into_iter().zip(moved(-1.0)).enumerate() {
                let (difference, exact) = ((up - down) / (2.0 * h), gradient[row * units + unit]);
                assert!(
                    (difference - exact).abs() < 1e-6 * (1.0 + exact.abs()),
                    "{name}: {exact} for {difference}"
                );
            }
        }
    }
}

#[test]
fn proposals_repeat_by_their_draws_and_their_latents_follow_the_recognition_net() {
    let (_, model) = models().swap_remove(2);
    let x = rows(&model, 4, 1);
    let draws = Draws::new(Key::new(3), 4, 5);
    let proposals = model.propose(x.clone(), &draws, 0.0);
    assert_eq!(values(proposals.log_weights()), values(model.log_weights(x.clone(), &draws)));
    let scored = model.trace_posterior(x.clone(), &proposals.latents).log_prob;
    assert!(values((scored - proposals.q.log_prob).abs().max())[0] < 1e-11);
    let part = model.log_weights(x.slice(2..3), &Draws::of_rows(Key::new(3), vec![2], 5).samples(1..4));
    let whole = values(proposals.p.log_prob - proposals.log_proposal);
    assert!(values(part).iter().zip(&whole[11..14]).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn one_sample_of_the_importance_weighted_bound_is_the_evidence_lower_bound_bit_for_bit() {
    for (name, model) in models() {
        let x = rows(&model, 5, 7);
        let key = Key::new(12);
        let iwae = Pathwise::new(1, Weighting::Iwae).estimate(&model, &x.clone().into(), key);
        let elbo = Pathwise::new(1, Weighting::Elbo { analytic_kl: false }).estimate(&model, &x.into(), key);
        assert_eq!(named(&model, &iwae.gradients), named(&model, &elbo.gradients), "{name}");
        let bound = |of: &Estimate| values(of.value(Measure::BOUND).expect("it is measured"));
        assert_eq!(bound(&iwae), bound(&elbo), "{name}");
    }
}

#[test]
fn strategies_follow_the_losses_that_they_name() {
    for (name, model) in models() {
        let (batch, k) = (3, 4);
        let (x, key) = (rows(&model, batch, 17), Key::new(13));
        let e = noise(&model, batch, k, key);
        let w = normalise(model.log_weights_at(x.clone(), e.clone())).reshape([batch * k]);
        let (mean, equal, none) =
            (w.clone() / batch as f64, w.full_like(1.0 / (batch * k) as f64), w.zeros_like());
        let loss = |joint: &Tensor<1>, path: Option<&Tensor<1>>, posterior: Option<&Tensor<1>>| {
            let (path, posterior) = (path.cloned(), posterior.cloned());
            let weights = PathWeights {
                joint: joint.clone(),
                path,
                posterior,
                analytic_prior: false,
                parts: PathParts::Both,
            };
            by_tape(&model, &x, &e, &weights)
        };
        let along = |weighting| {
            named(&model, &Pathwise::new(k, weighting).estimate(&model, &x.clone().into(), key).gradients)
        };
        let rws = ReweightedWakeSleep::new(k).unwrap().estimate(&model, &x.clone().into(), key).gradients;
        let estimates = [
            ("elbo", along(Weighting::Elbo { analytic_kl: false }), loss(&equal, None, None)),
            ("stl", along(Weighting::Stl), loss(&equal, None, Some(&none))),
            ("iwae", along(Weighting::Iwae), loss(&mean, None, None)),
            ("dreg", along(Weighting::Dreg), loss(&mean, Some(&w), Some(&none))),
            ("rws", named(&model, &rws), loss(&mean, Some(&none), Some(&mean))),
        ];
        for (strategy, found, tape) in estimates {
            let off = distance(&found, &tape) / norm(&tape);
            assert!(off < 1e-11, "{name}, {strategy}: {off}");
        }
    }
}

#[test]
fn the_expected_bound_grows_with_the_number_of_samples() {
    let (_, model) = models().swap_remove(0);
    let n = 4000;
    let x = rows(&model, 1, 2).repeat_dim(0, n);
    let all = model.log_weights(x, &Draws::new(Key::new(31), n, 16));
    let bound = |samples: std::ops::Range<usize>| values(log_mean_exp(all.clone().slice([0..n, samples])));
    for k in [1, 2, 4, 8] {
        let (both, first, second) = (bound(0..2 * k), bound(0..k), bound(k..2 * k));
        // For any draws, the logarithm of a mean is at least the mean of the logarithms. The mean difference is the
        // growth of the bound; it is positive by more than five standard errors (false-alarm probability below 3e-7).
        let gains: Vec<f64> =
            both.iter().zip(first.iter().zip(&second)).map(|(both, (a, b))| both - (a + b) / 2.0).collect();
        assert!(gains.iter().all(|gain| *gain > -1e-12));
        let mean = gains.iter().sum::<f64>() / n as f64;
        let variance = gains.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / (n * (n - 1)) as f64;
        assert!(mean > 5.0 * variance.sqrt(), "K = {k}: {mean} with variance {variance}");
    }
}

/// Estimates of the gradient of a block of parameters in fixed random directions, for many keys.
struct Projected {
    /// For each direction, all estimates.
    values: Vec<Vec<f64>>,
}

impl Projected {
    fn of<S: Strategy<Vae>>(
        strategy: &S,
        model: &Vae,
        x: &Tensor<2>,
        keys: std::ops::Range<u64>,
        part: &str,
    ) -> Self {
        let mut found: Vec<Vec<f64>> = vec![Vec::new(); DIRECTIONS];
        for key in keys {
            let estimate = strategy.estimate(model, &x.clone().into(), Key::new(1000 + key));
            let flat: Vec<f64> =
                block(&named(model, &estimate.gradients), part).into_values().flatten().collect();
            for (direction, found) in found.iter_mut().enumerate() {
                let mut stream = Stream::new(Key::new(77).child(direction));
                found.push(flat.iter().map(|g| g * stream.uniform_in(-1.0, 1.0)).sum());
            }
        }
        Projected { values: found }
    }

    /// Mean and variance of the estimates in each direction.
    fn moments(&self) -> Vec<(f64, f64)> {
        let moments = |values: &Vec<f64>| {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0))
        };
        self.values.iter().map(moments).collect()
    }
}

const DIRECTIONS: usize = 8;

#[test]
fn the_doubly_reparameterised_gradient_has_the_mean_of_the_plain_one() {
    // Pairs with the same noise: 300 estimates with 60 rows each. The probability of a false alarm, |z| above 5 in one
    // of 2 x 2 x 8 directions, is 2e-5.
    for model in [0, 2].map(|i| models().swap_remove(i).1) {
        let x = rows(&model, 1, 5).repeat_dim(0, 60);
        for k in [2, 6] {
            let plain = Projected::of(&Pathwise::new(k, Weighting::Iwae), &model, &x, 0..300, "recognition");
            let doubly = Projected::of(&Pathwise::new(k, Weighting::Dreg), &model, &x, 0..300, "recognition");
            let pairs = plain.values.iter().zip(&doubly.values);
            let differences = pairs.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a - b).collect()).collect();
            for (mean, variance) in (Projected { values: differences }).moments() {
                let z = mean / (variance / 300.0).sqrt();
                assert!(z.abs() < 5.0, "K = {k}: z = {z}");
            }
        }
    }
}

#[test]
fn the_signal_of_doubly_reparameterised_gradients_does_not_fall_against_its_noise() {
    let (_, model) = models().swap_remove(0);
    let x = rows(&model, 1, 5).repeat_dim(0, 40);
    // The mean over directions of |mean| / sd of an estimate with 40 rows. With n estimates each ratio has an error of
    // about 0.1 (0.07 in nightly runs), far below the bounds.
    let n = either(100, 200);
    let ratio = |moments: Vec<(f64, f64)>| {
        moments.iter().map(|(mean, variance)| mean.abs() / variance.sqrt()).sum::<f64>() / DIRECTIONS as f64
    };
    let plain = |k| {
        ratio(Projected::of(&Pathwise::new(k, Weighting::Iwae), &model, &x, 0..n, "recognition").moments())
    };
    let doubly = |k| {
        ratio(Projected::of(&Pathwise::new(k, Weighting::Dreg), &model, &x, 0..n, "recognition").moments())
    };
    let (few, many) = (2, 64);
    let (plain, doubly) = ([plain(few), plain(many)], [doubly(few), doubly(many)]);
    println!("signal to noise at K = {few} and {many}: iwae {plain:.3?}, dreg {doubly:.3?}");
    assert!(plain[1] < 0.6 * plain[0], "iwae: {plain:?}");
    assert!(doubly[1] > 0.8 * doubly[0], "dreg: {doubly:?}");
}

#[test]
fn dreams_have_the_moments_of_the_generative_net() {
    // p(x) of the linear model is Gaussian with mean b and covariance W Wᵀ + 0.3 I. With 40 000 dreams each moment is
    // within 5 standard errors (false-alarm probability below 6e-7 each).
    let (_, model) = models().swap_remove(1);
    let n = 40_000;
    let (x, _) = model.dream(&Draws::new(Key::new(41), n, 1));
    let weight = values(model.observed.weight.as_ref().unwrap().val());
    let bias = values(model.observed.bias.val());
    let x = values(x);
    for i in 0..4 {
        for j in 0..4 {
            let covariance = |i: usize, j: usize| {
                (0..2).map(|h| weight[h * 4 + i] * weight[h * 4 + j]).sum::<f64>()
                    + if i == j { 0.3 } else { 0.0 }
            };
            let found =
                x.chunks_exact(4).map(|x| (x[i] - bias[i]) * (x[j] - bias[j])).sum::<f64>() / n as f64;
            let error = ((covariance(i, i) * covariance(j, j) + covariance(i, j).powi(2)) / n as f64).sqrt();
            assert!((found - covariance(i, j)).abs() < 5.0 * error, "{i} {j}: {found}");
        }
        let mean = x.chunks_exact(4).map(|x| x[i] - bias[i]).sum::<f64>() / n as f64;
        assert!(
            mean.abs() < 5.0 * ((2.0 * weight.iter().map(|w| w * w).sum::<f64>() + 0.3) / n as f64).sqrt()
        );
    }
}
