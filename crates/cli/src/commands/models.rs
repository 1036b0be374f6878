//! `helmholtz models`.

use std::process::ExitCode;

use burn::tensor::Tensor;
use helmholtz_core::{Key, LatentVariableModel};
use helmholtz_datasets::ImageShape;
use helmholtz_zoo::{Family, ModelEntry, StrategyEntry};
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
/// If no model is of the kind that is asked for.
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

/// What the other commands can ask of a model.
struct Abilities {
    evaluators: Vec<&'static str>,
    samplers: Vec<&'static str>,
    commands: Vec<&'static str>,
    court: Option<&'static str>,
}

impl Abilities {
    /// Those of a small model of the kind.
    fn of(model: &ModelEntry) -> anyhow::Result<Self> {
        let spec = (model.read)(model.name, Table::new()).or_user()?;
        let small = (model.read)(model.name, spec.smaller(1, 2)).or_user()?;
        let device = device::select(device::built_with()[0])?;
        let shape = ImageShape { height: 1, width: 2 };
        let model = small.init(shape, None, Key::new(0), &device).or_user()?;
        let x = Tensor::zeros([1, model.observed()], (&model.device(), model.dtype()));
        let (sums, moves, chains) =
            (model.summed().is_some(), model.smooth().is_some(), model.chained().is_some());
        let encodes = model.encode(x).is_ok();
        Ok(Abilities {
            evaluators: chosen(&[("is", true), ("exact", sums), ("ais", moves)]),
            samplers: chosen(&[("ancestral", true), ("one-shot", chains), ("gibbs", chains)]),
            commands: chosen(&[("encode", encodes), ("reconstruct", encodes), ("inpaint", chains)]),
            court: if sums { Some("enumeration") } else { moves.then_some("quadrature") },
        })
    }
}

fn chosen(all: &[(&'static str, bool)]) -> Vec<&'static str> {
    all.iter().filter(|(_, can)| *can).map(|(name, _)| *name).collect()
}

fn keys_to_json(keys: &[helmholtz_zoo::ConfigKey], usual: &Table) -> Vec<Value> {
    let of = |key: &helmholtz_zoo::ConfigKey| json!({"name": key.name, "help": key.help, "default": usual.get(key.name)});
    keys.iter().map(of).collect()
}

fn to_json(family: &Family, models: &[&ModelEntry], abilities: &[Abilities]) -> Value {
    let of_model = |(model, can): (&&ModelEntry, &Abilities)| {
        let usual = (model.read)(model.name, Table::new()).map(|spec| spec.table()).unwrap_or_default();
        json!({
            "name": model.name, "help": model.help, "latents": model.latents, "usual_strategy": model.usual,
            "keys": keys_to_json(model.keys, &usual), "evaluators": can.evaluators, "samplers": can.samplers,
            "commands": can.commands, "court": can.court,
        })
    };
    let of_strategy = |strategy: &StrategyEntry| {
        let usual = (strategy.read)(strategy.name, Table::new()).map(|spec| spec.table()).unwrap_or_default();
        json!({
            "name": strategy.name, "help": strategy.help, "needs": strategy.needs,
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
        say!("  {:<10} {}", model.name, model.help);
        say!(
            "             evaluate by {}; sample by {}; {}",
            can.evaluators.join(", "),
            can.samplers.join(", "),
            can.commands.join(", ")
        );
        if with_keys {
            print_keys("model", model.keys);
        }
    }
    say!("  trained by");
    for strategy in &family.strategies {
        let usual = if models.iter().any(|model| model.usual == strategy.name) { " (usual)" } else { "" };
        say!("    {:<9} {}{usual}", strategy.name, strategy.help);
        if with_keys {
            print_keys("strategy", strategy.keys);
        }
    }
}

fn print_keys(section: &str, keys: &[helmholtz_zoo::ConfigKey]) {
    for key in keys {
        say!("      {:<26} {}", format!("{section}.{}", key.name), key.help);
    }
}
