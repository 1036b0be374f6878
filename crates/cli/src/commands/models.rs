//! `helmholtz models`.

use std::process::ExitCode;

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Key, Target, Trainable};
use helmholtz_datasets::ImageShape;
use helmholtz_zoo::{Family, ModelEntry, Paper, StrategyEntry};
use serde_json::{Value, json};
use toml::Table;

use crate::args::ModelsArgs;
use crate::console::say;
use crate::device;
use crate::error::{OrUser, known, user};
use crate::registry::registry;

/// Lists the families: models, the strategies that train each, and what each can do.
///
/// # Errors
/// If the requested model is unknown.
pub fn run(args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let names = registry().model_names();
    if let Some(kind) = args.kind.as_deref().filter(|kind| !names.contains(kind)) {
        return Err(user(format!("{kind}: unknown model; {}", known(kind, &names))));
    }
    let is_asked = |model: &&ModelEntry| args.kind.as_deref().is_none_or(|kind| kind == model.name);
    let mut families = Vec::new();
    for family in registry().families() {
        let models: Vec<&ModelEntry> = family.models.iter().filter(is_asked).collect();
        if models.is_empty() {
            continue;
        }
        let abilities =
            models.iter().map(|model| Abilities::of(model)).collect::<anyhow::Result<Vec<_>>>()?;
        if args.json {
            families.push(to_json(family, &models, &abilities));
        } else {
            print(family, &models, &abilities, args.kind.is_some());
        }
    }
    if args.json {
        say!("{}", json!({"families": families}));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the other commands can do with a model.
struct Abilities {
    evaluators: Vec<&'static str>,
    commands: Vec<&'static str>,
    /// The commands for its layers and recognition net, read as a bidirectional machine.
    of_machine: Vec<&'static str>,
    court: Option<&'static str>,
}

impl Abilities {
    /// Finds them by building a small model of the kind.
    fn of(model: &ModelEntry) -> anyhow::Result<Self> {
        let spec = (model.read)(model.name, Table::new()).or_user()?;
        let mut small = spec.smaller(1, 2);
        // With classes, a model can do all that it can do without, and also classify.
        if model.keys.iter().any(|key| key.name == "classes") {
            small.insert("classes".to_owned(), 2.into());
        }
        let small = (model.read)(model.name, small).or_user()?;
        let backend = device::built_with().into_iter().find(|name| *name != "remote");
        let backend = backend.ok_or_else(|| {
            user("this binary has no backend but `remote`; build it with another, such as `flex`")
        })?;
        let device = device::select(backend)?;
        let shape = ImageShape { height: 1, width: 2 };
        let model = small.init(shape, None, Key::new(0), &device).or_user()?;
        let x = Tensor::zeros([1, model.observed()], (&model.device(), model.dtype()));
        // A conditional model also needs the class of the row.
        let class = Target::Classes(Tensor::from_ints([0], &model.device()));
        let row = Batch::of(x).with_target(class);
        let proposes = model.latent_for("").is_ok();
        let formula = model.formula().is_some();
        let (sums, moves, encodes) =
            (model.summed().is_some(), model.smooth().is_some(), model.encode(&row).is_ok());
        let holds = model.chained().is_some_and(|chained| chained.observed_are_independent());
        let chains = model.chained().is_some();
        let energy = model.unnormalised().is_some();
        Ok(Abilities {
            evaluators: chosen(&[
                ("is", proposes),
                ("exact", sums || formula || energy),
                ("ais", moves || energy),
                ("raise", energy),
            ]),
            commands: chosen(&[
                ("sample", proposes || model.drawn().is_some()),
                ("encode", encodes),
                ("reconstruct", encodes && (proposes || energy)),
                ("filters", model.filters().is_ok()),
                ("classify", model.classified().is_some()),
                ("inpaint", energy),
            ]),
            of_machine: chosen(&[
                ("sample --sampler one-shot", chains),
                ("sample --sampler gibbs", chains),
                ("inpaint", holds),
            ]),
            court: match (sums, moves) {
                (true, _) => Some("enumeration, up to 14 bits"),
                (_, true) => Some("quadrature, up to two latents and smooth nets"),
                _ => energy.then_some("enumeration, up to 12 visible and 10 hidden units"),
            },
        })
    }
}

fn chosen(all: &[(&'static str, bool)]) -> Vec<&'static str> {
    all.iter().filter(|(_, can)| *can).map(|(name, _)| *name).collect()
}

fn keys_to_json(keys: &[helmholtz_zoo::ConfigKey], usual: &Table) -> Vec<Value> {
    let of = |key: &helmholtz_zoo::ConfigKey| json!({"name": key.name, "type": key.value, "help": key.help, "default": usual.get(key.name)});
    keys.iter().map(of).collect()
}

fn paper_to_json(paper: Paper) -> Value {
    json!({"cite": paper.cite, "link": paper.link})
}

fn to_json(family: &Family, models: &[&ModelEntry], abilities: &[Abilities]) -> Value {
    let of_model = |(model, can): (&&ModelEntry, &Abilities)| {
        let usual = (model.read)(model.name, Table::new()).map(|spec| spec.table()).unwrap_or_default();
        json!({
            "name": model.name, "help": model.help, "paper": paper_to_json(model.paper),
            "latents": model.latents, "usual_strategy": model.usual,
            "keys": keys_to_json(model.keys, &usual), "evaluators": can.evaluators, "commands": can.commands,
            "commands_as_bidirectional": can.of_machine, "court": can.court,
        })
    };
    let of_strategy = |strategy: &StrategyEntry| {
        let usual = (strategy.read)(strategy.name, Table::new()).map(|spec| spec.table()).unwrap_or_default();
        json!({
            "name": strategy.name, "help": strategy.help, "paper": paper_to_json(strategy.paper), "needs": strategy.needs,
            "keys": keys_to_json(strategy.keys, &usual),
        })
    };
    json!({
        "name": family.name,
        "models": models.iter().zip(abilities).map(of_model).collect::<Vec<_>>(),
        "strategies": family.strategies.iter().map(of_strategy).collect::<Vec<_>>(),
    })
}

fn print(family: &Family, models: &[&ModelEntry], abilities: &[Abilities], with_keys: bool) {
    say!("{}", family.name);
    for (model, can) in models.iter().zip(abilities) {
        let mut says = format!(
            "{} ({}); default strategy: {}; evaluate --method {}; commands: {}",
            model.help,
            model.paper.cite,
            model.usual,
            can.evaluators.join(", "),
            can.commands.join(", ")
        );
        if !can.of_machine.is_empty() {
            says += &format!("; as a bidirectional machine: {}", can.of_machine.join(", "));
        }
        says += &can.court.map_or(String::new(), |court| format!("; court: {court}"));
        entry(2, model.name, &says);
        if with_keys {
            let usual = (model.read)(model.name, Table::new()).map(|spec| spec.table()).unwrap_or_default();
            print_keys("model", model.keys, &usual);
        }
    }
    say!("  strategies");
    for strategy in &family.strategies {
        entry(4, strategy.name, &format!("{} ({})", strategy.help, strategy.paper.cite));
        if with_keys {
            let usual =
                (strategy.read)(strategy.name, Table::new()).map(|spec| spec.table()).unwrap_or_default();
            print_keys("strategy", strategy.keys, &usual);
        }
    }
}

fn print_keys(section: &str, keys: &[helmholtz_zoo::ConfigKey], usual: &Table) {
    for key in keys {
        let usual = usual.get(key.name).map_or(String::new(), |usual| format!(" (default {usual})"));
        entry(6, &format!("{section}.{}", key.name), &format!("{}{usual}", key.help));
    }
}

/// Prints a name and its description, in lines of 80 characters.
fn entry(indent: usize, name: &str, text: &str) {
    let column = if indent < 6 { 16 } else { 33 };
    let mut line = format!("{:indent$}{name:<width$}", "", width = column - indent - 1);
    let mut is_fresh = true;
    for word in text.split(' ') {
        if !is_fresh && line.chars().count() + 1 + word.chars().count() > 80 {
            say!("{line}");
            line = " ".repeat(column - 1);
        }
        line = format!("{line} {word}");
        is_fresh = false;
    }
    say!("{line}");
}
