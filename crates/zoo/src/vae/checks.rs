//! The doctor's checks of variational auto-encoders and of the strategies on them.

use helmholtz_core::{Key, Strategy};
use helmholtz_ops::hidden::Activation;
use helmholtz_strategies::{Coupled, Kernel, Pathwise, ReweightedWakeSleep, Weighting};
use helmholtz_vae::gaussian::Std;
use helmholtz_vae::{Likelihood, Vae, VaeConfig};

use crate::check::{DoctorCheck, On, of_model, of_strategy};

const TOLERANCE: f64 = 1e-4;
/// Signed weights of coupled chains cancel, which loses digits.
const TOLERANCE_OF_CHAINS: f64 = 1e-3;
const OBSERVED: usize = 13;

/// A variational auto-encoder of one layer.
pub fn vae(on: &On) -> Vae {
    vae_of(on, &vae_config(vec![7], vec![vec![10, 13]]))
}

fn vae_config(latents: Vec<usize>, bodies: Vec<Vec<usize>>) -> VaeConfig {
    VaeConfig { bodies, ..VaeConfig::new(OBSERVED, latents) }
}

fn vae_of(on: &On, config: &VaeConfig) -> Vae {
    on.cast(config.init(None, Key::new(1), &on.device).expect("the sizes make a vae"))
}

/// The checks of all likelihoods and nets, and of all strategies.
pub fn checks() -> Vec<DoctorCheck> {
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
        DoctorCheck::new("model", name, TOLERANCE, move |on, out| {
            of_model(out, &vae_of(on, &config), on.bits("x", [5, config.observed]));
        })
    });
    vaes.chain(of_vaes()).collect()
}

fn of_vaes() -> Vec<DoctorCheck> {
    fn check<S: Strategy<Vae>>(
        name: &str,
        tolerance: f64,
        strategy: impl Fn(&On) -> S + 'static,
    ) -> DoctorCheck {
        DoctorCheck::new("strategy", name, tolerance, move |on, out| {
            of_strategy(on, out, &vae(on), &strategy(on))
        })
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
