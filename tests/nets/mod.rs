//! Recognition nets: well trained, badly trained, and damaged.

use burn::module::{Module, Param};
use burn::optim::AdamConfig;
use burn::tensor::{Device, Tensor};
use helmholtz_core::{AnyParam, Key, Role, Strategy, map_params};
use helmholtz_directed::{HelmholtzMachine, LayerKind, StackConfig};
use helmholtz_noise::Stream;
use helmholtz_strategies::{Reinforce, ReweightedWakeSleep, Vimco, WakeSleep};
use helmholtz_tests::either;

/// A model with its recognition net.
pub(crate) struct Net {
    pub(crate) name: String,
    pub(crate) model: HelmholtzMachine,
}

/// How nets are trained.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    data: &'static str,
    kind: LayerKind,
    latents: Vec<usize>,
    strategy: &'static str,
    lr: f64,
    seed: u64,
    /// Steps after which a net is recorded; the net after the last step is damaged as well.
    steps: Vec<u64>,
    damages: Vec<Damage>,
}

/// How a recognition net is damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    /// All parameters are multiplied by a factor.
    Scaled(f32),
    /// The bias of one unit is set. Its layer is the number modulo the number of layers, and its place in the layer is
    /// the number modulo the width.
    Bias(usize, f32),
    /// The incoming weights and the bias of one unit are negated.
    Flipped(usize),
    /// All parameters are moved by up to this much.
    Moved(f32),
    /// The parameters are the initial ones.
    Fresh,
}

fn damaged(
    model: &HelmholtzMachine,
    fresh: &HelmholtzMachine,
    damage: Damage,
    seed: u64,
) -> HelmholtzMachine {
    let mut model = model.clone();
    if let Damage::Fresh = damage {
        model.recognition = fresh.recognition.clone();
        return model;
    }
    let layer = match damage {
        Damage::Bias(unit, _) | Damage::Flipped(unit) => unit % model.recognition.len(),
        _ => 0,
    }
    .to_string();
    let mut stream = Stream::new(Key::new(seed).child(Role::Data));
    model.recognition = map_params(model.recognition, |path, param| {
        let name = path.last().map_or("", String::as_str);
        let here = path.contains(&layer);
        let shape = param.shape();
        let width = shape[shape.rank() - 1];
        let mut values: Vec<f32> = param.values().into_data().try_to_vec().expect("single precision");
        match damage {
            Damage::Scaled(by) => values.iter_mut().for_each(|value| *value *= by),
            Damage::Bias(unit, to) if here && name == "bias" => values[unit % width] = to,
            Damage::Flipped(unit) if here && ["weight", "bias"].contains(&name) => {
                values.iter_mut().skip(unit % width).step_by(width).for_each(|value| *value = -*value);
            }
            Damage::Moved(by) => values
                .iter_mut()
                .for_each(|value| *value += stream.uniform_in(-f64::from(by), f64::from(by)) as f32),
            _ => {}
        }
        Tensor::from_data(values.as_slice(), &Device::flex())
    });
    model
}

impl Plan {
    fn estimate(&self, model: &HelmholtzMachine, x: Tensor<2>, key: Key) -> burn::optim::GradientsParams {
        let estimate = match self.strategy {
            "rws" => ReweightedWakeSleep::new(5).unwrap().estimate(model, &x.into(), key),
            "ws" => WakeSleep::new(1).estimate(model, &x.into(), key),
            "vimco" => Vimco::new(5).unwrap().estimate(model, &x.into(), key),
            _ => Reinforce::new(3).unwrap().estimate(model, &x.into(), key),
        };
        estimate.gradients.into_params()
    }

    /// The nets, and the rows to score them on.
    pub(crate) fn nets(&self, rows: usize) -> (Vec<Net>, Tensor<2>) {
        let device = Device::flex();
        let data = helmholtz_datasets::load(self.data, None).unwrap();
        let train = data.train.tensor(&device);
        let [n, d] = train.dims();
        let config = StackConfig::of(self.kind, d, self.latents.clone());
        let fresh = config.init(Some(&data.train.mean()), Key::new(self.seed), &device).unwrap();
        let mut model = fresh.clone().train();
        let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
        let name = format!(
            "{} {:?}{:?} {} lr {} seed {}",
            self.data, self.kind, self.latents, self.strategy, self.lr, self.seed
        );
        let mut nets = Vec::new();
        let last = self.steps.iter().copied().max().unwrap_or_default();
        for step in 1..=last {
            let first = (step as usize * 100) % n;
            let x = train.clone().slice([first..(first + 100).min(n), 0..d]);
            let gradients = self.estimate(&model.valid(), x, Key::new(self.seed).child(step));
            model = adam.step(self.lr, model, gradients);
            if self.steps.contains(&step) {
                nets.push(Net { name: format!("{name} step {step}"), model: model.valid() });
            }
        }
        let trained = model.valid();
        for damage in &self.damages {
            let model = damaged(&trained, &fresh, *damage, self.seed);
            nets.push(Net { name: format!("{name} {damage:?}"), model });
        }
        (nets, data.test.tensor(&device).slice([0..rows, 0..d]))
    }

    /// A few nets for every run; nightly runs have more strategies and more damages.
    pub(crate) fn few(seed: u64) -> Vec<Plan> {
        let mut damages = vec![
            Damage::Scaled(20.0),
            Damage::Bias(seed as usize, 20.0),
            Damage::Flipped(2),
            Damage::Moved(0.1),
            Damage::Bias(1, -20.0),
            Damage::Scaled(1.1),
        ];
        damages.truncate(either(4, 6));
        let plan = |data, kind, latents: &[usize], strategy, seed| Plan {
            data,
            kind,
            latents: latents.to_vec(),
            strategy,
            lr: 0.02,
            seed,
            steps: vec![20, 150],
            damages: damages.clone(),
        };
        let mut plans = vec![
            plan("lines/3x3", LayerKind::Sbn, &[6, 4], "rws", seed + 2),
            plan("lines/3x3", LayerKind::Darn, &[5], "rws", seed + 3),
            plan("bars/4x4", LayerKind::Sbn, &[8], "rws", seed),
            plan("bars/4x4", LayerKind::Sbn, &[6], "vimco", seed + 1),
            plan("lines/3x3", LayerKind::Sbn, &[6], "ws", seed + 4),
        ];
        plans.truncate(either(3, 5));
        plans
    }

    /// Many nets, with seeds from `first` on.
    pub(crate) fn all(first: u64) -> Vec<Plan> {
        let shapes: [(&'static str, LayerKind, &[usize]); 8] = [
            ("bars/4x4", LayerKind::Sbn, &[8]),
            ("bars/4x4", LayerKind::Sbn, &[6, 4]),
            ("bars/4x4", LayerKind::Darn, &[6]),
            ("bars/4x4", LayerKind::Sbn, &[12]),
            ("lines/3x3", LayerKind::Sbn, &[6, 4]),
            ("lines/3x3", LayerKind::Sbn, &[6]),
            ("lines/3x3", LayerKind::Nade, &[5]),
            ("lines/3x3", LayerKind::Sbn, &[4, 3, 2]),
        ];
        let mut plans = Vec::new();
        for (i, (data, kind, latents)) in shapes.into_iter().enumerate() {
            for (j, strategy) in ["rws", "ws", "vimco", "reinforce"].into_iter().enumerate() {
                let seed = first + (i * 4 + j) as u64 % 10;
                let unit = i + j;
                let slow = Plan {
                    data,
                    kind,
                    latents: latents.to_vec(),
                    strategy,
                    lr: [0.005, 0.02][(i + j) % 2],
                    seed,
                    steps: vec![10, 50, 150, 400, 600],
                    damages: vec![
                        Damage::Scaled([3.0, 5.0, 10.0, 50.0][j]),
                        Damage::Scaled(1.2),
                        Damage::Bias(unit, 20.0),
                        Damage::Bias(unit + 1, -20.0),
                        Damage::Bias(unit + 2, [5.0, -6.0, 8.0, -10.0][i % 4]),
                        Damage::Flipped(unit + 1),
                        Damage::Moved(0.2),
                        Damage::Moved([1.0, 3.0][j % 2]),
                        Damage::Fresh,
                    ],
                };
                let fast =
                    Plan { lr: [3.0, 0.3][j % 2], steps: vec![50, 200], damages: vec![], ..slow.clone() };
                plans.extend([slow, fast]);
            }
        }
        plans
    }
}

/// A model whose latents equal the data: p and q copy them almost without error.
pub(crate) fn copying(rows: usize) -> (HelmholtzMachine, Tensor<2>) {
    let device = Device::flex();
    let mut model = StackConfig::new(9, vec![9]).init(None, Key::new(0), &device).unwrap();
    model.centre = Param::from_tensor(Tensor::zeros([9], &device));
    let copy = |_: &[String], param: &dyn AnyParam| {
        let values: Vec<f32> = match param.shape().rank() {
            1 => vec![-20.0; param.shape()[0]],
            _ => (0..81).map(|i| if i % 10 == 0 { 40.0 } else { 0.0 }).collect(),
        };
        Tensor::from_data(values.as_slice(), &device)
    };
    model.generative = map_params(model.generative, copy);
    model.recognition = map_params(model.recognition, copy);
    let x = helmholtz_datasets::load("lines/3x3", None).unwrap().test.tensor(&device).slice([0..rows, 0..9]);
    (model, x)
}
