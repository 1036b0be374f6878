//! A third-party program with its own model family, which it trains, resumes, evaluates, samples and lists.
//!
//! The family is one model and one strategy, written as in another crate. When `cargo test` runs this program, it
//! starts itself again as the command line and checks the output.

use std::path::Path;
use std::process::{Command, ExitCode};

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
    BoxedModel, BoxedStrategy, BuiltOn, Can, ConfigError, Family, ModelEntry, ModelSpec, Settings,
    StrategyEntry, StrategySettings, Summed,
};
use serde_json::Value;
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

fn family() -> Family {
    let models = vec![ModelEntry {
        name: "factorial",
        help: "independent bits",
        latents: "none",
        usual: "mle",
        keys: Independent::KEYS,
        once: |_, _| false,
        read: |_, table| Ok(Box::new(Spec(Independent::read("model", table)?))),
    }];
    let strategies =
        vec![StrategyEntry::of::<Likelihood>("mle", "maximum likelihood", "a model without latents")];
    Family { name: "factorial", models, strategies, checks: || Vec::<DoctorCheck>::new() }
}

fn main() -> ExitCode {
    if std::env::var_os("AS_PROGRAM").is_some() {
        return helmholtz_cli::main_with(helmholtz_zoo::registry().with(family()));
    }
    let folder = tempfile::tempdir().unwrap();
    look(folder.path());
    println!("own_family: trained, resumed, evaluated, sampled and listed");
    ExitCode::SUCCESS
}

/// Runs the program with a command line: whether it succeeds, its standard output, and its standard error.
fn program(folder: &Path, words: &str) -> (bool, String, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("AS_PROGRAM", "1").current_dir(folder).args(words.split(' '));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn json(folder: &Path, words: &str) -> Value {
    let (done, out, complaint) = program(folder, words);
    assert!(done, "{words}: {complaint}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words}: {error} in {out}"))
}

fn look(folder: &Path) {
    // Train, and resume to the bit.
    let train = "train --model factorial --dataset lines/3x3 --lr 0.1 --batch 1000 --json";
    let whole = json(folder, &format!("{train} --epochs 20 --out whole"));
    json(folder, &format!("{train} --epochs 10 --out parts"));
    let resumed = json(folder, "train --resume --out parts --epochs 20 --json");
    assert_eq!((&whole["test"], &whole["valid"]), (&resumed["test"], &resumed["valid"]));
    // Evaluate: the NLL of a factorial distribution cannot be below the sum of the entropies of its units.
    let found = json(folder, "evaluate whole --json");
    let means = helmholtz_datasets::load("lines/3x3", None).unwrap().test.mean();
    let entropy: f64 = means.iter().map(|p| -p * p.ln() - (1.0 - p) * (1.0 - p).ln()).sum();
    let nll = found["nll"].as_f64().unwrap();
    assert!((entropy..entropy + 0.01).contains(&nll), "{nll} for {entropy}");
    assert_eq!(found["method"], "exact", "without latents the likelihood is a closed form");
    // Compare with the exact gradient.
    let plan = "schema = 1\n[[court]]\nstrategies = [\"mle\"]\nsamples = [1]\nweights = [\"fresh\"]\nrows = 4\nestimates = 100\n\
                [court.config]\ndata = { id = \"lines/3x3\" }\nmodel = { kind = \"factorial\" }\n";
    std::fs::write(folder.join("court.toml"), plan).unwrap();
    let court = json(folder, "compare court.toml --out court --json");
    assert!(court["court"].as_array().unwrap().iter().all(|found| found["verdict"] != "wrong"), "{court}");
    // Sample.
    let (done, _, complaint) = program(folder, "sample whole --n 5 --out five.npy");
    assert!(done && folder.join("five.npy").is_file(), "{complaint}");
    // List it, separately from the built-in families.
    let listed = json(folder, "models --json");
    let names: Vec<&str> = listed["families"]
        .as_array()
        .unwrap()
        .iter()
        .map(|family| family["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["directed", "vae", "mixture", "factorial"]);
    for (words, complaint) in [
        ("train --model factorial --strategy rws", "rws needs latents"),
        ("train --strategy mle", "mle needs a model without latents"),
        ("train --model factorial --set model.layers=[3]", "model.layers belongs to sbn"),
        ("train --model factorail", "did you mean `factorial`?"),
        ("encode whole", "nothing to encode into"),
        ("inpaint whole", "has no latents"),
    ] {
        let (done, _, found) = program(folder, words);
        assert!(!done && found.contains(complaint), "{words}: {found}");
    }
}
