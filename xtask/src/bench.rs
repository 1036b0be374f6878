//! `cargo xtask bench`.

mod agreement;
mod bits;
mod deep;
mod descent;
mod evaluate;
mod memory;
mod nade;
mod options;
mod parts;
mod peers;
mod quiet;
mod rbm;
mod report;
mod runs;
mod scaling;
mod session;
mod stack;
mod step;
mod vae;

use anyhow::Context;
use clap::Args;
use helmholtz_cli::error::user;

use crate::exit::print;
use options::{MAX_CELLS, Name, Options};
use report::Report;

/// Measure the speed of training and of evaluation.
///
/// `step` is one reweighted wake-sleep step of a sigmoid belief network with 784 observed units:
/// wake-theta and wake-phi, Adam at 1e-3, on a fixed binary matrix with 13 % ones. Its rows:
///
/// - step: the whole step as in training, through Burn's learner with all metrics on, from one
///   batch to the next; without the first steps of a session, validation and checkpoints;
/// - step/bare: estimate and optimiser in a plain loop; the rest of `step` is the learner's cost;
/// - step/bihm: the same step of a bidirectional Helmholtz machine on the same stack, in turns with
///   step/bare; its ratio is to step/bare;
/// - step/estimate: the estimate alone, inside the learner;
/// - step/optimiser: the optimiser alone, in the plain loop;
/// - step/products: the matrix products of a step alone, forward and gradient: a lower bound on its time.
///
/// With --peers, PyTorch and JAX take the same step in the same run, in turns with ours, with nothing
/// else running: step/torch-eager, step/torch-compile, step/jax. The rows named gemm are one
/// product of [1000, 200] by [200, 784], ours and theirs.
///
/// `bits` measures products of bits `[n, k]`, and of transposed bits `[k, n]`, with real numbers `[k, m]`, in shapes
/// of a step. Each product is computed by the function that chooses the method (bits/NxKxM), by multiplication (gemm),
/// by tables with AVX2 alone (avx2) and without vector instructions (plain), and with --peers by PyTorch and JAX. The
/// last one, bits/1000x20x10, is too narrow for tables, and multiplication computes it.
///
/// `deep` measures two deeper stacks, rws-five-layers (400-300-200-100-10) and bihm-twelve-layers
/// (300-200-100-75-50-35-30-25-20-15-10-10, a bidirectional Helmholtz machine): the whole step through the learner, and
/// bare and products as in `step`; with --peers, also the same three peers.
///
/// `evaluate` is log p(x) by importance sampling with K = 1000 on 1000 rows, with the network of `step`: the time of a
/// batch, (row, sample) pairs per second, and the peak resident memory of this process. It passes over the rows once,
/// and does not use --steps.
///
/// With --peers, PyTorch and JAX estimate the same rows with the same weights, once they agree with ours: from given
/// latents up to rounding, and from their own samples in the mean over rows, within its standard error. The rows are
/// evaluate/torch-eager, evaluate/torch-compile and evaluate/jax. In each of --rounds rounds, ours and the peers pass
/// over the rows in turns. A peer draws samples_at_once samples of each row at a time: when it starts, it tries a few
/// numbers and keeps the fastest.
///
/// `nade` is a NADE over 784 units with 150 hidden ones, and a DARN over the same units, on 125 rows
/// of bits. Half of the bits are on; in rows marked (0.13), as few as in binarised MNIST. This matters
/// because sigmoids are computed again only after a unit that is on. Its rows:
///
/// - nade/sigmoids: a sigmoid for each row, unit and hidden unit, in place in the cache;
/// - nade/log-prob: the log-probability of the rows, with what the gradient needs; its ratio is to
///   nade/sigmoids;
/// - nade/gradient: log-prob, and the gradient in all parameters; ratio to nade/sigmoids, goal: at most 3;
/// - nade/sample: the same number of rows drawn; ratio to nade/log-prob of the same density, goal: at most 2;
/// - nade/gradient (2000 rows): the same on more rows, in a separate process; ratio to nade/gradient;
/// - darn/gemm: the rows times a matrix [784, 784], by Burn;
/// - darn/log-prob: the log-probability of the rows, with what the gradient needs; ratio to darn/gemm,
///   goal: at most 1.3;
/// - darn/sample: the same number of rows drawn; ratio to darn/gemm.
///
/// The peak_resident_mib of nade/gradient is what one call adds to the resident memory of a separate
/// process; activations_mib is what a float for each row, unit and hidden unit would take.
///
/// With --peers, PyTorch computes log-probability and gradient of the same NADE, in turns with ours,
/// once its results agree with ours: nade/torch-loop loops over the units, nade/torch-cumsum computes
/// the hidden units of all of them at once, nade/torch-cumsum-compile is that compiled. Their ratio is
/// to nade/gradient; the fastest counts.
///
/// `vae` is a variational autoencoder with two layers of 200 hidden units in each net and 20 latents, on rows of
/// `glyphs/28x28`, with RMSProp at 5e-4 and weights from 500 steps of training. Its rows:
///
/// - iwae: the whole step of the importance-weighted bound through Burn's learner; iwae/bare,
///   iwae/estimate and iwae/optimiser are as in `step`;
/// - iwae/noise, iwae/propose, iwae/gradient: normals, forward pass and backward pass, which make an estimate;
/// - iwae/products-forward, iwae/products-back: the matrix products of each pass, alone;
/// - iwae/output: the passes over the logits, forward and back; iwae/hidden: those over hidden units;
/// - coupled: the step of coupled chains (ISIR and DISIR, lag 10, burn-in 1), in the plain loop, for a
///   tenth of the steps; its ratio is to iwae/bare. Iterations is the mean meeting time.
///
/// With --peers, PyTorch and JAX take the iwae step, in turns with ours, once their bounds and gradients agree with
/// ours. The time of their coupled step is calculated from the times of its parts, which have fixed shapes:
/// phi (the encoder's gradient and the optimiser) + L alone (an iteration of one chain) + (iterations - L - 1) pair
/// (one of both chains with the signed gradient) + meet (the same without). L is the lag, and iterations are ours in
/// the same run. This favours them: in a batch of fixed shape, all rows continue until the last has met.
///
/// `rbm` is a restricted Boltzmann machine of 784 and 500 units, on rows of bits, with 100 chains. Its rows:
///
/// - rbm/pcd: an update with persistent chains that make one sweep, and a step of plain SGD, in a plain loop;
/// - rbm/pcd/optimiser: the optimiser alone; rbm/pcd/centred: the update with centred gradients;
/// - rbm/temperature: what annealed importance sampling does at a temperature, the weights of the chains and a sweep;
/// - rbm/epoch: an epoch of rbm/pcd from initial weights, on 60000 rows of `glyphs/28x28` and with as many chains as a
///   batch has rows; once in each round, whatever --steps says.
///
/// With --peers, PyTorch and JAX take the same update, NumPy a temperature, and scikit-learn an epoch:
/// BernoulliRBM.fit with n_iter=1 on the same rows in single precision; goal: a ratio of at least 5. It is timed once its
/// free energies are those that we compute from its weights, and the reconstructions of both machines cost the same, up
/// to 5 % (reconstruction_nats).
///
/// `scaling` runs only when it is named. It measures a step in the plain loop against batch, K, depth, width and
/// threads, one at a time. Each point runs in a separate process, which reports its memory. A table and figures go to
/// results/.
///
/// The column `ratio` is the median divided by the median of the first row of its kind, or of the row named above;
/// `against` in the JSON names that row.
#[derive(Args, Clone)]
#[command(verbatim_doc_comment)]
pub(crate) struct Bench {
    #[command(flatten)]
    options: Options,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Bench { options } = self;
        check(&options)?;
        let threads = options.threads.unwrap_or_else(cores);
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .context("cannot start the worker threads")?;
        if options.name == Some(Name::NadeAlone) {
            return nade::alone::run(&options, threads);
        }
        if options.name == Some(Name::StepAlone) {
            return scaling::alone(&options);
        }
        quiet::warn_of_others();
        if options.name == Some(Name::Scaling) {
            return scaling::run(&options, threads);
        }
        let mut report = Report::new(threads, cores());
        for (name, _, measure) in MEASURED {
            if options.runs(name) {
                measure(&options, threads, &mut report)?;
            }
        }
        if options.save {
            runs::save(&report)?;
        }
        print(&if options.json { report.json() } else { report.table() })
    }
}

/// What is measured, each with the check of its options. Evaluation goes first, so that the peak of the process's
/// memory is its own.
type Measured =
    (Name, fn(&Options) -> anyhow::Result<()>, fn(&Options, usize, &mut Report) -> anyhow::Result<()>);
const MEASURED: [Measured; 7] = [
    (Name::Evaluate, check_stack, evaluate::measure),
    (Name::Bits, check_stack, bits::measure),
    (Name::Step, check_stack, step::measure),
    (Name::Deep, deep::check, deep::measure),
    (Name::Nade, nade::check, nade::measure),
    (Name::Vae, vae::check, vae::measure),
    (Name::Rbm, rbm::check, rbm::measure),
];

/// Refuses sizes that no machine could hold, before they are tried.
fn check(options: &Options) -> anyhow::Result<()> {
    let refuse = |message: String| Err(user(message));
    let Options { samples, hidden, steps, rounds, .. } = *options;
    let batch = options.batch.unwrap_or(1);
    for (flag, n) in
        [("batch", batch), ("samples", samples), ("hidden", hidden), ("steps", steps), ("rounds", rounds)]
    {
        if n == 0 {
            return refuse(format!("--{flag} 0: must be at least 1"));
        }
    }
    if let Some(threads @ (0 | 1025..)) = options.threads {
        return refuse(format!("--threads {threads}: must be between 1 and 1024"));
    }
    if options.peers && options.name == Some(Name::Scaling) {
        return refuse(
            "--peers: `scaling` has no peers; `step`, `deep`, `evaluate`, `nade`, `vae` and `rbm` have them"
                .to_string(),
        );
    }
    if options.save && options.name == Some(Name::Scaling) {
        return refuse("--save: `scaling` always writes its results; leave --save out".to_string());
    }
    for (name, check, _) in MEASURED {
        if options.runs(name) {
            check(options)?;
        }
    }
    if options.name == Some(Name::StepAlone) {
        check_stack(options)?;
    }
    Ok(())
}

/// Refuses a stack or steps that no machine could hold.
fn check_stack(options: &Options) -> anyhow::Result<()> {
    let refuse = |message: String| Err(user(message));
    let (samples, batch) = (options.samples, options.batch());
    let widest = options.layers.iter().copied().fold(stack::OBSERVED, usize::max);
    let cells = [batch, samples, widest].iter().map(|&n| n as f64).product::<f64>();
    let weights = (widest as f64).powi(2) * options.layers.len() as f64;
    if cells > MAX_CELLS || weights > MAX_CELLS {
        return refuse(format!(
            "a batch of {batch} with {samples} samples and a layer of {widest} units needs matrices of more than \
             {MAX_CELLS} numbers; choose a smaller --batch, --samples or --layers"
        ));
    }
    options.check_session()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use helmholtz_cli::error::UserError;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        bench: Bench,
    }

    fn parse(line: &str) -> Options {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Cli::try_parse_from(words).unwrap().bench.options
    }

    #[test]
    fn a_name_runs_itself_alone_and_no_name_runs_everything() {
        let runs = |line| {
            [Name::Step, Name::Deep, Name::Evaluate, Name::Nade, Name::Vae, Name::Bits]
                .map(|name| parse(line).runs(name))
        };
        assert_eq!(runs(""), [true; 6]);
        assert_eq!(runs("step"), [true, false, false, false, false, false]);
        assert_eq!(runs("nade --peers"), [false, false, false, true, false, false]);
        assert_eq!(runs("nade-alone"), [false; 6]);
    }

    #[test]
    fn what_no_machine_could_hold_is_refused() {
        let refused = |line: &str| check(&parse(line)).is_err_and(|error| error.is::<UserError>());
        for line in [
            "",
            "--peers",
            "evaluate --peers",
            "nade --hidden 500",
            "nade --batch 100000",
            "step --batch 4000",
            "vae --batch 1000",
        ] {
            assert!(!refused(line), "{line}");
        }
        for line in [
            "nade --batch 0",
            "nade --hidden 0",
            "nade --batch 1000000",
            "nade --batch 100000 --peers",
            "nade --hidden 1000000",
            "step --batch 100000",
            "evaluate --batch 100000 --peers",
            "deep --samples 1",
            "deep --batch 100000",
            "scaling --peers",
            "scaling --save",
            "vae --samples 1",
            "vae --batch 100000",
            "vae --steps 10000",
        ] {
            assert!(refused(line), "{line}");
        }
    }
}
