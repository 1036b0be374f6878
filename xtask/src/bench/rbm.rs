//! The speed of restricted Boltzmann machines: an update with persistent chains, annealing, and an epoch.

mod epoch;

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use helmholtz_cli::error::user;
use helmholtz_core::{AnnealingPath, Draws, InverseTemperature, Kernel, Key, Role};
use helmholtz_energy::{FromIndependent, RbmConfig, RowMoments};
use helmholtz_strategies::{Offsets, PersistentChains};

use crate::bench::descent::{Bare, SGD};
use crate::bench::options::Options;
use crate::bench::parts::{ms_since, repeat};
use crate::bench::peers;
use crate::bench::report::{Report, Row};
use crate::bench::stack::{OBSERVED, ONES, bits};
use crate::exit::progress;
use epoch::HIDDEN;

/// Persistent chains, and chains of annealing.
const CHAINS: usize = 100;
/// Who takes the update, and who anneals.
const OF_UPDATE: [&str; 3] = ["torch-eager", "torch-compile", "jax"];
const OF_ANNEALING: [&str; 1] = ["numpy"];

pub(crate) fn check(_: &Options) -> anyhow::Result<()> {
    Ok(())
}

pub(crate) fn measure(options: &Options, threads: usize, report: &mut Report) -> anyhow::Result<()> {
    let Options { steps, rounds, .. } = *options;
    let (batch, device) = (options.batch(), Device::flex());
    let values = bits(batch, ONES);
    let mut mean = vec![0.0; OBSERVED];
    for row in values.chunks_exact(OBSERVED) {
        mean.iter_mut().zip(row).for_each(|(mean, bit)| *mean += f64::from(*bit) / batch as f64);
    }
    let config = RbmConfig { spread: 0.1, ..RbmConfig::new(OBSERVED, HIDDEN) };
    let rbm = config.init(Some(&mean), Key::new(0), &device).map_err(user)?;
    let x = Tensor::<2>::from_data(TensorData::new(values, [batch, OBSERVED]), &device);

    let arguments = [("--hidden", HIDDEN), ("--chains", CHAINS), ("--batch", batch)]
        .map(|(flag, n)| (flag, n.to_string().into()));
    let start = |names: &[&'static str]| match options.peers {
        true => peers::start("rbm.py", names, &arguments, threads),
        false => Ok(Vec::new()),
    };
    let (mut updating, mut annealing) = (start(&OF_UPDATE)?, start(&OF_ANNEALING)?);

    let with = |offsets| PersistentChains::new(&rbm, (CHAINS, 1), offsets, Key::new(1));
    let mut plain = Bare::new(&rbm, &with(Offsets::Zero), &SGD, x.clone());
    let mut centred = Bare::new(&rbm, &with(Offsets::Moving { rate: 0.01 }), &SGD, x);
    let moments = RowMoments { mean: &mean, variance: &[], rows: batch };
    let path = FromIndependent::of_data(&rbm, moments, 5.0);
    let draws = |t: u64| Draws::new(Key::new(2).child(Role::Chain).child(t), CHAINS, 1);
    let mut chains = Some(path.begin(&draws(0)));
    let mut t = 0;
    // What annealing does at a temperature: a weight, and a move.
    let mut temperature = || {
        let begun = Instant::now();
        let state = chains.take().expect("it is put back below");
        t += 1;
        let beta = t as f64 / 14_500.0 % 1.0;
        let ratio = path.log_ratio(&state, beta, beta + 1e-4);
        chains = Some(path.step(state, &InverseTemperature::Same(beta), &draws(t)).0);
        let _ = ratio.into_data();
        Ok(ms_since(begun))
    };
    let mut ours = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for round in 1..=rounds {
        progress(&format!("rbm: round {round} of {rounds}"));
        for step in repeat(steps, || plain.step())? {
            ours[0].push(step.step);
            ours[1].push(step.optimiser);
        }
        ours[2].extend(repeat(steps, || Ok(centred.step()?.step))?);
        ours[3].extend(repeat(steps, &mut temperature)?);
        updating.iter_mut().chain(&mut annealing).try_for_each(|peer| peer.take_steps(steps))?;
    }
    let names = ["rbm/pcd", "rbm/pcd/optimiser", "rbm/pcd/centred", "rbm/temperature"];
    for (name, ms) in names.into_iter().zip(ours) {
        let against = if name == "rbm/temperature" { "rbm/temperature" } else { "rbm/pcd" };
        report.add(Row::ours(name, against, ms));
    }
    updating.iter().for_each(|peer| report.add(peer.row_of_steps("rbm/pcd", "rbm/pcd")));
    annealing.iter().for_each(|peer| report.add(peer.row_of_steps("rbm/temperature", "rbm/temperature")));
    drop((updating, annealing)); // so that nothing else runs
    epoch::measure(options, threads, report)
}
