//! The zoo: models and strategies of every family, behind one interface.
//!
//! A family is one folder and one row of [`registry()`].
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`mod@registry`] | [`Registry`]: the families that a program knows, and how the names in a config are resolved |
//! | [`spec`] | [`Spec`]: the model and the strategy of a config, checked |
//! | [`mod@settings`] | [`settings!`](macro@settings) and [`words!`]: sections of a config file as structs |
//! | [`model`] | [`BoxedModel`]: a model of any family |
//! | [`can`] | [`Can`]: what a model can do that not every model can |
//! | [`evaluator`] | [`BoxedEvaluator`]: what scores such a model |
//! | [`training_rows`] | [`TrainingRows`]: what an evaluator may know of the training rows |
//! | [`strategy`] | [`BoxedStrategy`]: a strategy on such a model |
//! | [`mod@strategies`] | strategies for every model of latents |
//! | [`strategy_settings`] | [`StrategySettings`]: what a strategy's row of the registry is made of |
//! | `papers` | the papers that models and strategies are from |
//! | `taped` | the gradient of a likelihood in closed form, for the court |
//! | [`check`] | one computation on two devices: what the doctor compares |
//! | [`directed`] | stacks of layers of bits, read as directed or as bidirectional machines |
//! | [`vae`] | variational auto-encoders |
//! | [`mixture`] | mixtures of Bernoulli units |
//! | [`energy`] | restricted Boltzmann machines |
//! | [`conditional`] | restricted Boltzmann machines of rows given their classes |
//! | [`experts`] | products of experts over real numbers |
//! | [`error`], [`limits`] | error messages, and the largest sizes |

pub mod can;
pub mod check;
pub mod conditional;
pub mod directed;
pub mod energy;
pub mod error;
pub mod evaluator;
pub mod experts;
pub mod limits;
pub mod mixture;
pub mod model;
mod papers;
pub mod registry;
pub mod settings;
pub mod spec;
pub mod strategies;
pub mod strategy;
pub mod strategy_settings;
mod taped;
pub mod training_rows;
pub mod vae;

pub use can::{
    Base, Can, Chained, Classified, Connected, Drawn, Formula, Likelihood, Smooth, Summed, Unnormalised,
};
pub use error::ConfigError;
pub use evaluator::BoxedEvaluator;
pub use model::{BoxedModel, LatentModel};
pub use registry::{Family, ModelEntry, Paper, Registry, StrategyEntry};
pub use settings::{ConfigKey, Settings};
pub use spec::{BuiltOn, ModelSpec, Spec, StrategySpec, Support};
pub use strategy::{BoxedStrategy, Estimates};
pub use strategy_settings::StrategySettings;
pub use training_rows::TrainingRows;

/// The families of this workspace.
pub fn registry() -> Registry {
    Registry::new(vec![
        directed::family(),
        vae::family(),
        mixture::family(),
        energy::family(),
        conditional::family(),
        experts::family(),
    ])
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;

    fn resolved(model: &str, strategy: &str) -> Result<Spec, ConfigError> {
        registry().resolve(model.parse().unwrap(), strategy.parse().unwrap(), &[])
    }

    #[test]
    fn what_is_written_out_reads_back_as_itself_and_has_the_keys_that_are_listed() {
        let registry = registry();
        let mut refused = Vec::new();
        for family in registry.families() {
            for model in &family.models {
                for strategy in &family.strategies {
                    let kind = |name: &str| format!("kind = \"{name}\"");
                    let spec = match resolved(&kind(model.name), &kind(strategy.name)) {
                        Ok(spec) => spec,
                        // A strategy may need another setting of the model than its default, which it then names.
                        Err(error) => {
                            let error = error.to_string();
                            let start = format!("strategy.kind = \"{}\": ", strategy.name);
                            let names = |key: &ConfigKey| error.contains(&format!("model.{} = ", key.name));
                            assert!(error.starts_with(&start) && model.keys.iter().any(names), "{error}");
                            refused.push((model.name, strategy.name));
                            continue;
                        }
                    };
                    let [of_model, of_strategy] = spec.tables();
                    let again = registry.resolve(of_model.clone(), of_strategy.clone(), &[]).unwrap();
                    assert_eq!(again, spec);
                    let shape = helmholtz_datasets::ImageShape { height: 2, width: 3 };
                    let small = spec.model.smaller(1, 2);
                    let small = (model.read)(model.name, small).unwrap();
                    let (key, device) = (helmholtz_core::Key::new(0), burn::tensor::Device::flex());
                    let built = small.init(shape, None, key, &device).unwrap();
                    assert_eq!(helmholtz_core::Trainable::groups(&built), spec.model.groups());
                    let names = |keys: &[ConfigKey]| keys.iter().map(|key| key.name).collect::<Vec<_>>();
                    for (table, keys) in [(of_model, names(model.keys)), (of_strategy, names(strategy.keys))]
                    {
                        let written: Vec<_> = table.keys().filter(|key| *key != "kind").collect();
                        assert!(written.iter().all(|key| keys.contains(&key.as_str())), "{table}");
                    }
                    assert!(model.keys.iter().chain(strategy.keys).all(|key| key.help.len() > 10));
                }
            }
        }
        assert_eq!(refused, [("poe", "cd"), ("poe", "pcd")]);
    }

    #[test]
    fn a_model_without_a_strategy_is_trained_by_its_usual_one() {
        for (model, strategy) in [("", "rws"), ("kind = \"bihm\"", "bihm"), ("kind = \"vae\"", "elbo")] {
            assert_eq!(resolved(model, "").unwrap().strategy.kind(), strategy);
        }
        let spec = resolved("kind = \"nade\"\nlayers = []", "").unwrap();
        assert_eq!(spec.samples(), [1], "without latents there is nothing to propose");
    }

    #[test]
    fn keys_of_others_are_refused_unless_they_say_what_every_config_once_said() {
        let once = "samples = 1\nphi = \"wake\"\ncontrol_variate = false\ndefence = 0.0";
        let vae = "kind = \"vae\"\nweights = \"glorot\"\nbias = 0.0";
        let spec = resolved(vae, &format!("kind = \"elbo\"\n{once}")).unwrap();
        assert!(spec.tables().iter().all(|table| !table.contains_key("phi") && !table.contains_key("bias")));
        let message = |model: &str, strategy: &str| resolved(model, strategy).unwrap_err().to_string();
        assert!(resolved("", "kind = \"ws\"\nphi = \"both\"").is_ok(), "earlier versions ignored it");
        let of_phi = message("", "kind = \"vimco\"\nphi = \"sleep\"");
        assert!(of_phi.starts_with("strategy.phi belongs to rws, and the strategy is vimco"), "{of_phi}");
        let of_bias = message("kind = \"vae\"\nbias = -1.0", "");
        assert!(
            of_bias.starts_with("model.bias belongs to sbn and dsbn and darn and nade and bihm,"),
            "{of_bias}"
        );
        assert!(message("layer = [3]", "").contains("did you mean `layers`?"));
        assert!(
            message("", "samples = \"ten\"").starts_with("strategy.samples = \"ten\": give a whole number")
        );
        assert!(message("", "phi = \"wkae\"").contains("did you mean `wake`?"));
    }

    #[test]
    fn what_strategies_learn_has_the_paths_that_earlier_checkpoints_are_read_by() {
        let device = burn::tensor::Device::flex();
        for (model, strategy, path) in [
            ("kind = \"sbn\"\nlayers = [2]", "kind = \"nvil\"", "baselines."),
            ("kind = \"vae\"\nlayers = [2]", "kind = \"coupled\"", "beta"),
        ] {
            let spec = resolved(model, strategy).unwrap();
            let shape = helmholtz_datasets::ImageShape { height: 1, width: 3 };
            let model = spec.model.init(shape, None, helmholtz_core::Key::new(0), &device).unwrap();
            let built = spec.strategies(&model, 0).unwrap();
            let mut paths = Vec::new();
            helmholtz_core::visit_params(&built[0], |names, _| paths.push(names.join(".")));
            assert!(!paths.is_empty() && paths[0].starts_with(path), "{paths:?}");
        }
    }

    #[test]
    #[should_panic(expected = "two models have the same name")]
    fn two_models_have_two_names() {
        let _ = registry().with(vae::family());
    }

    #[test]
    fn stages_have_the_samples_of_the_one_before() {
        let stages = [None, Some(20), None];
        let spec = registry().resolve(Table::new(), Table::new(), &stages).unwrap();
        assert_eq!(spec.samples(), [10, 10, 20, 20]);
        let error = registry().resolve(Table::new(), Table::new(), &[Some(0)]).unwrap_err();
        assert!(error.to_string().contains("K >= 1"));
    }
}
