//! A strategy of one's own, the ELBO by scores: in the court, with and without a planted error, then in a race.
use burn::{module::Module, optim::AdamConfig, tensor::Device};
use helmholtz::{core::*, court::*, ops::log_weights::mean_of_others, prelude::*, strategies::wake::*};
#[derive(Module, Debug)]
struct Mine {
    sign: f64, // 1, or -1 as the planted error
}
impl<M: LatentVariableModel> Strategy<M> for Mine {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        estimate_of_proposals(model, batch.whole(), 10, key, |h, into| {
            let (x, l) = (batch.whole(), h.log_weights()); // log p(x, h) - log q(h | x), ten h for each row
            wake_theta(model, x.clone(), h, l.full_like(0.1), into);
            wake_phi(model, x, h, (l.clone() - mean_of_others(l.clone())) * 0.1 * self.sign, into);
            diagnose_mean(l)
        })
    }
}
impl Claims for Mine {
    fn follows(&self) -> Follows {
        Follows::new(Direction::Elbo, Direction::Elbo) // the gradient of the ELBO, in theta and in phi
    }
}
fn nll(strategy: impl Strategy<HelmholtzMachine>, mut sbn: HelmholtzMachine, data: &[Batch; 2]) -> f64 {
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    for (step, i) in (0..1000).zip((0..10_000).step_by(100).cycle()) {
        let estimate = strategy.estimate(&sbn.valid(), &data[0].slice(i..i + 100), Key::new(step));
        sbn = adam.step(2e-2, sbn, estimate.gradients.into_params());
    }
    -ExactLikelihood::default().log_prob(&sbn.valid(), data[1].whole()).unwrap().iter().sum::<f64>() / 1e4
}
fn main() {
    let (bars, device) = (helmholtz::datasets::load("bars/5x5", None).unwrap(), Device::flex());
    let data = [&bars.train, &bars.test].map(|split| split.batch(&device)); // 10 000 rows each
    let sbn = StackConfig::new(25, vec![8]).init(Some(&bars.train.mean()), Key::new(0), &device).unwrap();
    let (x, trial) = (data[0].slice(0..4).x, Trial::new(1000, Key::new(1)));
    let judge = |sign| gradient_report(&sbn, &Mine { sign }, &Enumeration, x.clone(), trial).unwrap();
    assert!(judge(1.0).is_right() && judge(-1.0).verdict() == Verdict::Wrong);
    let rws = nll(ReweightedWakeSleep::new(10).unwrap(), sbn.clone().train(), &data);
    println!("mine {:.3}, rws {rws:.3} nats per row", nll(Mine { sign: 1.0 }, sbn.train(), &data));
}
