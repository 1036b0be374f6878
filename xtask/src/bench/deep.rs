//! The speed of training steps of deeper stacks.
//!
//! Two stacks of the published tables: the five layers that reweighted wake-sleep was trained on, and the twelve of the
//! bidirectional Helmholtz machine. Most of their layers are so narrow that the cost of a step outside its matrix
//! products becomes visible.

use burn::tensor::Device;
use helmholtz_cli::error::user;
use helmholtz_core::Strategy;
use helmholtz_directed::HelmholtzMachine;
use helmholtz_strategies::{Bidirectional, ReweightedWakeSleep};

use crate::bench::descent::{ADAM, Bare};
use crate::bench::options::Options;
use crate::bench::parts::{Inputs, Products, repeat, shapes};
use crate::bench::report::{Report, Row};
use crate::bench::session::Session;
use crate::bench::stack::{OBSERVED, ROWS, Stack, stack};
use crate::bench::step::start_peers;
use crate::exit::progress;

/// A stack with its strategy, by the name that the peers know, and the name of its row.
struct Subject {
    strategy: &'static str,
    layers: &'static [usize],
    name: &'static str,
}

const SUBJECTS: [Subject; 2] = [
    Subject { strategy: "rws", layers: &[400, 300, 200, 100, 10], name: "rws-five-layers" },
    Subject {
        strategy: "bihm",
        layers: &[300, 200, 100, 75, 50, 35, 30, 25, 20, 15, 10, 10],
        name: "bihm-twelve-layers",
    },
];

/// Refuses sizes that no machine could hold, and settings that `bihm` refuses.
pub(crate) fn check(options: &Options) -> anyhow::Result<()> {
    options.check_samples(1)?;
    Bidirectional::new(options.samples).map_err(|error| user(format!("--samples: {error}")))?;
    Ok(())
}

pub(crate) fn measure(options: &Options, threads: usize, report: &mut Report) -> anyhow::Result<()> {
    for subject in &SUBJECTS {
        let stack = stack(subject.layers, &Device::flex())?;
        if subject.strategy == "rws" {
            let strategy = ReweightedWakeSleep::new(options.samples)?;
            subject.measure(options, threads, &stack, &strategy, report)?;
        } else {
            let strategy = Bidirectional::new(options.samples)?;
            subject.measure(options, threads, &stack, &strategy, report)?;
        }
    }
    Ok(())
}

impl Subject {
    fn measure<S: Strategy<HelmholtzMachine>>(
        &self,
        options: &Options,
        threads: usize,
        stack: &Stack,
        strategy: &S,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let Options { samples, steps, rounds, .. } = *options;
        let (name, batch) = (self.name, options.batch());
        let x = stack.x.clone().repeat_dim(0, batch.div_ceil(ROWS)).slice([0..batch, 0..OBSERVED]);
        let products = Products::new(
            shapes(OBSERVED, self.layers, batch, samples),
            Inputs::Bits,
            |_| false,
            &x.device(),
        );
        let mut peers = start_peers(self.layers, self.strategy, options, threads)?;
        let mut whole = Session::default();
        let (mut bare, mut multiplied) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            progress(&format!("{name}: round {round} of {rounds}"));
            whole.extend(Session::run(&stack.model, &stack.x, strategy, &ADAM, [batch, steps])?);
            let mut plain = Bare::new(&stack.model, strategy, &ADAM, x.clone());
            bare.extend(repeat(steps, || Ok(plain.step()?.step))?);
            multiplied.extend(repeat(steps, || Ok(products.run()?.iter().sum::<f64>()))?);
            peers.iter_mut().try_for_each(|peer| peer.take_steps(steps))?;
        }
        report.add(Row::ours(name, name, whole.steps));
        report.add(Row::ours(&format!("{name}/bare"), name, bare));
        report.add(Row::ours(&format!("{name}/products"), name, multiplied));
        peers.iter().for_each(|peer| report.add(peer.row_of_steps(name, name)));
        Ok(())
    }
}
