//! A Burn module whose type is erased.
//!
//! Burn's visitors are generic over the rank of a tensor, and a method of a trait object cannot be generic. Here a
//! parameter is passed as [`Any`] together with its rank, and is cast back to its type on the other side. A [`Boxed`]
//! module is therefore a module: its parameters have the same paths as those of the module inside, and a record of
//! either loads into the other.

use std::any::Any;
use std::fmt::{self, Debug, Formatter};
use std::ops::Deref;

use burn::module::{
    Content, Flag, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
};
use burn::tensor::{Bool, Device, Int, Tensor};

use crate::Model;

/// A module behind a pointer, seen as a `V`: a trait object for what else it can do.
///
/// ```
/// use std::any::Any;
///
/// use burn::module::{Module, Param};
/// use burn::tensor::{Device, Tensor};
/// use helmholtz_core::Model;
/// use helmholtz_core::erased::Boxed;
///
/// trait Curve {
///     fn degree(&self) -> usize;
/// }
///
/// #[derive(Module, Debug)]
/// struct Line {
///     slope: Param<Tensor<1>>,
/// }
///
/// impl Curve for Line {
///     fn degree(&self) -> usize {
///         1
///     }
/// }
///
/// fn boxed<M: Model + Curve>(curve: M) -> Boxed<dyn Curve> {
///     Boxed::new(curve, |module| module.downcast_ref::<M>().expect("the boxed module is an M"))
/// }
///
/// let slope = Param::from_tensor(Tensor::zeros([3], &Device::flex()));
/// let curve = boxed(Line { slope });
/// assert_eq!((curve.degree(), curve.num_params()), (1, 3));
/// ```
pub struct Boxed<V: ?Sized + 'static> {
    module: Box<dyn Erased>,
    view: fn(&dyn Any) -> &V,
}

impl<V: ?Sized> Boxed<V> {
    /// Boxes a module; `view` says how to see it, and always receives a module of type `M`.
    pub fn new<M: Model>(module: M, view: fn(&dyn Any) -> &V) -> Self {
        Boxed { module: Box::new(module), view }
    }

    /// The module, if it is an `M`.
    pub fn downcast_ref<M: Any>(&self) -> Option<&M> {
        self.module.as_any().downcast_ref()
    }

    fn with(self, change: impl FnOnce(Box<dyn Erased>) -> Box<dyn Erased>) -> Self {
        Boxed { module: change(self.module), view: self.view }
    }
}

impl<V: ?Sized> Deref for Boxed<V> {
    type Target = V;

    fn deref(&self) -> &V {
        (self.view)(self.module.as_any())
    }
}

impl<V: ?Sized> Clone for Boxed<V> {
    fn clone(&self) -> Self {
        Boxed { module: self.module.boxed(), view: self.view }
    }
}

impl<V: ?Sized> Debug for Boxed<V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.module.fmt(f)
    }
}

impl<V: ?Sized> Module for Boxed<V> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.module.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        self.with(|module| module.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.with(|module| module.to_device(device))
    }

    fn train(self) -> Self {
        self.with(|module| module.train())
    }

    fn valid(&self) -> Self {
        Boxed { module: self.module.valid(), view: self.view }
    }

    fn materialize(self) -> Self {
        self.with(|module| module.materialize())
    }

    fn visit<T: ModuleVisitor>(&self, visitor: &mut T) {
        self.module.visit(&mut Inner(visitor));
    }

    fn map<T: ModuleMapper>(self, mapper: &mut T) -> Self {
        self.with(|module| module.map(&mut Inner(mapper)))
    }
}

impl<V: ?Sized> ModuleDisplayDefault for Boxed<V> {
    fn content(&self, content: Content) -> Option<Content> {
        Some(content)
    }
}

impl<V: ?Sized> ModuleDisplay for Boxed<V> {}

/// Burn's [`Module`] without generics and without `Self`.
trait Erased: Debug + Send + Sync {
    fn boxed(&self) -> Box<dyn Erased>;
    fn as_any(&self) -> &dyn Any;
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device>;
    fn fork(self: Box<Self>, device: &Device) -> Box<dyn Erased>;
    fn to_device(self: Box<Self>, device: &Device) -> Box<dyn Erased>;
    fn train(self: Box<Self>) -> Box<dyn Erased>;
    fn valid(&self) -> Box<dyn Erased>;
    fn materialize(self: Box<Self>) -> Box<dyn Erased>;
    fn visit(&self, visitor: &mut dyn Visit);
    fn map(self: Box<Self>, mapper: &mut dyn Map) -> Box<dyn Erased>;
}

impl<M: Model> Erased for M {
    fn boxed(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        Module::collect_devices(self, devices)
    }

    fn fork(self: Box<Self>, device: &Device) -> Box<dyn Erased> {
        Box::new(Module::fork(*self, device))
    }

    fn to_device(self: Box<Self>, device: &Device) -> Box<dyn Erased> {
        Box::new(Module::to_device(*self, device))
    }

    fn train(self: Box<Self>) -> Box<dyn Erased> {
        Box::new(Module::train(*self))
    }

    fn valid(&self) -> Box<dyn Erased> {
        Box::new(Module::valid(self))
    }

    fn materialize(self: Box<Self>) -> Box<dyn Erased> {
        Box::new(Module::materialize(*self))
    }

    fn visit(&self, visitor: &mut dyn Visit) {
        Module::visit(self, &mut Outer(visitor));
    }

    fn map(self: Box<Self>, mapper: &mut dyn Map) -> Box<dyn Erased> {
        Box::new(Module::map(*self, &mut Outer(mapper)))
    }
}

/// A visitor without generics.
trait Visit {
    /// A floating-point parameter: a `Param<Tensor<D>>` with D = `rank`.
    fn float(&mut self, rank: usize, param: &dyn Any);
    /// An integer parameter: a `Param<Tensor<D, Int>>`.
    fn int(&mut self, rank: usize, param: &dyn Any);
    /// A Boolean parameter: a `Param<Tensor<D, Bool>>`.
    fn bool(&mut self, rank: usize, param: &dyn Any);
    /// A flag.
    fn flag(&mut self, flag: &Param<Flag>);
    /// Called before the parameters of a field.
    fn enter(&mut self, name: &str, container: &str);
    /// Called after the parameters of a field.
    fn exit(&mut self, name: &str, container: &str);
}

/// A mapper without generics. Parameters are passed as in [`Visit`]; each result has the type of its argument.
trait Map {
    /// A floating-point parameter.
    fn float(&mut self, rank: usize, param: Box<dyn Any>) -> Box<dyn Any>;
    /// An integer parameter.
    fn int(&mut self, rank: usize, param: Box<dyn Any>) -> Box<dyn Any>;
    /// A Boolean parameter.
    fn bool(&mut self, rank: usize, param: Box<dyn Any>) -> Box<dyn Any>;
    /// A flag.
    fn flag(&mut self, flag: Param<Flag>) -> Param<Flag>;
    /// Called before the parameters of a field.
    fn enter(&mut self, name: &str, container: &str);
    /// Called after the parameters of a field.
    fn exit(&mut self, name: &str, container: &str);
}

/// Wraps a visitor or mapper of Burn as one without generics.
struct Inner<'a, T>(&'a mut T);

/// Wraps a visitor or mapper without generics as one of Burn.
struct Outer<'a, T: ?Sized>(&'a mut T);

const KNOWN: &str = "a parameter is passed with its own rank and element type";

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
            rank => unreachable!("a parameter has rank {rank}; ranks 1 to 8 are supported"),
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

impl<V: ModuleVisitor> Visit for Inner<'_, V> {
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

impl<M: ModuleMapper> Map for Inner<'_, M> {
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

/// Implements Burn's module for a struct by forwarding to one of its fields: parameters keep the paths they have there.
///
/// The other fields are not part of the module; they are moved or cloned unchanged.
#[macro_export]
macro_rules! module_of_field {
    ($name:ty, $field:ident $(, $($generics:tt)+)?) => {
        impl $(<$($generics)+>)? ::burn::module::Module for $name {
            fn collect_devices(&self, devices: ::burn::module::Devices) -> ::burn::module::Devices {
                ::burn::module::Module::collect_devices(&self.$field, devices)
            }

            fn fork(mut self, device: &::burn::tensor::Device) -> Self {
                self.$field = ::burn::module::Module::fork(self.$field, device);
                self
            }

            fn to_device(mut self, device: &::burn::tensor::Device) -> Self {
                self.$field = ::burn::module::Module::to_device(self.$field, device);
                self
            }

            fn train(mut self) -> Self {
                self.$field = ::burn::module::Module::train(self.$field);
                self
            }

            fn valid(&self) -> Self {
                let mut valid = self.clone();
                valid.$field = ::burn::module::Module::valid(&self.$field);
                valid
            }

            fn materialize(mut self) -> Self {
                self.$field = ::burn::module::Module::materialize(self.$field);
                self
            }

            fn visit<V: ::burn::module::ModuleVisitor>(&self, visitor: &mut V) {
                ::burn::module::Module::visit(&self.$field, visitor);
            }

            fn map<M: ::burn::module::ModuleMapper>(mut self, mapper: &mut M) -> Self {
                self.$field = ::burn::module::Module::map(self.$field, mapper);
                self
            }
        }

        impl $(<$($generics)+>)? ::burn::module::ModuleDisplayDefault for $name {
            fn content(&self, content: ::burn::module::Content) -> Option<::burn::module::Content> {
                Some(content)
            }
        }

        impl $(<$($generics)+>)? ::burn::module::ModuleDisplay for $name {}

        impl $(<$($generics)+>)? ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&::burn::module::ModuleDisplay::format(self, Default::default()))
            }
        }
    };
}
