//! The speed of importance sampling.
//!
//! PyTorch and JAX estimate the same rows from the same weights. They are timed only once they agree with ours, see
//! [`agreement`].

mod agreement;

use burn::tensor::Device;
use helmholtz_core::{Key, Role};
use helmholtz_eval::ImportanceSampling;

use crate::bench::memory::peak_resident_mib;
use crate::bench::options::Options;
use crate::bench::parts::timed;
use crate::bench::peers::{self, FRAMEWORKS, Peer};
use crate::bench::report::{Report, Row};
use crate::bench::stack::{OBSERVED, ROWS, Stack, stack};
use crate::exit::progress;
use agreement::Agreement;

/// Samples per row, as in the literature.
const SAMPLES: usize = 1000;

/// Estimates of rows, batch by batch.
#[derive(Default)]
struct Pass {
    /// The time of each batch, in milliseconds.
    ms: Vec<f64>,
    /// `log p̂(x)` of each row, in nats.
    log_probs: Vec<f64>,
}

pub(crate) fn measure(options: &Options, threads: usize, report: &mut Report) -> anyhow::Result<()> {
    let stack = stack(&options.layers, &Device::flex())?;
    let batch = options.batch().min(ROWS);
    let mut peers = if options.peers { start_peers(&stack, options, threads)? } else { Vec::new() };
    // One pass has the same peak memory as many.
    let rounds = if options.peers { options.rounds } else { 1 };
    estimate(&stack, 4, 4)?; // warms up the allocator and the threads
    let mut ms = Vec::new();
    for round in 1..=rounds {
        progress(&format!("evaluate: round {round} of {rounds}, {ROWS} rows with {SAMPLES} samples each"));
        ms.extend(estimate(&stack, ROWS, batch)?.ms);
        peers.iter_mut().try_for_each(|peer| peer.take_steps(ROWS.div_ceil(batch)))?;
    }

    let with_speed = |mut row: Row| {
        let seconds = row.ms.iter().sum::<f64>() / 1e3;
        row.extra.push(("pairs_per_second", (rounds * ROWS * SAMPLES) as f64 / seconds));
        row
    };
    let mut row = with_speed(Row::ours("evaluate", "evaluate", ms));
    row.extra.extend(peak_resident_mib().map(|mib| ("peak_resident_mib", mib)));
    report.add(row);
    for peer in &mut peers {
        let mut row = with_speed(peer.row_of_steps("evaluate", "evaluate"));
        row.extra.extend(peer.ask("chunk")?["samples"].as_f64().map(|n| ("samples_at_once", n)));
        report.add(row);
    }
    Ok(())
}

/// Estimates the first `rows` rows, `batch` of them at a time.
fn estimate(stack: &Stack, rows: usize, batch: usize) -> anyhow::Result<Pass> {
    let sampler = ImportanceSampling::new(SAMPLES);
    let key = Key::new(0).child(Role::Evaluate);
    let mut pass = Pass::default();
    for first in (0..rows).step_by(batch) {
        let last = (first + batch).min(rows);
        let x = stack.x.clone().slice([first..last, 0..OBSERVED]);
        let numbers: Vec<u64> = (first as u64..last as u64).collect();
        let (ms, scored) =
            timed(&stack.x.device(), || sampler.estimate(&stack.model, x, numbers.into(), key))?;
        pass.ms.push(ms);
        pass.log_probs.extend(scored?.iter().map(|row| row.log_prob));
    }
    Ok(pass)
}

/// PyTorch and JAX with the weights and rows of `stack`, once their estimates agree with ours.
fn start_peers(stack: &Stack, options: &Options, threads: usize) -> anyhow::Result<Vec<Peer>> {
    let agreement = Agreement::new(stack)?;
    let layers: Vec<String> = options.layers.iter().map(usize::to_string).collect();
    let settings = [
        ("--layers", layers.join(",")),
        ("--visible", OBSERVED.to_string()),
        ("--rows", ROWS.to_string()),
        ("--batch", options.batch().min(ROWS).to_string()),
        ("--samples", SAMPLES.to_string()),
    ]
    .map(|(flag, value)| (flag, value.into()));
    let arguments = [agreement.exchange.arguments().as_slice(), &settings].concat();
    let mut peers = peers::start("evaluate.py", &FRAMEWORKS, &arguments, threads)?;
    progress("evaluate: estimating what the peers are compared with");
    let ours = estimate(stack, ROWS, options.batch().min(ROWS))?.log_probs;
    peers.iter_mut().try_for_each(|peer| agreement.check(peer, &ours))?;
    Ok(peers)
}
