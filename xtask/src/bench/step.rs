//! The speed of a training step.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::tensor::{Device, Tensor};
use burn::train::Interrupter;
use helmholtz_core::{Estimate, Key, LatentVariableModel, Model, Strategy};
use helmholtz_datasets::Plan;
use helmholtz_eval::ImportanceSampling;
use helmholtz_strategies::{Bidirectional, ReweightedWakeSleep};
use helmholtz_train::{End, Fit, Parts, Rule};

use crate::bench::Bench;
use crate::bench::parts::{Bare, Products, WARM_UP, adam, gemm, repeat};
use crate::bench::peers::{self, Peer};
use crate::bench::report::{Report, Row};
use crate::bench::stack::{OBSERVED, ROWS, Stack, stack};
use crate::exit::{UserError, progress};

/// Adam's step size.
pub(crate) const LEARNING_RATE: f64 = 1e-3;

/// Steps of a session beyond the timed ones: validation and the checkpoint follow upon the last.
pub(crate) const UNTIMED: usize = WARM_UP + 1;

/// The product that ours and the peers are compared by: the widest of a step.
const GEMM: [usize; 3] = [1000, 200, 784];
const GEMM_REPEATS: usize = 50;

/// Who takes the step beside us.
const FRAMEWORKS: [&str; 3] = ["torch-eager", "torch-compile", "jax"];

/// When an estimate began and ended.
#[derive(Clone, Copy, Debug)]
struct Call {
    start: Instant,
    end: Instant,
}

/// The calls of a session, in order.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<Vec<Call>>>);

/// A strategy that notes when it is called: from one call's start to the next is a whole step,
/// with the optimiser, the metrics and the data loader.
#[derive(Module, Debug)]
struct Timed<S: Model> {
    strategy: S,
    #[module(skip)]
    calls: Calls,
}

impl<M: LatentVariableModel, S: Strategy<M>> Strategy<M> for Timed<S> {
    fn estimate(&self, model: &M, x: Tensor<2>, key: Key) -> Estimate {
        let start = Instant::now();
        let estimate = self.strategy.estimate(model, x, key);
        let call = Call { start, end: Instant::now() };
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        estimate
    }
}

/// Times of the steps of a session, in milliseconds.
#[derive(Default)]
struct Session {
    steps: Vec<f64>,
    estimates: Vec<f64>,
}

impl Session {
    fn extend(&mut self, other: Session) {
        self.steps.extend(other.steps);
        self.estimates.extend(other.estimates);
    }
}

/// `steps` timed steps through Burn's learner.
///
/// The rows repeat so that the session is a single epoch, whose end comes after the last timed step.
fn session(
    stack: &Stack,
    strategy: &ReweightedWakeSleep,
    batch: usize,
    steps: usize,
) -> anyhow::Result<Session> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let calls = Calls::default();
    let rows = (steps + UNTIMED) * batch;
    let train = stack.x.clone().repeat_dim(0, rows.div_ceil(ROWS)).slice([0..rows, 0..OBSERVED]);
    let fit = Fit {
        folder: folder.path().to_path_buf(),
        device: stack.x.device(),
        key: Key::new(0),
        plan: Plan::of_epochs(rows, batch, 1),
        checkpoint_every: 1,
        patience: None,
        resume: None,
        dashboard: false,
        on_record: Box::new(|_| {}),
        interrupter: Interrupter::new(),
    };
    let outcome = fit.run(Parts {
        model: stack.model.clone(),
        strategy: Timed { strategy: strategy.clone(), calls: calls.clone() }.into(),
        average: None,
        rule: Rule::default(),
        evaluator: ImportanceSampling::new(1),
        optimiser: adam(),
        schedule: ModuleLrScheduler::new(LEARNING_RATE),
        train,
        draws_bits: false,
        valid: stack.x.clone().slice([0..1, 0..OBSERVED]),
    })?;
    ensure!(outcome.end == End::Finished, "the training of a session ended early: {:?}", outcome.end);
    let calls = calls.0.lock().unwrap_or_else(PoisonError::into_inner);
    let ms = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e3;
    let timed = || calls.windows(2).skip(WARM_UP);
    Ok(Session {
        steps: timed().map(|pair| ms(pair[0].start, pair[1].start)).collect(),
        estimates: timed().map(|pair| ms(pair[0].start, pair[0].end)).collect(),
    })
}

fn start_peers(bench: &Bench, threads: usize) -> anyhow::Result<Vec<Peer>> {
    let layers: Vec<String> = bench.layers.iter().map(usize::to_string).collect();
    let arguments = [
        ("--layers", layers.join(",").into()),
        ("--visible", OBSERVED.to_string().into()),
        ("--batch", bench.batch().to_string().into()),
        ("--samples", bench.samples.to_string().into()),
    ];
    peers::start("rws_step.py", &FRAMEWORKS, &arguments, threads)
}

pub(crate) fn measure(bench: &Bench, threads: usize, report: &mut Report) -> anyhow::Result<()> {
    let Bench { samples, steps, rounds, .. } = *bench;
    let batch = bench.batch();
    let device = Device::flex();
    let stack = stack(&bench.layers, &device)?;
    let strategy =
        ReweightedWakeSleep::new(samples).map_err(|error| UserError(format!("--samples: {error}")))?;
    let bihm = Bidirectional { samples, control_variate: samples > 1 };
    let x = stack.x.clone().repeat_dim(0, batch.div_ceil(ROWS)).slice([0..batch, 0..OBSERVED]);
    let products = Products::new(OBSERVED, &bench.layers, batch, samples, &device);

    let mut peers = if bench.peers { start_peers(bench, threads)? } else { Vec::new() };
    let mut gemms = Vec::new();
    if bench.peers {
        gemms.push(Row::ours("gemm", "gemm", gemm(GEMM, GEMM_REPEATS, &device)?));
        for peer in &mut peers {
            let [m, k, n] = GEMM;
            let ms = peer.times(&format!("gemm {m} {k} {n} {GEMM_REPEATS}"))?;
            gemms.push(peer.row("gemm", "gemm", ms));
        }
    }

    let mut whole = Session::default();
    let (mut bare, mut optimiser, mut multiplied) = (Vec::new(), Vec::new(), Vec::new());
    let mut bidirectional = Vec::new();
    let mut theirs = vec![Vec::new(); peers.len()];
    for round in 1..=rounds {
        progress(&format!("step: round {round} of {rounds}"));
        whole.extend(session(&stack, &strategy, batch, steps)?);
        let mut plain = Bare::new(&stack.model, &strategy, x.clone());
        let mut other = Bare::new(&stack.model, &bihm, x.clone());
        // In turns, step by step, now the one first and now the other: whatever else the machine does befalls both.
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
        multiplied.extend(repeat(steps, || products.run())?);
        for (peer, times) in peers.iter_mut().zip(&mut theirs) {
            times.extend(peer.steps(steps)?);
        }
    }

    let ours = |name, ms| Row::ours(name, "step", ms);
    let mut step = ours("step", whole.steps);
    let (bare, mut multiplied) = (ours("step/bare", bare), ours("step/products", multiplied));
    step.extra.push(("learner_ms", step.median() - bare.median()));
    step.extra.push(("products_share", multiplied.median() / step.median()));
    multiplied.extra.push(("gflops", products.operations() / multiplied.median() / 1e6));
    report.add(step);
    report.add(bare);
    report.add(Row::ours("step/bihm", "step/bare", bidirectional));
    report.add(ours("step/estimate", whole.estimates));
    report.add(ours("step/optimiser", optimiser));
    report.add(multiplied);
    for (peer, ms) in peers.iter().zip(theirs) {
        report.add(peer.row("step", "step", ms));
    }
    gemms.into_iter().for_each(|row| report.add(row));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_times_the_steps_it_is_asked_for() {
        let stack = stack(&[3, 2], &Device::flex()).unwrap();
        let session = session(&stack, &ReweightedWakeSleep::new(2).unwrap(), 4, 7).unwrap();
        assert_eq!((session.steps.len(), session.estimates.len()), (7, 7));
        assert!(session.steps.iter().zip(&session.estimates).all(|(step, estimate)| estimate <= step));
    }
}
