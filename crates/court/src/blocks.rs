//! Parameters of a model as one vector, and the blocks that it is divided into.

use std::ops::Range;

use burn::module::Module;
use helmholtz_core::{Gradients, ParameterGroup, RECOGNITION, Trainable, visit_params};

use crate::states::nats;

/// One of the two nets of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    /// The generative one, θ.
    Theta,
    /// The recognition one, φ.
    Phi,
}

/// The nets with the names of their blocks.
pub(crate) const NETS: [(Net, &str); 2] = [(Net::Theta, "theta"), (Net::Phi, "phi")];

/// Some of the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// `theta` or `phi` for a whole net, else the layer's path.
    pub name: String,
    /// The net that it belongs to.
    pub net: Net,
    /// Where its parameters lie.
    pub ranges: Vec<Range<usize>>,
}

impl Block {
    /// Replaces the contents of `part` by the block's part of `vector`.
    pub(crate) fn select(&self, vector: &[f64], part: &mut Vec<f64>) {
        part.clear();
        self.ranges.iter().for_each(|range| part.extend_from_slice(&vector[range.clone()]));
    }
}

/// The parameters of a model, in the order in which it is visited.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// The nets, and then their layers.
    pub blocks: Vec<Block>,
    /// Number of parameters.
    pub len: usize,
}

impl Blocks {
    /// The blocks of a model; its recognition net is the parameter group of that name.
    pub fn of<M: Trainable>(model: &M) -> Self {
        let (mut layers, mut len) = (Vec::<Block>::new(), 0);
        visit_params(model, |path, param| {
            let range = len..len + param.shape().num_elements();
            len = range.end;
            let is_number = |part: &&String| part.bytes().all(|byte| byte.is_ascii_digit());
            let name = match (path.first(), path.get(1).filter(is_number)) {
                (Some(field), Some(layer)) => format!("{field}.{layer}"),
                (Some(field), None) => field.clone(),
                (None, _) => "parameters".to_owned(),
            };
            match layers.iter_mut().find(|block| block.name == name) {
                Some(block) => block.ranges.push(range),
                None => {
                    let is_recognition = ParameterGroup::of(model.groups(), path) == Some(&RECOGNITION);
                    let net = if is_recognition { Net::Phi } else { Net::Theta };
                    layers.push(Block { name, net, ranges: vec![range] });
                }
            }
        });
        let whole = |net, name: &str| {
            let of_net = layers.iter().filter(|layer| layer.net == net);
            Block {
                name: name.to_owned(),
                net,
                ranges: of_net.flat_map(|layer| layer.ranges.clone()).collect(),
            }
        };
        let nets = NETS.map(|(net, name)| whole(net, name)).into_iter().filter(|net| !net.ranges.is_empty());
        Blocks { blocks: nets.chain(layers.clone()).collect(), len }
    }

    /// Gradients as one vector, with zeros for parameters without a gradient.
    pub fn flatten<M: Module>(&self, model: &M, gradients: &Gradients) -> Vec<f64> {
        let mut values = Vec::with_capacity(self.len);
        visit_params(model, |_, param| match param.gradient(gradients) {
            Some(gradient) => values.extend(nats(gradient)),
            None => values.resize(values.len() + param.shape().num_elements(), 0.0),
        });
        values
    }
}
