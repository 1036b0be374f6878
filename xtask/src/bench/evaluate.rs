//! The speed of importance sampling.

use std::time::Instant;

use burn::tensor::Device;
use helmholtz_core::{Key, Role};
use helmholtz_eval::ImportanceSampling;

use crate::bench::memory::peak_resident_mib;
use crate::bench::options::Options;
use crate::bench::report::{Report, Row};
use crate::bench::stack::{OBSERVED, ROWS, stack};
use crate::exit::progress;

/// Samples per row, the number that the literature reports with.
const SAMPLES: usize = 1000;

pub(crate) fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let device = Device::flex();
    let stack = stack(&options.layers, &device)?;
    progress(&format!("evaluate: {ROWS} rows with {SAMPLES} samples each"));
    let sampler = ImportanceSampling::new(SAMPLES);
    let key = Key::new(0).child(Role::Evaluate);
    let mut ms = Vec::new();
    let mut score = |first: usize, last: usize, timed: bool| -> anyhow::Result<()> {
        let x = stack.x.clone().slice([first..last, 0..OBSERVED]);
        let rows: Vec<u64> = (first as u64..last as u64).collect();
        let start = Instant::now();
        sampler.estimate(&stack.model, x, rows.into(), key)?;
        if timed {
            ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    };
    score(0, 4, false)?; // warms up the allocator and the threads
    let start = Instant::now();
    for first in (0..ROWS).step_by(options.batch()) {
        score(first, (first + options.batch()).min(ROWS), true)?;
    }
    let pairs = (ROWS * SAMPLES) as f64 / start.elapsed().as_secs_f64();
    let mut row = Row::ours("evaluate", "evaluate", ms);
    row.extra.push(("pairs_per_second", pairs));
    row.extra.extend(peak_resident_mib().map(|mib| ("peak_resident_mib", mib)));
    report.add(row);
    Ok(())
}
