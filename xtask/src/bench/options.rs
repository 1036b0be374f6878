//! The options of a benchmark on the command line.

use clap::{Args, ValueEnum};
use helmholtz_cli::error::user;

use crate::bench::session::UNTIMED;
use crate::bench::stack::OBSERVED;

// A doc comment here would replace that of the command.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// What to measure [default: everything but scaling].
    pub(crate) name: Option<Name>,
    /// Also measure PyTorch, JAX and others on the same task (downloads 0.7 GiB the first time).
    #[arg(long)]
    pub(crate) peers: bool,
    /// Print one JSON object on standard output instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Save what was measured in results/, beside earlier runs.
    #[arg(long)]
    pub(crate) save: bool,
    /// Latent sizes of the stack of `step` and `evaluate`, from the data up.
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', default_value = "200,200,200")]
    pub(crate) layers: Vec<usize>,
    /// Number of rows in a batch [default: 125 for nade, 100 otherwise].
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Number of proposals per row of a step, and of points in a chain's state, K.
    #[arg(long, value_name = "K", default_value_t = 10)]
    pub(crate) samples: usize,
    /// Number of hidden units of the NADE.
    #[arg(long, value_name = "N", default_value_t = 150)]
    pub(crate) hidden: usize,
    /// Number of timed steps in each round.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) steps: usize,
    /// Number of rounds; with --peers, ours and each peer have a turn in each round.
    #[arg(long, value_name = "R", default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Number of threads, for ours and for the peers [default: all cores].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Products of bits.
    Bits,
    /// One training step.
    Step,
    /// One training step of deeper stacks.
    Deep,
    /// Importance sampling.
    Evaluate,
    /// Autoregressive layers.
    Nade,
    /// Training steps of a variational autoencoder.
    Vae,
    /// Restricted Boltzmann machines.
    Rbm,
    /// Cost and memory of a step against its sizes.
    Scaling,
    /// The gradient of `nade` alone, for a process that measures its memory.
    #[value(hide = true)]
    NadeAlone,
    /// Steps alone, for a process that measures their memory.
    #[value(hide = true)]
    StepAlone,
}

impl Options {
    /// Whether `name` is to be measured.
    pub(crate) fn runs(&self, name: Name) -> bool {
        self.name.is_none_or(|asked| asked == name)
    }

    /// Rows of a batch, except for `nade`.
    pub(crate) fn batch(&self) -> usize {
        self.batch.unwrap_or(100)
    }

    /// Refuses a batch whose samples, of `points` points each, no machine could hold, and too many steps of it.
    pub(crate) fn check_samples(&self, points: usize) -> anyhow::Result<()> {
        let (batch, samples) = (self.batch(), self.samples);
        if (points * OBSERVED) as f64 * batch as f64 * samples as f64 > MAX_CELLS {
            return Err(user(format!(
                "a batch of {batch} with {samples} samples needs matrices of more than {MAX_CELLS} numbers; choose a \
                 smaller --batch or --samples"
            )));
        }
        self.check_session()
    }

    /// Refuses more steps than a session has rows for.
    pub(crate) fn check_session(&self) -> anyhow::Result<()> {
        let (steps, batch) = (self.steps, self.batch());
        let rows = (steps as f64 + UNTIMED as f64) * batch as f64;
        if rows > MAX_ROWS {
            return Err(user(format!(
                "{steps} steps of {batch} rows are more than {MAX_ROWS} rows a round; choose fewer --steps"
            )));
        }
        Ok(())
    }
}

/// 2 GiB of single precision.
pub(crate) const MAX_CELLS: f64 = (1u64 << 29) as f64;
/// A session's rows lie in memory: 1.5 GB of them.
const MAX_ROWS: f64 = 500_000.0;
