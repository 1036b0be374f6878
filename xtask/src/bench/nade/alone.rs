//! NADE's gradient in a separate process, in which nothing else has used memory.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::bench::memory::{in_own_process, peak_resident_mib, resident_mib};
use crate::bench::nade::subject::{Subject, rows};
use crate::bench::options::Options;
use crate::bench::parts::timed;
use crate::bench::stack::OBSERVED;
use crate::exit::print;

/// Timed calls.
const RUNS: usize = 5;

const MIB: f64 = (1u64 << 20) as f64;

/// The result of such a process.
#[derive(Serialize, Deserialize)]
pub(crate) struct Alone {
    rows: usize,
    hidden: usize,
    /// Milliseconds, one for each run.
    pub(crate) ms: Vec<f64>,
    /// What the first call adds to the resident memory, if the system reports it.
    peak_resident_mib: Option<f64>,
}

impl Alone {
    /// Starts such a process and returns its result.
    pub(crate) fn spawn(rows: usize, hidden: usize, threads: usize) -> anyhow::Result<Self> {
        let [rows, hidden, threads] = [rows, hidden, threads].map(|n| n.to_string());
        in_own_process(&["nade-alone", "--batch", &rows, "--hidden", &hidden, "--threads", &threads])
    }

    /// The memory, and for comparison that of the activations, which are not stored.
    pub(crate) fn extra(&self) -> Vec<(&'static str, f64)> {
        let activations = self.rows as f64 * OBSERVED as f64 * self.hidden as f64;
        let mut extra = vec![("activations_mib", activations * size_of::<f32>() as f64 / MIB)];
        extra.extend(self.peak_resident_mib.map(|mib| ("peak_resident_mib", mib)));
        extra
    }
}

/// What the process of [`Alone::spawn`] runs.
pub(crate) fn run(options: &Options, threads: usize) -> anyhow::Result<()> {
    let (rows, hidden, device) = (rows(options), options.hidden, Device::flex());
    // First the program's own pages and the threads' stacks become resident, with next to no data.
    Subject::new(1, threads, 0.5, &device).gradient();
    let subject = Subject::new(hidden, rows, 0.5, &device);
    let before = resident_mib();
    let result = subject.gradient();
    let after = peak_resident_mib();
    drop(result);
    let ms = (0..RUNS).map(|_| Ok(timed(&device, || subject.gradient())?.0));
    let ms = ms.collect::<anyhow::Result<_>>()?;
    let peak_resident_mib = before.zip(after).map(|(before, after)| after - before);
    print(&serde_json::to_string(&Alone { rows, hidden, ms, peak_resident_mib })?)
}
