//! Models, and a step of every strategy on those that it fits.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{Draws, Key, LatentVariableModel, Strategy};
use helmholtz_directed::{HelmholtzMachine, Kind, StackConfig};
use helmholtz_ops::hidden::Activation;
use helmholtz_strategies::{
    Bidirectional, Coupled, Kernel, Nvil, Pathwise, Reinforce, ReweightedWakeSleep, Vimco, WakeSleep,
    Weighting,
};
use helmholtz_vae::gaussian::Std;
use helmholtz_vae::{Likelihood, Vae, VaeConfig};

use super::check::{Check, On, Outputs};

const TOLERANCE: f64 = 1e-4;
/// Signed weights of coupled chains cancel, and with them digits.
const TOLERANCE_OF_CHAINS: f64 = 1e-3;
const OBSERVED: usize = 13;
const LATENTS: [usize; 2] = [7, 10];

/// A stack of layers of one kind.
pub(super) fn stack(on: &On, kind: Kind) -> HelmholtzMachine {
    let mean: Vec<f64> = (0..OBSERVED).map(|j| 0.1 + 0.06 * j as f64).collect();
    let config = StackConfig::of(kind, OBSERVED, LATENTS.to_vec());
    on.cast(config.init(Some(&mean), Key::new(1), &on.device).expect("the sizes make a stack"))
}

/// A variational autoencoder over as many units.
pub(super) fn vae(on: &On) -> Vae {
    vae_of(on, &vae_config(vec![7], vec![vec![10, 13]]))
}

fn vae_config(latents: Vec<usize>, bodies: Vec<Vec<usize>>) -> VaeConfig {
    VaeConfig { bodies, ..VaeConfig::new(OBSERVED, latents) }
}

fn vae_of(on: &On, config: &VaeConfig) -> Vae {
    on.cast(config.init(None, Key::new(1), &on.device).expect("the sizes make a vae"))
}

/// All models, and all strategies.
pub(super) fn checks() -> Vec<Check> {
    let stacks = Kind::ALL.into_iter().map(|(name, kind)| {
        Check::new("model", name, TOLERANCE, move |on, out| {
            model(out, &stack(on, kind), on.bits("x", [5, OBSERVED]));
        })
    });
    let two = vae_config(vec![7, 1], vec![vec![10], vec![]]);
    let square = VaeConfig { channels: vec![3, 5], shape: Some([8, 8]), ..VaeConfig::new(64, vec![7]) };
    let vaes = [
        ("vae", vae_config(vec![7], vec![vec![10, 13]])),
        ("vae of two layers", VaeConfig { activation: Activation::Tanh, std: Std::Exp, ..two }),
        ("convolutional vae", VaeConfig { bodies: vec![vec![10]], ..square }),
        (
            "vae of logistics",
            VaeConfig {
                likelihood: Likelihood::Logistics { components: 3 },
                ..vae_config(vec![7], vec![vec![10]])
            },
        ),
        (
            "vae of normal units",
            VaeConfig {
                likelihood: Likelihood::Gaussian { variance: 0.3 },
                ..vae_config(vec![7], vec![vec![10]])
            },
        ),
    ];
    let vaes = vaes.into_iter().map(|(name, config)| {
        Check::new("model", name, TOLERANCE, move |on, out| {
            model(out, &vae_of(on, &config), on.bits("x", [5, config.observed]));
        })
    });
    stacks.chain(vaes).chain(of_stacks()).chain(of_vaes()).collect()
}

/// What every model can do.
fn model<M: LatentVariableModel>(out: &mut Outputs, model: &M, x: Tensor<2>) {
    let draws = Draws::new(Key::new(2), 5, 7);
    let proposals = model.propose(x.clone(), &draws, 0.0);
    out.put("log p of proposals", proposals.p.log_prob.clone());
    out.put("log q of proposals", proposals.q.log_prob.clone());
    out.put("log weights", model.log_weights(x.clone(), &draws));
    out.put("decoded", model.decode(x, &proposals.latents));
    let (x, h) = model.dream(&Draws::new(Key::new(3), 6, 1));
    out.put("dreams", x.clone());
    out.put("log p of dreams", model.trace_joint(x.clone(), &h).log_prob);
    out.put("log q of dreams", model.trace_posterior(x, &h).log_prob);
}

fn of_stacks() -> Vec<Check> {
    fn check<S: Strategy<HelmholtzMachine>>(
        name: impl Into<String>,
        kind: Kind,
        strategy: impl Fn(&On) -> S + 'static,
    ) -> Check {
        Check::new("strategy", name, TOLERANCE, move |on, out| {
            estimate(on, out, &stack(on, kind), &strategy(on));
        })
    }
    let sizes = [OBSERVED, LATENTS[0], LATENTS[1]];
    let both = |_: &On| ReweightedWakeSleep {
        samples: 3,
        wake_phi: 0.5,
        sleep_phi: 0.5,
        control_variate: false,
        defence: 0.2,
    };
    let rws = |_: &On| ReweightedWakeSleep::new(3).expect("K is 3");
    let mut checks = vec![
        check("ws", Kind::Sbn, |_| WakeSleep::new(1)),
        check("rws, both phases and a mixture", Kind::Sbn, both),
        check("vimco", Kind::Sbn, |_| Vimco::new(3).expect("K is 3")),
        check("reinforce", Kind::Sbn, |_| Reinforce::new(3).expect("K is 3")),
        check("nvil", Kind::Sbn, move |on| Nvil::new(3, &sizes, Key::new(8), &on.device)),
        check("bihm", Kind::Sbn, |_| Bidirectional { samples: 3, control_variate: true }),
    ];
    checks.extend(Kind::ALL.map(|(name, kind)| check(format!("rws on {name}"), kind, rws)));
    checks
}

fn of_vaes() -> Vec<Check> {
    fn check<S: Strategy<Vae>>(name: &str, tolerance: f64, strategy: impl Fn(&On) -> S + 'static) -> Check {
        Check::new("strategy", name, tolerance, move |on, out| estimate(on, out, &vae(on), &strategy(on)))
    }
    let chains = |kernel| {
        move |on: &On| {
            let mut coupled = Coupled::new(5, kernel, &on.device).expect("K is 5");
            coupled.lag = 3;
            coupled
        }
    };
    vec![
        check("elbo, analytic", TOLERANCE, |_| Pathwise::new(3, Weighting::Elbo { analytic_kl: true })),
        check("elbo, sampled", TOLERANCE, |_| Pathwise::new(3, Weighting::Elbo { analytic_kl: false })),
        check("iwae", TOLERANCE, |_| Pathwise::new(7, Weighting::Iwae)),
        check("stl", TOLERANCE, |_| Pathwise::new(3, Weighting::Stl)),
        check("dreg", TOLERANCE, |_| Pathwise::new(7, Weighting::Dreg)),
        check("rws on a vae", TOLERANCE, |_| ReweightedWakeSleep::new(7).expect("K is 7")),
        check("coupled, isir", TOLERANCE_OF_CHAINS, chains(Kernel::Isir)),
        check("coupled, disir", TOLERANCE_OF_CHAINS, chains(Kernel::Disir)),
    ]
}

/// One estimate: what it measures, and its gradients.
fn estimate<M: LatentVariableModel, S: Strategy<M> + Module>(
    on: &On,
    out: &mut Outputs,
    model: &M,
    strategy: &S,
) {
    let estimate = strategy.estimate(model, on.bits("batch", [10, OBSERVED]), Key::new(9));
    out.put("bound", estimate.diagnostics.bound);
    out.put("ess", estimate.diagnostics.ess);
    out.gradients("gradient", model, &estimate.gradients);
    out.gradients("gradient of the strategy's own", strategy, &estimate.gradients);
}
