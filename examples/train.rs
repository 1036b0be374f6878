//! Trains one model by two strategies with Burn's optimiser, and compares the results by the exact likelihood.
//!
//! Run it with `cargo run --release --example train`. It needs no files.

use burn::module::Module;
use burn::optim::AdamConfig;
use burn::tensor::Device;
use helmholtz::prelude::*;

/// The NLL, in nats per row, of a sigmoid belief network that `strategy` has trained on the 5x5 bars.
fn nll(strategy: impl Strategy<HelmholtzMachine>) -> f64 {
    // A generated data set: 10 000 rows of 25 bits for training and as many for testing, the same on every machine.
    let (bars, device) = (helmholtz::datasets::load("bars/5x5", None).unwrap(), Device::flex());
    let (train, test) = (bars.train.batch(&device), bars.test.tensor(&device));
    // 25 observed units under 12 latent bits. The initial weights are drawn under a key, which is made from a seed.
    let config = StackConfig::new(25, vec![12]);
    let sbn = config.init(Some(&bars.train.mean()), Key::new(0), &device).unwrap();
    // Burn's optimisers update modules that are on an autodiff device.
    let (mut sbn, mut adam) = (sbn.train(), AdamConfig::new().with_epsilon(1e-8).init());
    for step in 0..1000 {
        let first = 100 * step % train.len();
        let batch = train.slice(first..first + 100);
        // An estimate contains the gradients. The strategy computes them without autodiff, on the plain model, and
        // draws all of its samples under the key of the step.
        let estimate = strategy.estimate(&sbn.valid(), &batch, Key::new(0).child(step));
        sbn = adam.step(2e-2, sbn, estimate.gradients.into_params());
    }
    // log p(x) of every test row, by a sum over all 2^12 latent states: no sampling error.
    let log_p = ExactLikelihood::default().log_prob(&sbn.valid(), test).unwrap();
    -log_p.iter().sum::<f64>() / log_p.len() as f64
}

fn main() {
    // Only numbers of this kind can be compared: each strategy descends a loss of its own.
    println!("wake-sleep, K = 1:             {:.3} nats per row", nll(WakeSleep::new(1)));
    println!("reweighted wake-sleep, K = 10: {:.3} nats per row", nll(ReweightedWakeSleep::new(10).unwrap()));
    println!("entropy of the data:           3.251 nats per row, the least that any model can reach");
}
