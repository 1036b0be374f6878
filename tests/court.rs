//! Every strategy is tested by the court, and planted errors must be found.

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use helmholtz_core::{
    Batch, Claims, Draws, Estimate, Follows, Gradients, Key, LatentVariableModel, Measure, Role, Strategy,
    enumerate_bits, visit_params,
};
use helmholtz_court::{
    BiasOrder, Enumeration, Net, Quadrature, Reference, Report, States, Trial, Verdict, assert_right,
    gradient_report,
};
use helmholtz_directed::{HelmholtzMachine, LayerKind, StackConfig};
use helmholtz_noise::Stream;
use helmholtz_ops::log_weights::normalise;
use helmholtz_strategies::{
    Bidirectional, Coupled, Kernel, Nvil, Pathwise, Reinforce, ReweightedWakeSleep, Vimco, WakeSleep,
    Weighting,
};
use helmholtz_tests::{device, either, sbn, stack, vae};
use helmholtz_vae::{Activation, Vae, VaeConfig};

/// Observed units of all models here.
const OBSERVED: usize = 4;

/// Three rows.
fn x() -> Tensor<2> {
    enumerate_bits(OBSERVED, 5, 3, DType::F64, &device())
}

/// Number of estimates in a trial, and the grid.
#[derive(Clone, Copy)]
struct Estimates {
    /// For a strategy that should be right.
    right: u64,
    /// For a bias that should be visible, or invisible.
    bias: u64,
    /// For the bias at one K; the biases at several K give its order.
    order: u64,
    /// The grid for sums over Gaussian latents.
    grid: Quadrature,
}

/// The smallest numbers that find each planted error and distinguish orders; nightly runs use up to eight times as
/// many.
fn estimates() -> Estimates {
    let every_run = Estimates {
        right: 1000,
        bias: 2500,
        order: 4000,
        // Spacings of 1/16 and 1/4.
        grid: Quadrature { points: [257, 65], reach: 8.0 },
    };
    either(every_run, Estimates { right: 4000, bias: 20_000, order: 10_000, grid: Quadrature::default() })
}

/// One trial in a hundred gives a false alarm; the keys are fixed.
fn trial(estimates: u64) -> Trial {
    Trial::new(estimates, Key::new(2026))
}

fn right<M, S, W>(name: &str, model: &M, strategy: S, states: &W)
where
    M: LatentVariableModel,
    S: Strategy<M> + Claims,
    W: States<M> + Clone,
{
    let report = assert_right(model, &strategy, states, x(), trial(estimates().right));
    println!("{name}:\n{report}");
}

#[test]
fn strategies_of_bits_are_right() {
    let mixed = StackConfig {
        generative: vec![LayerKind::Nade, LayerKind::Dsbn, LayerKind::Darn],
        recognition: vec![LayerKind::Sbn, LayerKind::Nade],
        ..StackConfig::new(OBSERVED, vec![2, 2])
    };
    for (name, model) in [("sbn 2-1", sbn(OBSERVED, &[2, 1], 21)), ("mixed", stack(&mixed, 5))] {
        let rws = || ReweightedWakeSleep::new(3).unwrap();
        let name = |strategy: &str| format!("{name}, {strategy}");
        right(&name("ws"), &model, WakeSleep::new(2), &Enumeration);
        right(&name("rws"), &model, rws(), &Enumeration);
        let both = ReweightedWakeSleep { wake_phi: 0.5, sleep_phi: 0.5, control_variate: true, ..rws() };
        right(&name("rws, both phases"), &model, both, &Enumeration);
        let defended = ReweightedWakeSleep { defence: 0.2, ..rws() };
        right(&name("rws, defended"), &model, defended, &Enumeration);
        right(&name("bihm"), &model, Bidirectional::new(3).unwrap(), &Enumeration);
        right(&name("vimco"), &model, Vimco::new(3).unwrap(), &Enumeration);
        right(&name("reinforce"), &model, Reinforce::new(3).unwrap(), &Enumeration);
        let sizes = [&[OBSERVED], model.latent_sizes().as_slice()].concat();
        let nvil = Nvil::new(2, &sizes, Key::new(1), &device());
        // Running statistics would change the expectation of the estimate. Here they are fixed, with a large spread.
        let centres = vec![-2.0; sizes.len() - 1];
        let nvil = nvil.with_state(&centres, 4.0).held();
        right(&name("nvil"), &model, nvil, &Enumeration);
    }
}

/// An autoencoder of smooth nets with these numbers of latents.
fn autoencoder(latents: Vec<usize>) -> Vae {
    let bodies = vec![vec![3]; latents.len()];
    let config = VaeConfig { activation: Activation::Tanh, bodies, ..VaeConfig::new(OBSERVED, latents) };
    vae(&config, 4)
}

/// The same model with a recognition net that is wider than the prior, so that the importance weights are bounded.
fn widened(mut model: Vae) -> Vae {
    for layer in &mut model.recognition {
        layer.std.weight = layer.std.weight.clone().map(|weight| weight * 0.1);
        layer.std.bias = layer.std.bias.clone().map(|bias| bias.full_like(2.0));
    }
    model
}

/// Chains with a short lag.
fn coupled(samples: usize, kernel: Kernel) -> Coupled {
    let mut strategy = Coupled::new(samples, kernel, &device()).unwrap();
    strategy.lag = 2;
    strategy.checked().unwrap()
}

#[test]
fn strategies_of_gaussian_latents_are_right() {
    let all = || vec![vec![1], vec![2], vec![1, 1]];
    for latents in either(vec![vec![2], vec![1, 1]], all()) {
        let model = autoencoder(latents.clone());
        let grid = estimates().grid;
        let name = |strategy: &str| format!("vae {latents:?}, {strategy}");
        for (strategy, samples, weighting) in [
            ("elbo", 1, Weighting::Elbo { analytic_kl: true }),
            ("elbo, sampled", 2, Weighting::Elbo { analytic_kl: false }),
            ("stl", 1, Weighting::Stl),
            ("iwae", 3, Weighting::Iwae),
            ("dreg", 3, Weighting::Dreg),
        ] {
            right(&name(strategy), &model, Pathwise::new(samples, weighting), &grid);
        }
        right(&name("rws"), &model, ReweightedWakeSleep::new(3).unwrap(), &grid);
        right(&name("vimco"), &model, Vimco::new(3).unwrap(), &grid);
    }
    // With a wide recognition net the posterior is narrow in terms of the noise, so the grid has to be fine. For two
    // latents that takes seconds, so they are tested only in nightly runs.
    for latents in either(vec![vec![1]], all()) {
        let name = format!("vae {latents:?}, coupled");
        right(&name, &widened(autoencoder(latents)), coupled(3, Kernel::Disir), &Quadrature::default());
    }
}

#[test]
fn coupled_is_unbiased_at_two_samples_and_the_bound_is_not() {
    let model = widened(autoencoder(vec![1]));
    let theta = |report: &Report| report.finding("theta", Reference::Limit).unwrap().clone();
    let report =
        assert_right(&model, &coupled(2, Kernel::Isir), &Quadrature::default(), x(), trial(estimates().bias));
    let found = theta(&report);
    assert_eq!(found.verdict, Verdict::Unbiased);
    let bound = Pathwise::new(2, Weighting::Iwae);
    let report = assert_right(&model, &bound, &Quadrature::default(), x(), trial(estimates().bias));
    let bound = theta(&report);
    assert_eq!(bound.verdict, Verdict::Biased);
    println!("coupled: a bias of {:.4} would be visible; iwae: the bias is {:.4}", found.visible, bound.bias);
    assert!(found.visible < bound.bias.abs(), "a bias like that of the bound would be visible");
}

#[test]
fn the_bias_of_rws_falls_as_one_over_k() {
    let model = sbn(OBSERVED, &[2, 1], 21);
    let reports = either(&[4, 8, 16, 32][..], &[4, 8, 16, 32, 64]).iter().map(|&k| {
        let strategy = ReweightedWakeSleep::new(k).unwrap();
        (k, assert_right(&model, &strategy, &Enumeration, x(), trial(estimates().order)))
    });
    let reports: Vec<_> = reports.collect();
    for block in ["theta", "phi"] {
        let measured = reports.iter().map(|(k, report)| {
            let (bias, se) = report.finding(block, Reference::Limit).unwrap().gap.unwrap();
            (*k, bias, se)
        });
        let measured: Vec<_> = measured.collect();
        let order = BiasOrder::fit(&measured).expect("the bias is visible");
        println!("{block}: {measured:.4?}: {order:?}");
        assert!(order.holds(1.0) && !order.holds(0.5) && !order.holds(2.0), "{block}: {order:?}");
    }
}

/// An error planted in a strategy.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The weights are differentiated and not treated as constants.
    WeightsNotDetached,
    /// The sleep update has the wrong sign.
    SleepOfWrongSign,
    /// The weights are normalised over the batch.
    NormalisedOverTheBatch,
    /// The highest recognition layer is left out.
    LastLayerDropped,
    /// The recognition net's gradient has a sign drawn by lot, so that its mean is zero.
    SignByLot,
    /// No error.
    None,
}

/// Reweighted wake-sleep with both phases and an error.
#[derive(Module, Debug)]
struct Planted {
    #[module(skip)]
    fault: Fault,
}

const K: usize = 4;

impl Strategy<HelmholtzMachine> for Planted {
    fn estimate(&self, model: &HelmholtzMachine, batch: &Batch, key: Key) -> Estimate {
        let (x, batch) = (batch.whole(), batch.len());
        let mut gradients = Gradients::new();
        let proposals = model.propose(x.clone(), &Draws::new(key.child(Role::Wake), batch, K), 0.0);
        let log_w = proposals.log_weights();
        let w = match self.fault {
            Fault::NormalisedOverTheBatch => normalise(log_w.clone().transpose()).transpose(),
            _ => normalise(log_w.clone()),
        };
        let per_row = |w: Tensor<2>| w.reshape([batch * K]) / batch as f64;
        let [of_theta, of_phi] = match self.fault {
            Fault::WeightsNotDetached => {
                // The loss is -sum_k w_k s_k with s = log p + log q / 2, and w_k the normalised p / q, so that
                // dw_k = w_k (dlog p_k - dlog q_k) less its mean under w.
                let of = |log_prob: &Tensor<1>| log_prob.clone().reshape([batch, K]);
                let s = of(&proposals.p.log_prob) + of(&proposals.q.log_prob) * 0.5;
                let mean = (w.clone() * s.clone()).sum_dim(1);
                let signal = w.clone() * (s - mean);
                // The gradient of phi is halved below, together with its correct part.
                [w.clone() + signal.clone(), w.clone() - signal * 2.0]
            }
            _ => [w.clone(), w.clone()],
        };
        let (h, p, q) = (&proposals.latents, &proposals.p.traces, &proposals.q.traces);
        model.joint_gradient(x.clone(), h, p, per_row(of_theta), &mut gradients);
        let is_heads = || Stream::new(key.child("lot")).uniform() < 0.5;
        let lot = if matches!(self.fault, Fault::SignByLot) && is_heads() { -1.0 } else { 1.0 };
        let of_phi = per_row(of_phi) * (0.5 * lot);
        match self.fault {
            Fault::LastLayerDropped => {
                let depth = h.len();
                let mut all = Gradients::new();
                model.posterior_gradient(x.clone(), h, q, of_phi, &mut all);
                let kept = &model.recognition[..depth - 1];
                visit_params(&kept.to_vec(), |_, param| {
                    if let Some(found) = param.gradient(&all) {
                        param.add_gradient(found, &mut gradients);
                    }
                });
            }
            _ => model.posterior_gradient(x.clone(), h, q, of_phi, &mut gradients),
        }
        let sign = if matches!(self.fault, Fault::SleepOfWrongSign) { -1.0 } else { lot };
        let (dreams, h) = model.dream(&Draws::new(key.child(Role::Sleep), batch, 1));
        let q = model.trace_posterior(dreams.clone(), &h);
        let weights = q.log_prob.full_like(0.5 * sign / batch as f64);
        model.posterior_gradient(dreams, &h, &q.traces, weights, &mut gradients);
        let measured = vec![Measure::BOUND.is(log_w.mean())];
        Estimate { gradients, measured, evaluations: (2 * K + 1) as u64 * batch as u64 }
    }
}

impl Claims for Planted {
    fn follows(&self) -> Follows {
        let right =
            ReweightedWakeSleep { wake_phi: 0.5, sleep_phi: 0.5, ..ReweightedWakeSleep::new(K).unwrap() };
        right.follows()
    }
}

#[test]
fn planted_errors_are_found() {
    let model = sbn(OBSERVED, &[2, 1], 21);
    let report = |fault| {
        gradient_report(&model, &Planted { fault }, &Enumeration, x(), trial(estimates().right)).unwrap()
    };
    assert!(report(Fault::None).is_right(), "without an error the strategy is right");
    for (fault, nets) in [
        (Fault::WeightsNotDetached, &[Net::Theta, Net::Phi][..]),
        (Fault::SleepOfWrongSign, &[Net::Phi]),
        (Fault::NormalisedOverTheBatch, &[Net::Theta, Net::Phi]),
        (Fault::LastLayerDropped, &[Net::Phi]),
    ] {
        let report = report(fault);
        for net in [Net::Theta, Net::Phi] {
            let own =
                report.findings.iter().filter(|found| found.reference == Reference::Own && found.net == net);
            let z = own.map(|found| found.z.abs()).fold(0.0, f64::max);
            println!("{fault:?}, {net:?}: |z| = {z:.1}");
            assert_eq!(z > 6.0, nets.contains(&net), "{fault:?}, {net:?}: {z}");
        }
        assert!(!report.is_right());
    }
}

#[test]
fn a_gradient_of_zero_is_not_tested_by_few_estimates_and_found_by_as_many_as_are_planned() {
    let model = sbn(OBSERVED, &[2, 1], 21);
    let report = |estimates| {
        let strategy = Planted { fault: Fault::SignByLot };
        gradient_report(&model, &strategy, &Enumeration, x(), trial(estimates)).unwrap()
    };
    let few = report(10);
    assert_eq!(few.verdict(), Verdict::Untested, "{few}");
    assert!(few.resolution() > 1.0 && !few.is_right());
    let planned = few.estimates_for(0.5).unwrap();
    // Four times as many for half the bias, up to rounding.
    assert!(few.estimates_for(0.25).unwrap().abs_diff(4 * planned) <= 4);
    let many = report(planned);
    assert_eq!(many.verdict(), Verdict::Wrong, "{many}");
    // The spread is estimated by the few.
    assert!((0.3..0.8).contains(&many.resolution()), "{}", many.resolution());
}
