//! What training needs to know about a model.

use burn::tensor::{DType, Device};

use crate::Model;

/// What training needs from a model: the groups of its parameters, their type and their device.
pub trait Trainable: Model {
    /// The groups of its parameters; no parameter is below the fields of two groups.
    fn groups(&self) -> &'static [ParameterGroup];

    /// Number of observed units.
    fn observed(&self) -> usize;

    /// The floating-point type of the parameters.
    fn dtype(&self) -> DType;

    /// The device of the parameters, without autodiff.
    fn device(&self) -> Device;
}

/// Parameters that share a learning rate; the metrics report one gradient norm per group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterGroup {
    /// Its name, as in `lr_q` and `gradient_norm_q`.
    pub name: &'static str,
    /// The field that its parameters are below; if not set, the group holds all parameters that are below no other
    /// group's field.
    pub field: Option<&'static str>,
}

/// θ, the parameters of p.
pub const GENERATIVE: ParameterGroup = ParameterGroup { name: "p", field: None };
/// φ, the parameters of q.
pub const RECOGNITION: ParameterGroup = ParameterGroup { name: "q", field: Some("recognition") };

impl ParameterGroup {
    /// The group of the parameter at the end of a path of fields.
    pub fn of<'a>(groups: &'a [ParameterGroup], path: &[String]) -> Option<&'a ParameterGroup> {
        let below =
            |group: &&ParameterGroup| group.field.is_some_and(|field| path.iter().any(|name| name == field));
        groups.iter().find(below).or_else(|| groups.iter().find(|group| group.field.is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_in_the_group_of_the_field_above_it_or_in_that_of_the_rest() {
        let of = |path: &str| {
            let path: Vec<String> = path.split('.').map(String::from).collect();
            ParameterGroup::of(&[GENERATIVE, RECOGNITION], &path).map(|group| group.name)
        };
        assert_eq!(of("model.recognition.0.weight"), Some("q"));
        assert_eq!(of("model.generative.0.recognition_rate"), Some("p"));
        let path = ["model".to_owned()];
        assert_eq!(ParameterGroup::of(&[RECOGNITION], &path), None);
    }
}
