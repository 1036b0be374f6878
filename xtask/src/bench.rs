//! `cargo xtask bench`.

mod evaluate;
mod parts;
mod peers;
mod quiet;
mod report;
mod stack;
mod step;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::exit::{UserError, print};
use report::Report;

/// Measure the speed of training and of evaluation.
///
/// `step` is one reweighted wake-sleep step of a sigmoid belief network with 784 observed units:
/// wake-theta and wake-phi, Adam at 1e-3, on a fixed binary matrix with 13 % ones. Its rows:
///
/// - step: the whole step as training takes it, through Burn's learner with all metrics on, from
///   one batch to the next; the first steps of a session, validation and checkpoints are left out;
/// - step/bare: estimate and optimiser in a plain loop; what `step` takes beyond it is the learner's;
/// - step/estimate: the estimate alone, inside the learner;
/// - step/optimiser: the optimiser alone, in the plain loop;
/// - step/products: the matrix products of a step alone, forward and gradient, the floor of its time.
///
/// With --peers, PyTorch and JAX take the same step in the same run, in turns with ours, nobody
/// else running: step/torch-eager, step/torch-compile, step/jax. The rows named gemm are one
/// product of [1000, 200] by [200, 784], ours and theirs.
///
/// `evaluate` is log p(x) by importance sampling with K = 1000 on 1000 rows: the time of a batch,
/// (row, sample) pairs per second, and the peak resident memory of the process.
///
/// The column `ratio` is the median over that of the first row of its kind.
#[derive(Args, Clone)]
#[command(verbatim_doc_comment)]
pub(crate) struct Bench {
    /// What to measure; everything if absent.
    name: Option<Name>,
    /// Take the same step with PyTorch and JAX beside ours (the first time, a download of 0.7 GiB).
    #[arg(long)]
    peers: bool,
    /// Print one JSON object on standard output instead of a table.
    #[arg(long)]
    json: bool,
    /// Latent sizes, from the data up.
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', default_value = "200,200,200")]
    layers: Vec<usize>,
    /// Rows of a batch.
    #[arg(long, value_name = "N", default_value_t = 100)]
    batch: usize,
    /// Proposals per row of a step, K.
    #[arg(long, value_name = "K", default_value_t = 10)]
    samples: usize,
    /// Timed steps in each round.
    #[arg(long, value_name = "N", default_value_t = 50)]
    steps: usize,
    /// Rounds; with --peers, everybody has a turn in each.
    #[arg(long, value_name = "R", default_value_t = 5)]
    rounds: usize,
    /// Threads of ours and of the peers; all cores if absent.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// One training step.
    Step,
    /// Importance sampling.
    Evaluate,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.check()?;
        let threads = self.threads.unwrap_or_else(cores);
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .context("cannot start the worker threads")?;
        quiet::warn_of_others();
        let mut report = Report::new(threads, cores());
        // Evaluation goes first: the peak of the process's memory is to be its own.
        if self.name != Some(Name::Step) {
            evaluate::measure(&self, &mut report)?;
        }
        if self.name != Some(Name::Evaluate) {
            step::measure(&self, threads, &mut report)?;
        }
        print(&if self.json { report.json() } else { report.table() })
    }

    /// Refuses what no machine could hold, before it is tried.
    fn check(&self) -> anyhow::Result<()> {
        let refuse = |message: String| Err(UserError(message).into());
        let Bench { batch, samples, steps, rounds, .. } = *self;
        for (flag, n) in [("batch", batch), ("samples", samples), ("steps", steps), ("rounds", rounds)] {
            if n == 0 {
                return refuse(format!("--{flag} 0: must be at least 1"));
            }
        }
        if let Some(threads @ (0 | 1025..)) = self.threads {
            return refuse(format!("--threads {threads}: must lie between 1 and 1024"));
        }
        if self.peers && self.name == Some(Name::Evaluate) {
            return refuse("--peers: the peers take training steps; leave `evaluate` out".to_string());
        }
        let widest = self.layers.iter().copied().fold(stack::OBSERVED, usize::max);
        let cells = [batch, samples, widest].iter().map(|&n| n as f64).product::<f64>();
        let weights = (widest as f64).powi(2) * self.layers.len() as f64;
        if cells > MAX_CELLS || weights > MAX_CELLS {
            return refuse(format!(
                "a batch of {batch} with {samples} samples and a layer of {widest} units needs matrices of more than \
                 {MAX_CELLS} numbers; choose a smaller --batch, --samples or --layers"
            ));
        }
        let rows = (steps as f64 + step::UNTIMED as f64) * batch as f64;
        if rows > MAX_ROWS {
            return refuse(format!(
                "{steps} steps of {batch} rows are more than {MAX_ROWS} rows a round; choose fewer --steps"
            ));
        }
        Ok(())
    }
}

/// 2 GiB of single precision.
const MAX_CELLS: f64 = (1u64 << 29) as f64;
/// A session's rows lie in memory: 1.5 GB of them.
const MAX_ROWS: f64 = 500_000.0;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
