//! Parameters of a model as one vector, and the blocks that it falls into.

use std::ops::Range;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use helmholtz_core::Gradients;

/// One of the two nets of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    /// The generative one, θ.
    Theta,
    /// The recognition one, φ.
    Phi,
}

/// Some of the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// `theta` or `phi` for all of a net, else the layer's path.
    pub name: String,
    /// The net that it belongs to.
    pub net: Net,
    /// Where its parameters lie.
    pub ranges: Vec<Range<usize>>,
}

impl Block {
    /// Puts the block's part of a vector in place of what is in `part`.
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
    /// Parameters in all.
    pub len: usize,
}

impl Blocks {
    /// Those of a model; the recognition net is what lies below a field of that name.
    pub fn of<M: Module>(model: &M) -> Self {
        let mut layout = Layout { path: Vec::new(), blocks: Vec::new(), len: 0 };
        model.visit(&mut layout);
        let Layout { blocks: layers, len, .. } = layout;
        let whole = |net, name: &str| {
            let of_net = layers.iter().filter(|layer| layer.net == net);
            Block {
                name: name.to_owned(),
                net,
                ranges: of_net.flat_map(|layer| layer.ranges.clone()).collect(),
            }
        };
        let nets = [whole(Net::Theta, "theta"), whole(Net::Phi, "phi")];
        let nets = nets.into_iter().filter(|net| !net.ranges.is_empty());
        Blocks { blocks: nets.chain(layers.clone()).collect(), len }
    }

    /// Gradients as one vector, zero where there are none.
    pub fn flatten<M: Module>(&self, model: &M, gradients: &Gradients) -> Vec<f64> {
        let mut flatten = Flatten { gradients, values: Vec::with_capacity(self.len) };
        model.visit(&mut flatten);
        flatten.values
    }
}

struct Layout {
    path: Vec<String>,
    blocks: Vec<Block>,
    len: usize,
}

impl ModuleVisitor for Layout {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let range = self.len..self.len + param.shape().num_elements();
        self.len = range.end;
        let is_number = |part: &&String| part.bytes().all(|byte| byte.is_ascii_digit());
        let name = match (self.path.first(), self.path.get(1).filter(is_number)) {
            (Some(field), Some(layer)) => format!("{field}.{layer}"),
            (Some(field), None) => field.clone(),
            (None, _) => "parameters".to_owned(),
        };
        match self.blocks.iter_mut().find(|block| block.name == name) {
            Some(block) => block.ranges.push(range),
            None => {
                let net =
                    if self.path.iter().any(|part| part == "recognition") { Net::Phi } else { Net::Theta };
                self.blocks.push(Block { name, net, ranges: vec![range] });
            }
        }
    }
}

struct Flatten<'a> {
    gradients: &'a Gradients,
    values: Vec<f64>,
}

impl ModuleVisitor for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match self.gradients.get::<D>(param.id) {
            Some(gradient) => {
                let gradient = gradient.into_data().convert_dtype(DType::F64);
                self.values.extend_from_slice(gradient.as_slice().expect("converted to f64 just now"));
            }
            None => self.values.resize(self.values.len() + param.shape().num_elements(), 0.0),
        }
    }
}
