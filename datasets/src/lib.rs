//! Data sets, each defined by a protocol and checked by a hash.
//!
//! An id names a *protocol*: the values, their order, and the splits that they are cut into. `load` returns
//! the three splits with the SHA-256 of the decoded values. It refuses values that differ from the protocol's, so
//! two results under one id were measured on the same data.
//!
//! | id | what it is | where it comes from |
//! | --- | --- | --- |
//! | `bars/5x5`, `bars/4x4` | unions of horizontal and vertical bars, exact distribution known | [`bars`] |
//! | `lines/3x3` | twelve patterns of lines, exact distribution known | [`lines`] |
//! | `bas/3x3`, `bas/4x4` and the same with `-unique` | bars and stripes, exact distribution known | [`stripes`] |
//! | `modes/4x4`, `modes/4x4-0.01`, `modes/4x4-0.1` | four images far apart with noise, exact distribution known | [`modes`] |
//! | `laplace/2d` | real numbers: two Laplace variables, rotated | [`laplace`] |
//! | `glyphs/28x28` | pen-drawn letters, digits and runes | [`glyphs`] |
//! | `mnist/binarized`, `/dynamic`, `/threshold` | handwritten digits in three binarizations | [`mnist`] |
//! | `fashion/dynamic`, `/threshold` | pictures of clothes | [`fashion`] |
//! | `caltech/silhouettes` | outlines of objects | [`caltech`] |
//! | `omniglot/28-derived` | characters of fifty alphabets | [`omniglot`] |
//! | `frey/faces` | grey frames of a video of a face | [`frey`] |
//! | `uci/adult` and seven more | the binary sets of the NADE paper | [`uci`] |
//! | `file:TRAIN[,VALID[,TEST]]` | a user's own files | [`mod@file`] |
//!
//! | module | contents |
//! | --- | --- |
//! | [`data_set`] | [`DataSet`], its protocol and its hash |
//! | [`split`], [`values`], [`shape`], [`targets`] | [`Split`]: rows of [`Values`] with a mask of missing values, the [`ImageShape`], labels and [`Targets`] |
//! | [`mod@split_name`] | [`SplitName`]: train, valid and test |
//! | [`feed`] | [`Feed`] and [`OrderedRows`]: Burn data loaders over a split on the device |
//! | [`law`] | [`Law`], the exact distribution of a generated set |
//! | [`mod@catalogue`] | [`catalogue()`] and [`load`] |
//! | [`mod@entry`] | [`Entry`]: what a protocol is, and how its values are checked |
//! | [`places`] | [`Places`] and [`data_dir`]: where files and parsed copies are |
//! | [`source_file`] | the files of a protocol and their mirrors |
//! | [`formats`] | the file readers |
//! | [`binarize`] | how intensities become bits |
//! | [`cache`] | parsed copies of large text files |
//! | [`facts`] | summary statistics of a loaded set |
//! | `fetch` (feature) | verified downloads |
//! | [`generate`] | rows drawn in parallel, each from its own key |
//! | [`mod@whole`] | atomic writes of files, and opening files without following links |
//! | [`error`] | [`DataError`]: what is wrong, where, and what to do next |
//!
//! ```
//! use burn::tensor::Device;
//!
//! let bars = helmholtz_datasets::load("bars/5x5", None)?;
//! assert_eq!((bars.train.rows(), bars.train.width()), (10_000, 25));
//!
//! let x = bars.train.tensor(&Device::flex()); // [10000, 25] in {0, 1}
//! assert_eq!(x.dims(), [10_000, 25]);
//!
//! let law = bars.law.as_ref().expect("bars have a distribution that can be enumerated");
//! println!("{}: no model has an expected NLL below {:.4} nats", bars.protocol(), law.entropy());
//! # Ok::<(), helmholtz_datasets::DataError>(())
//! ```

mod alphabet;
pub mod bars;
pub mod binarize;
pub mod cache;
pub mod caltech;
pub mod catalogue;
pub mod data_set;
pub mod entry;
pub mod error;
pub mod facts;
pub mod fashion;
pub mod feed;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod file;
pub mod formats;
pub mod frey;
pub mod generate;
pub mod glyphs;
pub mod laplace;
pub mod law;
pub mod lines;
pub mod mnist;
pub mod modes;
pub mod omniglot;
mod partition;
pub mod places;
mod reader;
mod selectors;
pub mod shape;
pub mod source_file;
pub mod split;
pub mod split_name;
pub mod stripes;
pub mod targets;
pub mod uci;
pub mod values;
pub mod whole;

pub use binarize::Binarization;
pub use cache::Cache;
pub use catalogue::{catalogue, entry, load, load_from};
pub use data_set::DataSet;
pub use entry::Entry;
pub use error::DataError;
pub use feed::{Feed, OrderedRows, Plan, Share};
pub use law::Law;
pub use places::{Places, data_dir};
pub use shape::ImageShape;
pub use source_file::{FoundFile, Mirror, Note, SourceFile};
pub use split::{Item, Split};
pub use split_name::SplitName;
pub use targets::Targets;
pub use values::{ValueKind, Values};
