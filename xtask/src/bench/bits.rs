//! Products of bits compared with multiplications, ours and the peers'.

use burn::tensor::{Device, Tensor};
use helmholtz_ops::bits::{Instructions, product};
use helmholtz_ops::product::{ab, atb};

use crate::bench::options::Options;
use crate::bench::parts::{Inputs, inputs, random, repeat, timed};
use crate::bench::report::{Report, Row};
use crate::bench::step::start_peers;
use crate::exit::progress;

/// A product of bits `[n, k]`, or of the transpose of bits `[k, n]`, by real numbers `[k, m]`.
struct Subject {
    name: &'static str,
    dims: [usize; 3],
    turned: bool,
}

impl Subject {
    const fn forward(name: &'static str, dims: [usize; 3]) -> Self {
        Subject { name, dims, turned: false }
    }

    const fn back(name: &'static str, dims: [usize; 3]) -> Self {
        Subject { name, dims, turned: true }
    }
}

/// The products in a step of 784-200-200-200 with a thousand proposals, and in the larger chunks of an evaluation.
const SUBJECTS: [Subject; 8] = [
    Subject::forward("bits/1000x200x784", [1000, 200, 784]),
    Subject::back("bits/transposed-200x1000x784", [200, 1000, 784]),
    Subject::forward("bits/1000x200x200", [1000, 200, 200]),
    Subject::back("bits/transposed-200x1000x200", [200, 1000, 200]),
    Subject::forward("bits/100x784x200", [100, 784, 200]),
    Subject::back("bits/transposed-784x100x200", [784, 100, 200]),
    Subject::forward("bits/4000x200x784", [4000, 200, 784]),
    Subject::forward("bits/1000x20x10", [1000, 20, 10]),
];

/// The vector instructions that are measured alone.
const ALONE: [(&str, Instructions); 2] = [("avx2", Instructions::Avx2), ("plain", Instructions::Plain)];

pub(crate) fn measure(options: &Options, threads: usize, report: &mut Report) -> anyhow::Result<()> {
    let Options { steps, rounds, .. } = *options;
    let device = Device::flex();
    let mut peers = start_peers(&options.layers, "rws", options, threads)?;
    // PyTorch calls the same product when eager and when compiled.
    peers.retain(|peer| peer.name() != "torch-compile");
    for &Subject { name, dims: [n, k, m], turned } in &SUBJECTS {
        progress(&format!("bits: {name}"));
        let shape = if turned { [k, n] } else { [n, k] };
        let [bits, real] = [Inputs::Bits, Inputs::Real].map(|kind| inputs(kind, shape, &device));
        let right = random(k, m, &device);
        let multiply = |a: &Tensor<2>| {
            let (a, b) = (a.clone(), right.clone());
            if turned { atb(a, b) } else { ab(a, b) }
        };
        let by_tables = |instructions| product(bits.clone(), turned, right.clone(), instructions);
        let mut ours = Vec::new();
        let mut multiplied = Vec::new();
        let mut alone = ALONE.map(|_| Vec::new());
        let mut theirs: Vec<Vec<f64>> = peers.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            ours.extend(repeat(steps, || Ok(timed(&device, || multiply(&bits))?.0))?);
            multiplied.extend(repeat(steps, || Ok(timed(&device, || multiply(&real))?.0))?);
            for ((_, instructions), ms) in ALONE.into_iter().zip(&mut alone) {
                ms.extend(repeat(steps, || Ok(timed(&device, || by_tables(instructions))?.0))?);
            }
            for (peer, ms) in peers.iter_mut().zip(&mut theirs) {
                let layout = if turned { "turned" } else { "plain" };
                ms.extend(peer.times(&format!("gemm {n} {k} {m} {steps} {layout}"))?);
            }
        }
        report.add(Row::ours(name, name, ours));
        report.add(Row::ours(&format!("{name}/gemm"), name, multiplied));
        for ((instructions, _), ms) in ALONE.into_iter().zip(alone) {
            report.add(Row::ours(&format!("{name}/{instructions}"), name, ms));
        }
        peers.iter().zip(theirs).for_each(|(peer, ms)| report.add(peer.row(name, name, ms)));
    }
    Ok(())
}
