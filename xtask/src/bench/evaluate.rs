//! The speed of importance sampling.

use std::time::Instant;

use burn::tensor::Device;
use helmholtz_core::{Key, Role};
use helmholtz_eval::ImportanceSampling;

use crate::bench::memory::peak_resident_mib;
use crate::bench::options::Options;
use crate::bench::parts::timed;
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
    let score = |first: usize, last: usize| -> anyhow::Result<f64> {
        let x = stack.x.clone().slice([first..last, 0..OBSERVED]);
        let rows: Vec<u64> = (first as u64..last as u64).collect();
        let (ms, scored) = timed(&device, || sampler.estimate(&stack.model, x, rows.into(), key))?;
        scored?;
        Ok(ms)
    };
    score(0, 4)?; // warms up the allocator and the threads
    let start = Instant::now();
    let batches = (0..ROWS).step_by(options.batch());
    let ms = batches.map(|first| score(first, (first + options.batch()).min(ROWS)));
    let ms = ms.collect::<anyhow::Result<Vec<f64>>>()?;
    let pairs = (ROWS * SAMPLES) as f64 / start.elapsed().as_secs_f64();
    let mut row = Row::ours("evaluate", "evaluate", ms);
    row.extra.push(("pairs_per_second", pairs));
    row.extra.extend(peak_resident_mib().map(|mib| ("peak_resident_mib", mib)));
    report.add(row);
    Ok(())
}
