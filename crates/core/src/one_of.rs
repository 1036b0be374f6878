//! Enums of modules.

/// An enum of modules that behaves as the module it holds.
///
/// Burn's derive puts the variant's name into the path of every parameter. Here the paths are those of the module
/// inside, so weight files and checkpoints do not depend on which other variants a program can build.
///
/// ```
/// use burn::module::{Module, Param};
/// use burn::tensor::Tensor;
///
/// #[derive(Module, Debug)]
/// pub struct Line {
///     slope: Param<Tensor<1>>,
/// }
///
/// helmholtz_core::one_of! {
///     /// Any curve.
///     Curve {
///         /// A straight line.
///         Line(Line),
///     }
/// }
///
/// // The parameter's path is `slope`, not `Line.slope`.
/// fn size(curve: &Curve) -> usize {
///     curve.num_params()
/// }
/// ```
#[macro_export]
macro_rules! one_of {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident($inner:ty),)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub enum $name {
            $($(#[$variant_doc])* $variant($inner),)+
        }

        impl ::burn::module::Module for $name {
            fn collect_devices(&self, devices: ::burn::module::Devices) -> ::burn::module::Devices {
                match self { $($name::$variant(one) => ::burn::module::Module::collect_devices(one, devices),)+ }
            }

            fn fork(self, device: &::burn::tensor::Device) -> Self {
                match self {
                    $($name::$variant(one) => $name::$variant(::burn::module::Module::fork(one, device)),)+
                }
            }

            fn to_device(self, device: &::burn::tensor::Device) -> Self {
                match self {
                    $($name::$variant(one) => $name::$variant(::burn::module::Module::to_device(one, device)),)+
                }
            }

            fn train(self) -> Self {
                match self { $($name::$variant(one) => $name::$variant(::burn::module::Module::train(one)),)+ }
            }

            fn valid(&self) -> Self {
                match self { $($name::$variant(one) => $name::$variant(::burn::module::Module::valid(one)),)+ }
            }

            fn materialize(self) -> Self {
                match self {
                    $($name::$variant(one) => $name::$variant(::burn::module::Module::materialize(one)),)+
                }
            }

            fn visit<Visitor: ::burn::module::ModuleVisitor>(&self, visitor: &mut Visitor) {
                match self { $($name::$variant(one) => ::burn::module::Module::visit(one, visitor),)+ }
            }

            fn map<Mapper: ::burn::module::ModuleMapper>(self, mapper: &mut Mapper) -> Self {
                match self {
                    $($name::$variant(one) => $name::$variant(::burn::module::Module::map(one, mapper)),)+
                }
            }
        }

        impl ::burn::module::ModuleDisplayDefault for $name {
            fn content(&self, content: ::burn::module::Content) -> Option<::burn::module::Content> {
                match self {
                    $($name::$variant(one) => ::burn::module::ModuleDisplayDefault::content(one, content),)+
                }
            }

            fn num_params(&self) -> usize {
                ::burn::module::Module::num_params(self)
            }
        }

        impl ::burn::module::ModuleDisplay for $name {}
    };
}
