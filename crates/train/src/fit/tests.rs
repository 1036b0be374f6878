//! A run that only moves data through the learner.

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::tensor::DType;
use burn::tensor::Tensor;
use helmholtz_core::{Better, Estimate, Evaluator, Gradients, Measure, Over, Score, Strategy};
use helmholtz_directed::{HelmholtzMachine, StackConfig};

use super::*;
use crate::history::Record;
use crate::learn::Pair;
use crate::schedule::{Rate, Schedule, Stages};

const MEAN: Measure = Measure::new("own_mean", Over::Mean);
const MAXIMUM: Measure = Measure::new("own_maximum", Over::Maximum);

/// Changes nothing, and measures the mean of the batch if `measures` is set.
#[derive(Module, Debug)]
struct Watch {
    measures: bool,
}

impl Strategy<HelmholtzMachine> for Watch {
    fn estimate(&self, _model: &HelmholtzMachine, batch: &Batch, _key: Key) -> Estimate {
        let measured = Strategy::<HelmholtzMachine>::measures(self)
            .iter()
            .map(|measure| measure.is(batch.x.clone().mean()));
        Estimate { gradients: Gradients::new(), measured: measured.collect(), evaluations: 0 }
    }

    fn measures(&self) -> &[Measure] {
        if self.measures { &[Measure::BOUND, MEAN, MAXIMUM] } else { &[Measure::BOUND] }
    }
}

#[derive(Clone, Debug)]
struct Zero;

impl Evaluator<HelmholtzMachine> for Zero {
    type Prepared = ();

    fn measures(&self) -> Score {
        Score::NLL
    }

    fn prepare(&self, _: &HelmholtzMachine, _: Key) {}

    fn score(&self, _: &HelmholtzMachine, (): &(), batch: &Batch, _: Key) -> Tensor<1> {
        batch.x.clone().sum_dim(1).squeeze_dim::<1>(1) * 0.0
    }
}

/// A run over some rows, of a model that stays as it is.
fn watched(
    rows: &Tensor<2>,
    plan: Plan,
    stages: Stages<Watch>,
    on_record: OnRecord,
    stop: Stop,
) -> Result<Outcome, FitError> {
    let (folder, device) = (tempfile::tempdir().unwrap(), rows.device());
    let fit = Fit {
        folder: folder.path().into(),
        devices: vec![device.clone()],
        key: Key::new(0),
        plan,
        checkpoint_every: 1,
        patience: None,
        resume: None,
        progress: Progress::Silent,
        on_record,
        stop,
    };
    let model = StackConfig::new(1, vec![1]).init(None, Key::new(0), &device).unwrap();
    fit.run(Training {
        learn: Pair::of(model, stages, None, Zero),
        rule: Rule::default(),
        optimiser: SgdConfig::new().init(),
        schedule: ModuleLrScheduler::new(Schedule::new(vec![(plan.steps, Rate::constant(0.1))])),
        train: rows.clone().into(),
        draws_bits: false,
        valid: rows.clone().into(),
    })
}

#[test]
fn what_only_one_stage_measures_is_recorded_in_its_epochs_alone() {
    // Five rows in batches of two: the last holds one.
    let rows = Tensor::<1>::from_floats([0.0, 1.0, 2.0, 3.0, 4.0], &Device::flex()).reshape([5, 1]);
    let plan = Plan::of_epochs(5, 2, 2);
    let stages = Stages::new(vec![(3, Watch { measures: false }), (6, Watch { measures: true })]);
    let outcome = watched(&rows, plan, stages, Box::new(|_| Ok(())), Stop::new()).unwrap();
    assert_eq!((outcome.end, outcome.steps), (End::Finished, 6));
    let of_epoch = |epoch: usize| {
        let is = |record: &&Record| record.epoch == epoch && record.split == "train";
        outcome.history.records().iter().find(is).expect("every epoch has a record").values.clone()
    };
    let (first, second) = (of_epoch(1), of_epoch(2));
    assert_eq!((first.get("own_mean"), first.get("own_maximum")), (None, None));
    // All rows have the same weight in the mean: it is that of 0 .. 4 in any order.
    assert_eq!((first["bound"], second["own_mean"]), (2.0, 2.0));
    let feed = Feed::new(rows.into(), plan, Key::new(0), 3);
    let means = burn::data::dataloader::DataLoader::iter(&feed).map(|batch| {
        let mean: Tensor<1> = batch.unwrap().batch.x.cast(DType::F64).mean();
        mean.into_data().try_to_vec::<f64>().unwrap()[0]
    });
    assert_eq!(second["own_maximum"], means.fold(0.0, f64::max));
}

/// A run of two epochs, in which each record calls `tell` with the run's `Stop`.
fn stopped_by(tell: impl Fn(&Stop) + Send + 'static) -> Result<End, FitError> {
    let stop = Stop::new();
    let told = stop.clone();
    let tell = move |_: &Record| {
        tell(&told);
        Ok(())
    };
    let rows = Tensor::<2>::zeros([4, 1], &Device::flex());
    let stages = Watch { measures: false }.into();
    watched(&rows, Plan::of_epochs(4, 2, 2), stages, Box::new(tell), stop).map(|outcome| outcome.end)
}

#[test]
fn a_stop_and_an_error_outlive_a_reset_of_burns_interrupter() {
    let asked = stopped_by(|stop| {
        stop.ask(Request::Terminate);
        stop.interrupter().reset();
    });
    assert_eq!(asked.unwrap(), End::Stopped(Request::Terminate));
    let failed = stopped_by(|stop| {
        stop.fail("metrics.jsonl: no space");
        stop.interrupter().reset();
    });
    assert_eq!(failed.unwrap_err().to_string(), "training stopped: metrics.jsonl: no space");
}

#[test]
fn what_burn_notices_by_itself_is_an_error_too() {
    let failed = stopped_by(|stop| {
        let error = burn::train::checkpoint::CheckpointerError::Unknown("of the device".into());
        stop.interrupter().fail(error);
    });
    assert!(failed.unwrap_err().to_string().contains("of the device"));
}

#[test]
fn a_run_that_burn_ended_without_a_reason_is_not_out_of_patience() {
    assert_eq!(stopped_by(|_| ()).unwrap(), End::Finished);
    let asked_of_burn = stopped_by(|stop| stop.interrupter().stop(None));
    assert!(matches!(asked_of_burn, Err(FitError::Early { planned: 4, .. })));
}

/// Counts how often it prepares, and scores by the count.
#[derive(Clone, Debug)]
struct Counted(Arc<std::sync::atomic::AtomicUsize>);

impl Evaluator<HelmholtzMachine> for Counted {
    type Prepared = f64;

    fn measures(&self) -> Score {
        Score { name: "count", title: "count", unit: "times", better: Better::Higher }
    }

    fn prepare(&self, _: &HelmholtzMachine, _: Key) -> f64 {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) as f64
    }

    fn score(&self, _: &HelmholtzMachine, prepared: &f64, batch: &Batch, _: Key) -> Tensor<1> {
        batch.x.clone().sum_dim(1).squeeze_dim::<1>(1) * 0.0 + *prepared
    }
}

#[test]
fn an_evaluator_prepares_once_for_each_validation_and_the_best_epoch_is_that_of_its_score() {
    // Two batches of validation.
    let rows = Tensor::<2>::zeros([VALIDATION_BATCH + 1, 1], &Device::flex());
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::of_epochs(VALIDATION_BATCH + 1, VALIDATION_BATCH, 3);
    let model = StackConfig::new(1, vec![1]).init(None, Key::new(0), &rows.device()).unwrap();
    let outcome = Fit {
        folder: folder.path().into(),
        devices: vec![rows.device()],
        key: Key::new(0),
        plan,
        checkpoint_every: 1,
        patience: Some(2),
        resume: None,
        progress: Progress::Silent,
        on_record: Box::new(|_| Ok(())),
        stop: Stop::new(),
    }
    .run(Training {
        learn: Pair::of(model, Watch { measures: false }.into(), None, Counted(count.clone())),
        rule: Rule::default(),
        optimiser: SgdConfig::new().init(),
        schedule: ModuleLrScheduler::new(Schedule::new(vec![(plan.steps, Rate::constant(0.1))])),
        train: rows.clone().into(),
        draws_bits: false,
        valid: rows.into(),
    })
    .unwrap();
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 3);
    // More is better: the last epoch is the best, and patience does not end the run.
    assert_eq!((outcome.end, outcome.history.best()), (End::Finished, Some((3, 2.0))));
    let history = History::read(&folder.path().join("metrics.jsonl"), 9).unwrap();
    assert_eq!(history.best(), Some((3, 2.0)));
    assert_eq!(history.records()[1].score(), Some(("count", 0.0)));
}

/// A strategy with a parameter, which does not say how it goes on in another stage.
#[derive(Module, Debug)]
struct Learnt {
    value: burn::module::Param<Tensor<1>>,
}

impl Strategy<HelmholtzMachine> for Learnt {
    fn estimate(&self, _: &HelmholtzMachine, _: &Batch, _: Key) -> Estimate {
        Estimate { gradients: Gradients::new(), measured: Vec::new(), evaluations: 0 }
    }
}

#[test]
#[should_panic(expected = "says how it goes on in the next stage")]
fn a_strategy_that_learns_and_would_begin_anew_in_the_next_stage_is_refused() {
    let device = Device::flex();
    let learnt = || Learnt { value: burn::module::Param::from_tensor(Tensor::zeros([1], &device)) };
    let model = StackConfig::new(1, vec![1]).init(None, Key::new(0), &device).unwrap();
    let _ = Pair::of(model, Stages::new(vec![(1, learnt()), (2, learnt())]), None, Zero);
}
