//! Burn modules, and closures that visit their parameters.
//!
//! Burn's visitors are generic over the rank of a tensor, and a closure cannot be. So the closure receives a parameter
//! whose values and gradient have a single axis. The values are contiguous, so this is a view of them; a transposed
//! gradient is copied.

use burn::module::{Module, ModuleDisplay, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Shape, Tensor};

use crate::Gradients;

/// A Burn module that can be a child of another module: the bound for a generic field.
pub trait Model: Module + ModuleDisplay + Sync + 'static {}

impl<M: Module + ModuleDisplay + Sync + 'static> Model for M {}

/// A floating-point parameter of any rank; its values and gradient are `[n]`, row after row.
pub trait AnyParam {
    /// Its shape.
    fn shape(&self) -> Shape;

    /// Its values.
    fn values(&self) -> Tensor<1>;

    /// Its gradient, if it has received one.
    fn gradient(&self, gradients: &Gradients) -> Option<Tensor<1>>;

    /// Adds `gradient` to what it has received so far.
    fn add_gradient(&self, gradient: Tensor<1>, into: &mut Gradients);
}

impl<const D: usize> AnyParam for Param<Tensor<D>> {
    fn shape(&self) -> Shape {
        self.lazy_shape()
    }

    fn values(&self) -> Tensor<1> {
        self.val().flatten(0, D - 1)
    }

    fn gradient(&self, gradients: &Gradients) -> Option<Tensor<1>> {
        gradients.get::<D>(self.id).map(|gradient| gradient.flatten(0, D - 1))
    }

    fn add_gradient(&self, gradient: Tensor<1>, into: &mut Gradients) {
        into.add(self, gradient.reshape(self.lazy_shape()));
    }
}

/// Calls `visit` with every floating-point parameter and the names of the fields that lead to it.
///
/// The order is that of the fields; it is the same in every visit and in [`map_params`].
pub fn visit_params<M: Module>(module: &M, visit: impl FnMut(&[String], &dyn AnyParam)) {
    module.visit(&mut Walk { path: Vec::new(), each: visit });
}

/// Adds to `into` the gradients that the parameters of `module` have received in `from`.
pub fn add_gradients<M: Module>(module: &M, from: &Gradients, into: &mut Gradients) {
    visit_params(module, |_, param| {
        if let Some(gradient) = param.gradient(from) {
            param.add_gradient(gradient, into);
        }
    });
}

/// The module with new values for every floating-point parameter: `map` returns them as `[n]`, and the shape is kept.
pub fn map_params<M: Module>(module: M, map: impl FnMut(&[String], &dyn AnyParam) -> Tensor<1>) -> M {
    module.map(&mut Walk { path: Vec::new(), each: map })
}

struct Walk<F> {
    path: Vec<String>,
    each: F,
}

impl<F: FnMut(&[String], &dyn AnyParam)> ModuleVisitor for Walk<F> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        (self.each)(&self.path, param);
    }
}

impl<F: FnMut(&[String], &dyn AnyParam) -> Tensor<1>> ModuleMapper for Walk<F> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let values = (self.each)(&self.path, &param);
        param.map(|tensor| values.reshape(tensor.shape()))
    }
}
