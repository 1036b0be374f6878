//! Visitors and mappers of a module whose type is not known.
//!
//! Burn's are generic over the rank of a tensor, which no method of a trait object can be. Here a parameter travels as
//! [`Any`] beside its rank, and has its type again on the other side: [`visit`] and [`map`] on the side that knows the
//! module, [`Visiting`] and [`Mapping`] on the side that knows the visitor.

use std::any::Any;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};

/// A visitor without generics.
pub trait Visit {
    /// A parameter of floating-point numbers: a `Param<Tensor<D>>`, D being `rank`.
    fn float(&mut self, rank: usize, param: &dyn Any);
    /// A parameter of integers: a `Param<Tensor<D, Int>>`.
    fn int(&mut self, rank: usize, param: &dyn Any);
    /// A parameter of truth values: a `Param<Tensor<D, Bool>>`.
    fn bool(&mut self, rank: usize, param: &dyn Any);
    /// A flag.
    fn flag(&mut self, flag: &Param<Flag>);
    /// Before the parameters of a field.
    fn enter(&mut self, name: &str, container: &str);
    /// After them.
    fn exit(&mut self, name: &str, container: &str);
}

/// A mapper without generics; parameters are as in [`Visit`], those that come out of the type of those that went in.
pub trait Map {
    /// A parameter of floating-point numbers.
    fn float(&mut self, rank: usize, param: Box<dyn Any>) -> Box<dyn Any>;
    /// A parameter of integers.
    fn int(&mut self, rank: usize, param: Box<dyn Any>) -> Box<dyn Any>;
    /// A parameter of truth values.
    fn bool(&mut self, rank: usize, param: Box<dyn Any>) -> Box<dyn Any>;
    /// A flag.
    fn flag(&mut self, flag: Param<Flag>) -> Param<Flag>;
    /// Before the parameters of a field.
    fn enter(&mut self, name: &str, container: &str);
    /// After them.
    fn exit(&mut self, name: &str, container: &str);
}

/// Leads a visitor without generics through a module.
pub fn visit<M: Module>(module: &M, visitor: &mut dyn Visit) {
    module.visit(&mut Outer(visitor));
}

/// Leads a mapper without generics through a module.
pub fn map<M: Module>(module: M, mapper: &mut dyn Map) -> M {
    module.map(&mut Outer(mapper))
}

/// A visitor of Burn's as one without generics.
pub struct Visiting<'a, V>(pub &'a mut V);

/// A mapper of Burn's as one without generics.
pub struct Mapping<'a, M>(pub &'a mut M);

struct Outer<'a, T: ?Sized>(&'a mut T);

const KNOWN: &str = "a parameter has the type that it is passed on with";

fn back<T: 'static>(param: Box<dyn Any>) -> T {
    *param.downcast().expect(KNOWN)
}

/// `$body` with the rank as a constant.
macro_rules! of_rank {
    ($rank:expr, $d:ident => $body:expr) => {
        of_rank!($rank, $d => $body, 1 2 3 4 5 6 7 8)
    };
    ($rank:expr, $d:ident => $body:expr, $($n:literal)+) => {
        match $rank {
            $($n => {
                const $d: usize = $n;
                $body
            })+
            rank => unreachable!("a parameter of {rank} axes"),
        }
    };
}

impl ModuleVisitor for Outer<'_, dyn Visit + '_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.float(D, param);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.0.int(D, param);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.0.bool(D, param);
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.flag(flag);
    }

    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }

    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }
}

impl<V: ModuleVisitor> Visit for Visiting<'_, V> {
    fn float(&mut self, rank: usize, param: &dyn Any) {
        of_rank!(rank, D => self.0.visit_float::<D>(param.downcast_ref().expect(KNOWN)));
    }

    fn int(&mut self, rank: usize, param: &dyn Any) {
        of_rank!(rank, D => self.0.visit_int::<D>(param.downcast_ref().expect(KNOWN)));
    }

    fn bool(&mut self, rank: usize, param: &dyn Any) {
        of_rank!(rank, D => self.0.visit_bool::<D>(param.downcast_ref().expect(KNOWN)));
    }

    fn flag(&mut self, flag: &Param<Flag>) {
        self.0.visit_flag(flag);
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.0.enter_module(name, container);
    }

    fn exit(&mut self, name: &str, container: &str) {
        self.0.exit_module(name, container);
    }
}

impl ModuleMapper for Outer<'_, dyn Map + '_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        back(self.0.float(D, Box::new(param)))
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        back(self.0.int(D, Box::new(param)))
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        back(self.0.bool(D, Box::new(param)))
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.0.flag(flag)
    }

    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }

    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }
}

impl<M: ModuleMapper> Map for Mapping<'_, M> {
    fn float(&mut self, rank: usize, param: Box<dyn Any>) -> Box<dyn Any> {
        of_rank!(rank, D => Box::new(self.0.map_float::<D>(back(param))))
    }

    fn int(&mut self, rank: usize, param: Box<dyn Any>) -> Box<dyn Any> {
        of_rank!(rank, D => Box::new(self.0.map_int::<D>(back(param))))
    }

    fn bool(&mut self, rank: usize, param: Box<dyn Any>) -> Box<dyn Any> {
        of_rank!(rank, D => Box::new(self.0.map_bool::<D>(back(param))))
    }

    fn flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        self.0.map_flag(flag)
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.0.enter_module(name, container);
    }

    fn exit(&mut self, name: &str, container: &str) {
        self.0.exit_module(name, container);
    }
}
