//! The speed and the memory of autoregressive layers.

pub(crate) mod alone;
mod subject;

use burn::tensor::{Device, Tensor};
use helmholtz_cli::error::user;
use helmholtz_core::{Draws, Key, Prior};
use helmholtz_layers::{DarnPriorConfig, InitialWeights, UnitOrder};

use crate::bench::agreement::{Exchange, gradient, values};
use crate::bench::options::{MAX_CELLS, Options};
use crate::bench::parts::{repeat, timed};
use crate::bench::peers::{self, Peer};
use crate::bench::report::{Report, Row};
use crate::bench::stack::{OBSERVED, ONES};
use crate::exit::progress;
use alone::Alone;
use subject::{Subject, rows};

/// Enough rows to show whether the memory grows with rows times units times hidden units.
const MANY: usize = 2000;

/// Three ways to write a NADE in PyTorch, which has no operation for it.
const FRAMEWORKS: [&str; 3] = ["torch-loop", "torch-cumsum", "torch-cumsum-compile"];

/// A share of ones, with the names of the rows that are timed at it.
struct Density {
    ones: f32,
    log_prob: &'static str,
    gradient: &'static str,
    sample: &'static str,
}

const DENSITIES: [Density; 2] = [
    Density { ones: 0.5, log_prob: "nade/log-prob", gradient: "nade/gradient", sample: "nade/sample" },
    Density {
        ones: ONES,
        log_prob: "nade/log-prob (0.13)",
        gradient: "nade/gradient (0.13)",
        sample: "nade/sample (0.13)",
    },
];

/// Something to time over and over, with its row.
struct Task<'a> {
    row: Row,
    run: Box<dyn FnMut() + 'a>,
}

impl<'a> Task<'a> {
    fn new(name: &str, against: &'static str, run: impl FnMut() + 'a) -> Self {
        Task { row: Row::ours(name, against, Vec::new()), run: Box::new(run) }
    }
}

/// Refuses sizes that no machine could hold.
pub(crate) fn check(options: &Options) -> anyhow::Result<()> {
    let (n, hidden) = (rows(options), options.hidden);
    // The peers hold every activation; we hold a few numbers for each row and weight.
    let cells = match options.peers {
        true => n as f64 * OBSERVED as f64 * hidden as f64,
        false => OBSERVED.max(hidden) as f64 * n.max(OBSERVED) as f64,
    };
    if cells > MAX_CELLS {
        return Err(user(format!(
            "{n} rows and {hidden} hidden units need arrays of more than {MAX_CELLS} numbers; choose a smaller --batch \
             or --hidden"
        )));
    }
    Ok(())
}

pub(crate) fn measure(options: &Options, threads: usize, report: &mut Report) -> anyhow::Result<()> {
    let (n, hidden, device) = (rows(options), options.hidden, Device::flex());
    progress("nade: memory");
    let few = Alone::spawn(n, hidden, threads)?;
    let many = Alone::spawn(MANY, hidden, threads)?;
    let subjects = DENSITIES.map(|density| (Subject::new(hidden, n, density.ones, &device), density));
    let mut peers = if options.peers { start_peers(&subjects[0].0, threads)? } else { Vec::new() };

    let mut tasks = tasks(&subjects, &device);
    for round in 1..=options.rounds {
        progress(&format!("nade: round {round} of {}", options.rounds));
        for Task { row, run } in &mut tasks {
            row.ms.extend(repeat(options.steps, || Ok(timed(&device, &mut *run)?.0))?);
        }
        peers.iter_mut().try_for_each(|peer| peer.take_steps(options.steps))?;
    }

    let mut rows: Vec<Row> = tasks.into_iter().map(|task| task.row).collect();
    for row in &mut rows {
        if row.name == "nade/gradient" {
            row.extra = few.extra();
        }
        if let Some((subject, _)) = subjects.iter().find(|(_, density)| density.sample == row.name) {
            row.extra.push(("ones", subject.ones_of_samples()));
        }
    }
    let mut of_many = Row::ours("nade/gradient (2000 rows)", "nade/gradient", Vec::new());
    of_many.extra = many.extra();
    of_many.ms = many.ms;
    rows.into_iter().chain([of_many]).for_each(|row| report.add(row));
    peers.iter().for_each(|peer| report.add(peer.row_of_steps("nade", "nade/gradient")));
    Ok(())
}

/// Everything that is timed in this process; the subjects differ only in their density.
fn tasks<'a>(subjects: &'a [(Subject, Density)], device: &Device) -> Vec<Task<'a>> {
    let Subject { x, .. } = &subjects[0].0;
    let mut tasks = vec![sigmoids(x.dims()[0], subjects[0].0.hidden(), device)];
    tasks.extend(subjects.iter().flat_map(|(subject, density)| nade(subject, density)));
    tasks.extend(darn(x.clone(), device));
    tasks
}

/// A sigmoid for each hidden unit of each unit of each row, in place.
fn sigmoids<'a>(n: usize, hidden: usize, device: &Device) -> Task<'a> {
    let mut values = Some(Tensor::<2>::zeros([n, OBSERVED], device));
    Task::new("nade/sigmoids", "nade/sigmoids", move || {
        values = (0..hidden).fold(values.take(), |values, _| values.map(helmholtz_ops::sigmoid));
    })
}

fn nade<'a>(subject: &'a Subject, density: &Density) -> [Task<'a>; 3] {
    let mut step = 0u64;
    let log_prob = || drop(subject.prior.score(subject.x.clone()));
    let gradient = || drop(subject.gradient());
    let sample = move || {
        step += 1;
        subject.sample(step);
    };
    [
        Task::new(density.log_prob, "nade/sigmoids", log_prob),
        Task::new(density.gradient, "nade/sigmoids", gradient),
        Task::new(density.sample, density.log_prob, sample),
    ]
}

/// A DARN over the rows `x`, and the product that its scoring consists of.
fn darn<'a>(x: Tensor<2>, device: &Device) -> [Task<'a>; 3] {
    let (n, key) = (x.dims()[0], Key::new(0).child("bench darn"));
    let prior = DarnPriorConfig::new(OBSERVED).init(InitialWeights::Glorot, UnitOrder::index(), key, device);
    let (weights, rows, sampler) =
        (InitialWeights::Glorot.draw(OBSERVED, OBSERVED, key, device), x.clone(), prior.clone());
    let mut step = 0u64;
    let sample = move || {
        step += 1;
        drop(sampler.draw(&Draws::new(key.child(step), n, 1)));
    };
    [
        Task::new("darn/gemm", "darn/gemm", move || drop(rows.clone().matmul(weights.clone()))),
        Task::new("darn/log-prob", "darn/gemm", move || drop(prior.score(x.clone()))),
        Task::new("darn/sample", "darn/gemm", sample),
    ]
}

/// Weights and rows of `subject`, and our results from them.
fn exchange(subject: &Subject) -> anyhow::Result<Exchange> {
    let prior = &subject.prior;
    let (scored, gradients) = subject.gradient();
    let ours = [
        ("log-probability", values(scored.log_prob)?),
        ("gradient in b", gradient(&gradients, &prior.bias)?),
        ("gradient in c", gradient(&gradients, &prior.hidden_bias)?),
        ("gradient in W", gradient(&gradients, &prior.encoder)?),
        ("gradient in V", gradient(&gradients, &prior.decoder)?),
    ];
    let inputs = vec![
        values(prior.bias.val())?,
        values(prior.hidden_bias.val())?,
        values(prior.encoder.val())?,
        values(prior.decoder.val())?,
        values(subject.x.clone())?,
    ];
    Exchange::new(inputs, ours.map(|(name, values)| (name.to_string(), values)).into())
}

/// Starts PyTorch with the weights and rows of `subject`, and checks its log-probabilities and gradients.
fn start_peers(subject: &Subject, threads: usize) -> anyhow::Result<Vec<Peer>> {
    let exchange = exchange(subject)?;
    let sizes = [
        ("--visible", OBSERVED.to_string().into()),
        ("--hidden", subject.hidden().to_string().into()),
        ("--batch", subject.x.dims()[0].to_string().into()),
    ];
    let arguments = [exchange.arguments().as_slice(), &sizes].concat();
    let mut peers = peers::start("nade.py", &FRAMEWORKS, &arguments, threads)?;
    for peer in &mut peers {
        exchange.check(peer)?;
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_compared_with_one_that_is_there() {
        let device = Device::flex();
        let subjects = DENSITIES.map(|density| (Subject::new(3, 2, density.ones, &device), density));
        let mut tasks = tasks(&subjects, &device);
        tasks.iter_mut().for_each(|task| (task.run)());
        let names: Vec<&str> = tasks.iter().map(|task| task.row.name.as_str()).collect();
        assert_eq!(names.len(), 10);
        assert!(names.contains(&"nade/gradient"), "the row that the peers and the memory are compared with");
        assert!(tasks.iter().all(|task| names.contains(&task.row.against)));
    }
}
