//! Cost and memory of a step against batch, K, depth, width and threads.

use std::fmt::Write;

use anyhow::Context;
use burn::tensor::Device;
use helmholtz_cli::chart::{Chart, Line, Point, Scale};
use helmholtz_strategies::ReweightedWakeSleep;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bench::descent::{ADAM, Bare};
use crate::bench::memory::{in_own_process, peak_resident_mib, resident_mib};
use crate::bench::options::Options;
use crate::bench::parts::{Inputs, Products, repeat, shapes};
use crate::bench::report::median;
use crate::bench::runs::processor;
use crate::bench::stack::{OBSERVED, ROWS, stack};
use crate::exit::{print, progress};
use crate::output::write;
use crate::workspace;

/// A size that varies while the others stay fixed.
struct Sweep {
    name: &'static str,
    values: &'static [usize],
}

/// The setting at which the sweeps meet, in their order.
const BASE: [usize; 4] = [100, 10, 3, 200];

const SWEEPS: [Sweep; 4] = [
    Sweep { name: "batch", values: &[25, 50, 100, 200, 400, 800] },
    Sweep { name: "K", values: &[1, 2, 5, 10, 20, 50, 100] },
    Sweep { name: "depth", values: &[1, 2, 3, 6, 12, 24] },
    Sweep { name: "width", values: &[25, 50, 100, 200, 400, 800, 1600] },
];

/// A sweep with the result at each of its values.
type Swept = (&'static Sweep, Vec<(usize, Scaled)>);

/// The result of a separate process for some sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Scaled {
    /// The median of a step, in milliseconds.
    ms: f64,
    /// Number of additions and multiplications in its matrix products.
    operations: f64,
    /// What model, batch and steps add to the resident memory, if the system reports it.
    mib: Option<f64>,
}

/// Measures these sizes, in the order of the sweeps, in a separate process.
fn spawn(
    [batch, samples, depth, width]: [usize; 4],
    options: &Options,
    threads: usize,
) -> anyhow::Result<Scaled> {
    let layers = vec![width.to_string(); depth].join(",");
    let [batch, samples, steps, threads] = [batch, samples, options.steps, threads].map(|n| n.to_string());
    let sizes = ["--layers", &layers, "--batch", &batch, "--samples", &samples];
    in_own_process(&[&["step-alone"], &sizes[..], &["--steps", &steps, "--threads", &threads]].concat())
}

/// What the process of [`spawn`] runs.
pub(crate) fn alone(options: &Options) -> anyhow::Result<()> {
    let Options { samples, steps, .. } = *options;
    let (batch, device) = (options.batch(), Device::flex());
    let strategy = ReweightedWakeSleep::new(samples).context("--samples")?;
    // First the program's own pages and the threads' stacks become resident, with next to no data.
    let small = stack(&[2], &device)?;
    let rows = small.x.clone().slice([0..2, 0..OBSERVED]);
    Bare::new(&small.model, &strategy, &ADAM, rows).step()?;
    drop(small);
    let before = resident_mib();
    let stack = stack(&options.layers, &device)?;
    let x = stack.x.clone().repeat_dim(0, batch.div_ceil(ROWS)).slice([0..batch, 0..OBSERVED]);
    let mut bare = Bare::new(&stack.model, &strategy, &ADAM, x);
    let times = repeat(steps, || Ok(bare.step()?.step))?;
    let after = peak_resident_mib();
    let products = Products::new(shapes(OBSERVED, &options.layers, 1, 1), Inputs::Bits, |_| false, &device);
    // `products` has one row and one sample; the lowest recognition layer sees a row once for all samples.
    let lowest = 2.0 * 2.0 * (OBSERVED * options.layers[0]) as f64;
    let all: f64 = products.operations().iter().sum();
    let operations = batch as f64 * (lowest + samples as f64 * (all - lowest));
    let mib = before.zip(after).map(|(before, after)| after - before);
    print(&serde_json::to_string(&Scaled { ms: median(&times), operations, mib })?)
}

/// Measures all sizes and writes `results/scaling.*`.
pub(crate) fn run(options: &Options, threads: usize) -> anyhow::Result<()> {
    let mut found: Vec<Swept> = Vec::new();
    for (i, sweep) in SWEEPS.iter().enumerate() {
        let mut points = Vec::new();
        for &value in sweep.values {
            progress(&format!("scaling: {} {value}", sweep.name));
            let mut sizes = BASE;
            sizes[i] = value;
            points.push((value, spawn(sizes, options, threads)?));
        }
        found.push((sweep, points));
    }
    let mut by_threads = Vec::new();
    for count in thread_counts(threads) {
        progress(&format!("scaling: threads {count}"));
        by_threads.push((count, spawn(BASE, options, count)?));
    }
    let folder = workspace::root().join("results");
    let [time, memory] = charts(&found)?;
    write(&folder.join("scaling-time.svg"), &time)?;
    write(&folder.join("scaling-memory.svg"), &memory)?;
    let page = page(&found, &by_threads, threads);
    write(&folder.join("scaling.md"), &page)?;
    let swept = found.iter().map(|(sweep, points)| (sweep.name, points));
    let rows: Vec<_> = swept
        .chain([("threads", &by_threads)])
        .flat_map(|(name, points)| {
            points.iter().map(move |(value, found)| {
                json!({
                    "sweep": name, "value": value, "median_ms": found.ms, "operations": found.operations,
                    "mib": found.mib, "runs": options.steps,
                })
            })
        })
        .collect();
    let json = json!({
        "commit": workspace::commit(), "processor": processor(), "threads": threads, "rows": rows,
    });
    write(&folder.join("scaling.json"), &(serde_json::to_string_pretty(&json)? + "\n"))?;
    print(&if options.json { format!("{json}\n") } else { page })
}

/// The exponent of the cost as a power of the work, over the points from the base setting upwards: 1 if it is linear.
fn exponent(points: &[(usize, Scaled)], base: f64, cost: impl Fn(&Scaled) -> Option<f64>) -> Option<f64> {
    let points = points.iter().filter(|(_, found)| found.operations >= 0.999 * base);
    slope(points.filter_map(|(_, found)| Some([found.operations, cost(found)?])))
}

/// The slope of the regression line of log y on log x; `None` with fewer than two points.
fn slope(points: impl Iterator<Item = [f64; 2]>) -> Option<f64> {
    let logs: Vec<[f64; 2]> = points.map(|point| point.map(f64::ln)).collect();
    let n = logs.len() as f64;
    let mean = |i: usize| logs.iter().map(|log| log[i]).sum::<f64>() / n;
    let means = [mean(0), mean(1)];
    let product =
        |i: usize, j: usize| logs.iter().map(|l| (l[i] - means[i]) * (l[j] - means[j])).sum::<f64>();
    (logs.len() > 1).then(|| product(0, 1) / product(0, 0))
}

/// The numbers of threads at which the base setting is measured: powers of two below `most`, and `most`.
fn thread_counts(most: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1), |threads| Some(2 * threads));
    powers.take_while(|threads| *threads < most).chain([most]).collect()
}

fn page(found: &[Swept], by_threads: &[(usize, Scaled)], threads: usize) -> String {
    let [batch, samples, depth, width] = BASE;
    let mut out = format!(
        "# Scaling\n\n\
         Written by `cargo xtask bench scaling`: commit {}, {threads} threads, {}.\n\n\
         One reweighted wake-sleep step of a sigmoid belief network over {OBSERVED} units, with Adam, in a plain loop: \
         batch {batch}, K = {samples}, {depth} layers of {width} units. One of the four varies at a time.\n\
         GFLOP counts the operations of the matrix products.\n\
         MiB is what model, optimiser, batch and step add to the memory of a process: its peak minus what the bare \
         program holds.\n\
         The exponent is that of the time as a power of these operations, from the setting named above upwards: 1 if \
         the cost is linear in the work, below 1 if the products grow faster than the rest of the step.\n\n\
         ![time](scaling-time.svg)\n![memory](scaling-memory.svg)\n",
        workspace::commit(),
        processor()
    );
    for ((sweep, points), base) in found.iter().zip(BASE) {
        let at_base = points.iter().find(|(value, _)| *value == base);
        let base = at_base.map_or(f64::NAN, |(_, found)| found.operations);
        let exponent = exponent(points, base, |found| Some(found.ms));
        section(&mut out, sweep.name, &format!("Exponent {}.", shown(exponent)), points);
    }
    let exponent = slope(by_threads.iter().map(|(threads, found)| [*threads as f64, found.ms]));
    let about = format!(
        "The setting named above. Exponent of the time as a power of the number of threads: {}; -1 if they share the \
         work perfectly.",
        shown(exponent)
    );
    section(&mut out, "threads", &about, by_threads);
    out
}

fn shown(exponent: Option<f64>) -> String {
    exponent.map_or("unknown".to_string(), |exponent| format!("{exponent:.2}"))
}

fn section(out: &mut String, name: &str, about: &str, points: &[(usize, Scaled)]) {
    let _ = write!(
        out,
        "\n## {name}\n\n{about}\n\n| {name} | ms | GFLOP | GFLOP/s | MiB |\n|---:|---:|---:|---:|---:|\n"
    );
    for (value, Scaled { ms, operations, mib }) in points {
        let mib = mib.map_or("".to_string(), |mib| format!("{mib:.0}"));
        let _ = writeln!(
            out,
            "| {value} | {ms:.2} | {:.3} | {:.0} | {mib} |",
            operations / 1e9,
            operations / ms / 1e6
        );
    }
}

/// Time and memory against multiples of the base setting.
fn charts(found: &[Swept]) -> anyhow::Result<[String; 2]> {
    let line = |(i, (sweep, points)): (usize, &Swept), y: fn(&Scaled) -> Option<f64>| {
        let base = BASE[i] as f64;
        let points =
            points.iter().filter_map(|(value, found)| Some(Point::exact(*value as f64 / base, y(found)?)));
        Line { name: Some(format!("{} ({base} at 1)", sweep.name)), colour: i, points: points.collect() }
    };
    let chart = |title: &str, y_name: &str, y: fn(&Scaled) -> Option<f64>| -> anyhow::Result<String> {
        let chart = Chart {
            title: title.to_string(),
            x: ("multiple of the base setting".to_string(), Scale::Log2),
            y: (y_name.to_string(), Scale::Log2),
            lines: found.iter().enumerate().map(|of| line(of, y)).collect(),
        };
        chart.svg()?.context("nothing was measured")
    };
    Ok([
        chart("Time of a step", "ms", |found| Some(found.ms))?,
        chart("Memory of a step", "MiB", |found| found.mib)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sweep_passes_through_the_same_setting() {
        for (sweep, value) in SWEEPS.iter().zip(BASE) {
            assert!(sweep.values.contains(&value), "{}", sweep.name);
        }
    }

    #[test]
    fn the_exponent_is_that_of_a_power() {
        let point = |operations: f64, ms: f64| (0, Scaled { ms, operations, mib: None });
        let points: Vec<_> = [1.0, 2.0, 4.0, 8.0f64].map(|x| point(x, 3.0 * x.powf(0.7))).to_vec();
        assert!((exponent(&points, 2.0, |found| Some(found.ms)).unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(exponent(&points[..1], 1.0, |found| Some(found.ms)), None);
        assert_eq!(exponent(&points, 1.0, |found| found.mib), None);
    }

    #[test]
    fn threads_are_powers_of_two_up_to_those_that_there_are() {
        assert_eq!(thread_counts(1), [1]);
        assert_eq!(thread_counts(2), [1, 2]);
        assert_eq!(thread_counts(12), [1, 2, 4, 8, 12]);
    }
}
