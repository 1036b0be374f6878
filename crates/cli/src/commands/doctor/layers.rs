//! Layers and priors, at widths for which kernels have been wrong.

use burn::tensor::Device;
use helmholtz_core::{Conditional, Draws, Gradients, Key, Prior};
use helmholtz_directed::{HelmholtzMachine, LayerKind, StackConfig};
use helmholtz_ops::UnitOrder;

use helmholtz_zoo::check::{DoctorCheck, On, Outputs};

const TOLERANCE: f64 = 2e-5;
/// Numbers of units of the layer, and of the layer that it is conditioned on.
const SIZES: [[usize; 2]; 7] = [[1, 7], [7, 1], [10, 13], [13, 10], [50, 7], [13, 50], [1, 1]];

/// All kinds of layers and priors.
pub(super) fn checks() -> Vec<DoctorCheck> {
    let kinds = LayerKind::ALL.into_iter().map(|(name, kind)| (name.to_string(), kind, false, false));
    let variants = [
        ("dsbn, tanh".to_string(), LayerKind::Dsbn, true, false),
        ("nade, random order".to_string(), LayerKind::Nade, false, true),
        ("darn, random order".to_string(), LayerKind::Darn, false, true),
    ];
    let all: Vec<_> = kinds.chain(variants).collect();
    let layers = all.iter().cloned().map(|(name, kind, tanh, random)| {
        DoctorCheck::new("layer", name, TOLERANCE, move |on, out| {
            for [d_x, d_y] in SIZES {
                let mut config = StackConfig::of(kind, d_x, vec![d_y]);
                config.tanh = tanh;
                if random {
                    config.order = UnitOrder::random(d_x, Key::new(8));
                }
                layer(on, out, &config);
            }
        })
    });
    let priors =
        LayerKind::ALL.into_iter().filter(|(_, kind)| *kind != LayerKind::Dsbn).map(|(name, kind)| {
            DoctorCheck::new("prior", name, TOLERANCE, move |on, out| {
                for d in super::operations::WIDTHS {
                    prior(on, out, &StackConfig::of(kind, 3, vec![d]));
                }
            })
        });
    layers.chain(priors).collect()
}

fn machine(on: &On, config: &StackConfig) -> HelmholtzMachine {
    let device: &Device = &on.device;
    on.cast(config.init(None, Key::new(1), device).expect("the sizes of a check make a stack"))
}

fn layer(on: &On, out: &mut Outputs, config: &StackConfig) {
    let model = machine(on, config);
    let layer = &model.generative[0];
    let (d_x, d_y) = layer.dims();
    let named = |what: &str| format!("{what}, {d_x} given {d_y}");
    let (x, y) = (on.bits("x", [12, d_x]), on.bits("y", [12, d_y]));
    out.put(named("log p"), layer.log_prob(x.clone(), y.clone()));
    out.put(named("mean"), layer.mean(x.clone(), y.clone()));
    let scored = layer.score(x.clone(), y.clone());
    out.put(named("score"), scored.log_prob);
    out.put(named("trace"), scored.trace.clone());
    let mut gradients = Gradients::new();
    layer.gradient(x, y.clone(), scored.trace, on.vector("w", 12), &mut gradients);
    out.gradients(&named("gradient"), layer, &gradients);
    let drawn = layer.draw(y, &Draws::new(Key::new(2), 12, 3), None);
    out.put(named("draw"), drawn.x);
    out.put(named("log p of a draw"), drawn.scored.log_prob);
}

fn prior(on: &On, out: &mut Outputs, config: &StackConfig) {
    let model = machine(on, config);
    let prior = &model.prior;
    let d = prior.dim();
    let x = on.bits("x", [12, d]);
    out.put(format!("log p, {d}"), prior.log_prob(x.clone()));
    let scored = prior.score(x.clone());
    out.put(format!("score, {d}"), scored.log_prob);
    let mut gradients = Gradients::new();
    prior.gradient(x.clone(), scored.trace, on.vector("w", 12), &mut gradients);
    out.gradients(&format!("gradient, {d}"), prior, &gradients);
    out.put(format!("mean, {d}"), prior.mean(x));
    out.put(format!("draw, {d}"), prior.draw(&Draws::new(Key::new(2), 9, 2)));
}
