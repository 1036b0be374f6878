//! The speed of training steps of a variational autoencoder.
//!
//! The net and the settings are those of Ruiz et al. (2021) for binarised digits: 784 observed bits, hidden layers of
//! 200 and 200 ReLU units in each net, 20 latents, K = 10, batches of 100, RMSProp at 5e-4. The rows are the first
//! of `glyphs/28x28`. The weights have been trained on them for some steps, so that chains meet as late as in training.
//!
//! PyTorch and JAX take the same `iwae` step on the same rows from the same weights, once their bounds and gradients,
//! with the same noise, agree with ours. The time of their `coupled` step is calculated from its parts: see [`chains`].
//!
//! # Reference
//! Ruiz, Titsias, Cemgil, Doucet, "Unbiased gradient estimation for variational auto-encoders using coupled Markov
//! chains", UAI 2021, arXiv:2010.01845.

mod chains;
mod exchange;
mod parts;
mod subject;

use burn::tensor::Device;
use helmholtz_cli::error::user;
use helmholtz_strategies::{Coupled, Kernel, Pathwise, Weighting};

use crate::bench::descent::{Bare, RMSPROP};
use crate::bench::options::Options;
use crate::bench::parts::repeat;
use crate::bench::peers::{self, FRAMEWORKS, Peer};
use crate::bench::report::{Report, Row};
use crate::bench::session::Session;
use crate::bench::stack::{OBSERVED, ROWS};
use crate::exit::progress;
use chains::{Meetings, Reckoning, settled};
use exchange::exchange;
use parts::Estimate;
use subject::Subject;

/// A step of `coupled` takes as long as ten or more of `iwae`, so ten times fewer steps are timed.
const PER_COUPLED_STEP: usize = 10;

/// Refuses sizes that no machine could hold, and settings that `coupled` refuses.
pub(crate) fn check(options: &Options) -> anyhow::Result<()> {
    // Points of both chains of each row.
    options.check_samples(2)?;
    Coupled::new(options.samples, Kernel::Disir, &Device::flex())
        .map_err(|error| user(format!("--samples: {error}")))?;
    Ok(())
}

pub(crate) fn measure(options: &Options, threads: usize, report: &mut Report) -> anyhow::Result<()> {
    let Options { samples, steps, rounds, .. } = *options;
    let (batch, device) = (options.batch(), Device::flex());
    let iwae = Pathwise::new(samples, Weighting::Iwae);
    progress(&format!("vae: {} steps of training", subject::TRAINING));
    let subject = Subject::trained(batch, samples, &device)?;
    let x = subject.batch(batch);
    let coupled = settled(Coupled::new(samples, Kernel::Disir, &device)?, &subject.model, &x)?;
    let mut peers = if options.peers { start_peers(&subject, &coupled, threads, batch)? } else { Vec::new() };

    let mut whole = Session::default();
    let (mut bare, mut optimiser) = (Vec::new(), Vec::new());
    let mut estimate = Estimate::new(&subject.model, x.clone(), samples, &device);
    let (mut of_coupled, mut meetings) = (Vec::new(), Meetings::default());
    let mut reckonings: Vec<Reckoning> = peers.iter().map(|_| Reckoning::default()).collect();
    let few = steps.div_ceil(PER_COUPLED_STEP);
    for round in 1..=rounds {
        progress(&format!("vae: round {round} of {rounds}"));
        whole.extend(Session::run(&subject.model, &subject.x, &iwae, &RMSPROP, [batch, steps])?);
        let mut plain = Bare::new(&subject.model, &iwae, &RMSPROP, x.clone());
        for step in repeat(steps, || plain.step())? {
            bare.push(step.step);
            optimiser.push(step.optimiser);
        }
        estimate.extend(steps)?;
        let mut chains = Bare::new(&subject.model, &coupled, &RMSPROP, x.clone());
        chains.step()?; // not timed, like the first ones of `repeat`
        for _ in 0..few {
            let step = chains.step()?;
            of_coupled.push(step.step);
            meetings.add(&step.measured)?;
        }
        for (peer, reckoning) in peers.iter_mut().zip(&mut reckonings) {
            peer.take_steps(steps)?;
            reckoning.measure(peer, few)?;
        }
    }

    let ours = |name, ms| Row::ours(name, "iwae", ms);
    let (mut step, bare) = (ours("iwae", whole.steps), ours("iwae/bare", bare));
    step.extra.push(("learner_ms", step.median() - bare.median()));
    report.add(step);
    report.add(bare);
    report.add(ours("iwae/estimate", whole.estimates));
    report.add(ours("iwae/optimiser", optimiser));
    estimate.rows().into_iter().for_each(|row| report.add(row));
    peers.iter().for_each(|peer| report.add(peer.row_of_steps("iwae", "iwae")));
    report.add(meetings.row(of_coupled));
    for (peer, reckoning) in peers.iter().zip(reckonings) {
        report.add(reckoning.row(peer, coupled.lag, &meetings));
    }
    Ok(())
}

/// Starts PyTorch and JAX with the weights and rows of `subject`, and checks their bounds and gradients.
fn start_peers(
    subject: &Subject,
    coupled: &Coupled,
    threads: usize,
    batch: usize,
) -> anyhow::Result<Vec<Peer>> {
    let exchange = exchange(subject, coupled, batch)?;
    let hidden = subject::HIDDEN.map(|n| n.to_string()).join(",");
    let settings = [
        ("--visible", OBSERVED.to_string()),
        ("--hidden", hidden),
        ("--latents", subject::LATENTS.to_string()),
        ("--rows", ROWS.to_string()),
        ("--batch", batch.to_string()),
        ("--samples", coupled.samples.to_string()),
        ("--lag", coupled.lag.to_string()),
        ("--beta", coupled.beta().to_string()),
    ]
    .map(|(flag, value)| (flag, value.into()));
    let arguments = [exchange.arguments().as_slice(), &settings].concat();
    let mut peers = peers::start("vae_step.py", &FRAMEWORKS, &arguments, threads)?;
    for peer in &mut peers {
        exchange.check(peer)?;
    }
    Ok(peers)
}
