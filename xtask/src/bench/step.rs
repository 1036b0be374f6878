//! The speed of a training step.

use burn::tensor::Device;
use helmholtz_cli::error::user;
use helmholtz_strategies::{Bidirectional, ReweightedWakeSleep};

use crate::bench::descent::{ADAM, Bare};
use crate::bench::options::Options;
use crate::bench::parts::{Inputs, Products, gemm, repeat, shapes};
use crate::bench::peers::{self, FRAMEWORKS, Peer};
use crate::bench::report::{Report, Row};
use crate::bench::session::Session;
use crate::bench::stack::{OBSERVED, ROWS, stack};
use crate::exit::progress;

/// The product by which ours and the peers are compared: the widest of a step.
const GEMM: [usize; 3] = [1000, 200, 784];
const GEMM_REPEATS: usize = 50;

/// Starts the peers with a stack of these latent sizes and the step of this strategy; empty without --peers.
pub(crate) fn start_peers(
    layers: &[usize],
    strategy: &str,
    options: &Options,
    threads: usize,
) -> anyhow::Result<Vec<Peer>> {
    if !options.peers {
        return Ok(Vec::new());
    }
    let layers: Vec<String> = layers.iter().map(usize::to_string).collect();
    let arguments = [
        ("--strategy", strategy.into()),
        ("--layers", layers.join(",").into()),
        ("--visible", OBSERVED.to_string().into()),
        ("--batch", options.batch().to_string().into()),
        ("--samples", options.samples.to_string().into()),
    ];
    peers::start("rws_step.py", &FRAMEWORKS, &arguments, threads)
}

pub(crate) fn measure(options: &Options, threads: usize, report: &mut Report) -> anyhow::Result<()> {
    let Options { samples, steps, rounds, .. } = *options;
    let batch = options.batch();
    let device = Device::flex();
    let stack = stack(&options.layers, &device)?;
    let strategy = ReweightedWakeSleep::new(samples).map_err(|error| user(format!("--samples: {error}")))?;
    let bihm = Bidirectional { samples, control_variate: samples > 1 };
    let x = stack.x.clone().repeat_dim(0, batch.div_ceil(ROWS)).slice([0..batch, 0..OBSERVED]);
    let products =
        Products::new(shapes(OBSERVED, &options.layers, batch, samples), Inputs::Bits, |_| false, &device);

    let mut peers = start_peers(&options.layers, "rws", options, threads)?;
    let mut gemms = Vec::new();
    if options.peers {
        gemms.push(Row::ours("gemm", "gemm", gemm(GEMM, GEMM_REPEATS, &device)?));
        for peer in &mut peers {
            let [m, k, n] = GEMM;
            let ms = peer.times(&format!("gemm {m} {k} {n} {GEMM_REPEATS} plain"))?;
            gemms.push(peer.row("gemm", "gemm", ms));
        }
    }

    let mut whole = Session::default();
    let (mut bare, mut optimiser, mut multiplied) = (Vec::new(), Vec::new(), Vec::new());
    let mut bidirectional = Vec::new();
    for round in 1..=rounds {
        progress(&format!("step: round {round} of {rounds}"));
        whole.extend(Session::run(&stack.model, &stack.x, &strategy, &ADAM, [batch, steps])?);
        let mut plain = Bare::new(&stack.model, &strategy, &ADAM, x.clone());
        let mut other = Bare::new(&stack.model, &bihm, &ADAM, x.clone());
        // In turns, step by step, with each first every other time: whatever else the machine does affects both alike.
        let mut other_first = false;
        let mut pair = || {
            other_first = !other_first;
            if other_first {
                let other = other.step()?;
                return Ok((plain.step()?, other));
            }
            Ok((plain.step()?, other.step()?))
        };
        for (times, other) in repeat(steps, &mut pair)? {
            bare.push(times.step);
            optimiser.push(times.optimiser);
            bidirectional.push(other.step);
        }
        multiplied.extend(repeat(steps, || Ok(products.run()?.iter().sum::<f64>()))?);
        peers.iter_mut().try_for_each(|peer| peer.take_steps(steps))?;
    }

    let ours = |name, ms| Row::ours(name, "step", ms);
    let mut step = ours("step", whole.steps);
    let (bare, mut multiplied) = (ours("step/bare", bare), ours("step/products", multiplied));
    step.extra.push(("learner_ms", step.median() - bare.median()));
    step.extra.push(("products_share", multiplied.median() / step.median()));
    let operations: f64 = products.operations().iter().sum();
    multiplied.extra.push(("gflops", operations / multiplied.median() / 1e6));
    report.add(step);
    report.add(bare);
    report.add(Row::ours("step/bihm", "step/bare", bidirectional));
    report.add(ours("step/estimate", whole.estimates));
    report.add(ours("step/optimiser", optimiser));
    report.add(multiplied);
    peers.iter().for_each(|peer| report.add(peer.row_of_steps("step", "step")));
    gemms.into_iter().for_each(|row| report.add(row));
    Ok(())
}
