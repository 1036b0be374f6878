//! A run that only moves data through the learner.

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::tensor::DType;
use helmholtz_core::{
    Diagnostics, Estimate, Evaluator, Follows, Gradients, Measure, Measured, Over, Strategy,
};
use helmholtz_directed::{HelmholtzMachine, StackConfig};

use super::*;
use crate::history::Record;
use crate::learn::Pair;
use crate::schedule::{Rate, Schedule, Stages};

const MEAN: Measure = Measure { name: "own_mean", over: Over::Mean };
const MAXIMUM: Measure = Measure { name: "own_maximum", over: Over::Maximum };

/// Moves nothing, and measures the mean of the batch where it is told to.
#[derive(Module, Debug)]
struct Watch {
    measures: bool,
}

impl Strategy<HelmholtzMachine> for Watch {
    fn estimate(&self, _model: &HelmholtzMachine, x: Tensor<2>, _key: Key) -> Estimate {
        let mut diagnostics = Diagnostics::new(x.clone().mean(), x.clone().mean());
        if self.measures {
            let measured = |measure| Measured { measure, value: x.clone().mean() };
            diagnostics.more = vec![measured(MEAN), measured(MAXIMUM)];
        }
        Estimate { gradients: Gradients::new(), diagnostics, evaluations: 0 }
    }

    fn follows(&self) -> Follows {
        Follows::default()
    }

    fn measures(&self) -> &[Measure] {
        if self.measures { &[MEAN, MAXIMUM] } else { &[] }
    }
}

#[derive(Clone, Debug)]
struct Zero;

impl Evaluator<HelmholtzMachine> for Zero {
    fn score(&self, _: &HelmholtzMachine, x: Tensor<2>, _: Arc<[u64]>, _: Key) -> Tensor<1> {
        x.sum_dim(1).squeeze_dim::<1>(1) * 0.0
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
        train: rows.clone(),
        draws_bits: false,
        valid: rows.clone(),
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
    // Rows count alike in the mean: it is that of 0 .. 4 in any order.
    assert_eq!((first["bound"], second["own_mean"]), (2.0, 2.0));
    let feed = Feed::new(rows, plan, Key::new(0), 3);
    let means = burn::data::dataloader::DataLoader::iter(&feed).map(|batch| {
        let mean: Tensor<1> = batch.unwrap().x.cast(DType::F64).mean();
        mean.into_data().try_to_vec::<f64>().unwrap()[0]
    });
    assert_eq!(second["own_maximum"], means.fold(0.0, f64::max));
}

/// A run of two epochs, `stop` being told something by the first record.
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
