//! The command line with a model family of one's own, which it trains, resumes, evaluates, samples and lists.
//!
//! The family is one model and one strategy, written as in another crate. Try it:
//!
//! ```sh
//! cargo run --release --example own_family -- train --model factorial --dataset lines/3x3 --lr 0.1 --out runs/own
//! cargo run --release --example own_family -- evaluate runs/own
//! cargo run --release --example own_family -- models factorial
//! ```

use std::process::ExitCode;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{
    Batch, Claims, Direction, Draws, Enumerable, Estimate, Follows, GENERATIVE, Gradients, Key,
    LatentVariableModel, Measure, ParameterGroup, Prior, Proposals, Scored, Strategy, Traced, Trainable,
};
use helmholtz_datasets::ImageShape;
use helmholtz_layers::{BernoulliPrior, BernoulliPriorConfig};
use helmholtz_ops::rows::repeat_rows;
use helmholtz_zoo::check::DoctorCheck;
use helmholtz_zoo::strategy::boxed;
use helmholtz_zoo::{
    BoxedModel, BoxedStrategy, BuiltOn, Can, ConfigError, Family, ModelEntry, ModelSpec, Paper, Settings,
    StrategyEntry, StrategySettings, Summed,
};
use toml::Table;

/// Independent bits: `p(x) = Πⱼ Bernoulli(xⱼ; σ(bⱼ))`.
#[derive(Module, Debug)]
struct Factorial {
    units: BernoulliPrior,
}

type Layers = Vec<Tensor<2>>;

impl Factorial {
    fn zeros(&self, n: usize) -> Tensor<1> {
        Tensor::zeros([n], (&self.device(), self.dtype()))
    }
}

impl Trainable for Factorial {
    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    fn observed(&self) -> usize {
        self.units.dim()
    }

    fn dtype(&self) -> DType {
        self.units.bias.val().dtype()
    }

    fn device(&self) -> Device {
        self.units.bias.val().device()
    }
}

impl LatentVariableModel for Factorial {
    type Latents = Layers;

    fn log_joint(&self, x: Tensor<2>, _: &Layers) -> Tensor<1> {
        self.units.log_prob(x)
    }

    fn log_posterior(&self, x: Tensor<2>, _: &Layers) -> Tensor<1> {
        self.zeros(x.dims()[0])
    }

    fn trace_joint(&self, x: Tensor<2>, _: &Layers) -> Traced {
        let Scored { log_prob, trace } = self.units.score(x);
        Traced { traces: vec![trace], by_layer: vec![log_prob.clone()], log_prob }
    }

    fn trace_posterior(&self, x: Tensor<2>, _: &Layers) -> Traced {
        Traced { log_prob: self.zeros(x.dims()[0]), traces: Vec::new(), by_layer: Vec::new() }
    }

    fn propose(&self, x: Tensor<2>, draws: &Draws, _: f64) -> Proposals<Layers> {
        let x = repeat_rows(x, draws.k());
        let q = self.trace_posterior(x.clone(), &Vec::new());
        let log_proposal = q.log_prob.clone();
        Proposals { latents: Vec::new(), p: self.trace_joint(x, &Vec::new()), q, log_proposal, k: draws.k() }
    }

    fn dream(&self, draws: &Draws) -> (Tensor<2>, Layers) {
        (self.units.draw(draws), Vec::new())
    }

    fn decode(&self, x: Tensor<2>, _: &Layers) -> Tensor<2> {
        self.units.mean(x)
    }

    fn joint_gradient(
        &self,
        x: Tensor<2>,
        _: &Layers,
        traces: &[Tensor<2>],
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        self.units.gradient(x, traces[0].clone(), weights, into);
    }

    fn posterior_gradient(&self, _: Tensor<2>, _: &Layers, _: &[Tensor<2>], _: Tensor<1>, _: &mut Gradients) {
    }
}

/// Without latents there is a single, empty latent state.
impl Enumerable for Factorial {
    fn latent_bits(&self) -> usize {
        0
    }

    fn states(&self, _: u64, _: usize) -> Layers {
        Vec::new()
    }

    fn log_joint_table(&self, x: Tensor<2>, h: &Layers) -> Tensor<2> {
        self.log_joint(x, h).unsqueeze_dim(1)
    }

    fn log_posterior_table(&self, x: Tensor<2>, h: &Layers) -> Tensor<2> {
        self.log_posterior(x, h).unsqueeze_dim(1)
    }
}

impl Can for Factorial {
    fn summed(&self) -> Option<&dyn Summed> {
        Some(self)
    }
}

/// Maximum likelihood: the gradient of the mean of `log p(x)`.
#[derive(Module, Debug)]
struct MaximumLikelihood {
    samples: usize,
}

impl Strategy<Factorial> for MaximumLikelihood {
    fn estimate(&self, model: &Factorial, batch: &Batch, _: Key) -> Estimate {
        let (x, n) = (batch.whole(), batch.len());
        let Traced { log_prob, traces, .. } = model.trace_joint(x.clone(), &Vec::new());
        let mut gradients = Gradients::new();
        model.joint_gradient(x, &Vec::new(), &traces, log_prob.full_like(1.0 / n as f64), &mut gradients);
        Estimate { gradients, measured: vec![Measure::BOUND.is(log_prob.mean())], evaluations: n as u64 }
    }

    fn measures(&self) -> &[Measure] {
        &[Measure::BOUND]
    }
}

/// Without latents there is a single state, of probability one, so the ELBO is the log-likelihood.
impl Claims for MaximumLikelihood {
    fn follows(&self) -> Follows {
        Follows::new(Direction::Elbo, Direction::Elbo)
    }
}

helmholtz_zoo::claims!(MaximumLikelihood => Factorial);

helmholtz_zoo::settings! {
    /// `[strategy]`
    Likelihood {
        /// Samples per observation; not used, because there are no latents.
        samples: usize = 1,
    }
}

impl StrategySettings for Likelihood {
    fn samples(&self) -> usize {
        self.samples
    }

    fn build(&self, samples: usize, _: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        Ok(boxed(MaximumLikelihood { samples }))
    }
}

helmholtz_zoo::settings! {
    /// `[model]`
    Independent {
        /// Initial bias of every unit.
        bias: f64 = 0.0,
    }
}

#[derive(Clone, Debug)]
struct Spec(Independent);

impl ModelSpec for Spec {
    fn boxed(&self) -> Box<dyn ModelSpec> {
        Box::new(self.clone())
    }

    fn kind(&self) -> &'static str {
        "factorial"
    }

    fn table(&self) -> Table {
        self.0.table()
    }

    fn layers(&self) -> &[usize] {
        &[]
    }

    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    fn has_bits(&self) -> bool {
        true
    }

    fn structure(&self) -> Table {
        Table::from_iter([("kind".to_owned(), self.kind().into())])
    }

    fn weights(&self, _: usize) -> u64 {
        0
    }

    fn sizes_in_words(&self) -> String {
        "the data's columns".to_owned()
    }

    fn values_of_proposal(&self, observed: usize) -> u64 {
        observed as u64
    }

    fn init(
        &self,
        shape: ImageShape,
        _: Option<&[f64]>,
        _: Key,
        device: &Device,
    ) -> Result<BoxedModel, ConfigError> {
        let units = BernoulliPriorConfig::new(shape.pixels()).with_bias(self.0.bias).init(device);
        Ok(BoxedModel::new(Factorial { units }))
    }

    fn smaller(&self, _: usize, _: usize) -> Table {
        Table::new()
    }

    fn in_words(&self, observed: usize) -> String {
        format!("factorial {observed}")
    }
}

const PAPER: Paper = Paper { cite: "Fisher 1922", link: "https://doi.org/10.1098/rsta.1922.0009" };

fn family() -> Family {
    let models = vec![ModelEntry {
        name: "factorial",
        help: "independent bits",
        paper: PAPER,
        latents: "no latents",
        without_latents: None,
        usual: "mle",
        keys: Independent::KEYS,
        once: |_, _| false,
        read: |_, table| Ok(Box::new(Spec(Independent::read("model", table)?))),
    }];
    let strategies =
        vec![StrategyEntry::of::<Likelihood>("mle", "maximum likelihood", PAPER, "a model without latents")];
    Family { name: "factorial", models, strategies, checks: || Vec::<DoctorCheck>::new() }
}

fn main() -> ExitCode {
    helmholtz_cli::main_with(helmholtz_zoo::registry().with(family()))
}
