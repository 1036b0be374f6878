//! Checks the parts of a checkpoint before Burn's learner loads them.
//!
//! Burn panics on an optimiser or scheduler file that it cannot read, and accepts a model file of any element type.
//! Here every part is compared with what the run would write: names, shapes, element types and values. No size that
//! a file states is trusted beyond the file's own length.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::optim::OptimizerRecord;
use burn::optim::lr_scheduler::LrSchedulerRecord;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::store::burn_pack::{Reader, Scalar};
use burn::store::{ModuleRecord, ModuleSnapshot};
use burn::tensor::{Bytes, DType};

use crate::earlier::{name_now, renamed};

/// Bytes before the metadata of a burnpack file: a magic number, a version, and the length of the metadata.
const HEADER: usize = 10;

/// Name, shape and element type of each parameter of a module.
pub type Layout = BTreeMap<String, (Vec<usize>, DType)>;

/// The layout of a module, by the paths of its parameters.
pub fn layout(module: &impl Module) -> Layout {
    let tensors = module.collect(None, None, false).into_iter();
    tensors.map(|tensor| (tensor.name, (tensor.shape.to_vec(), tensor.dtype))).collect()
}

/// The first difference between the tensors of a file and those of a model, if any.
///
/// `same_type` says whether an element type of the file is accepted for one of the model.
pub fn difference(
    found: &Layout,
    expected: &Layout,
    same_type: impl Fn(DType, DType) -> bool,
) -> Option<String> {
    let mut differences = expected.iter().filter_map(|(name, (shape, dtype))| match found.get(name) {
        None => Some(format!("the tensor {name} is missing")),
        Some((other, _)) if other != shape => {
            Some(format!("the tensor {name} has the shape {other:?}, but the model's has {shape:?}"))
        }
        Some((_, other)) if !same_type(*other, *dtype) => {
            Some(format!("the tensor {name} has values of type {other:?}, but the model's are {dtype:?}"))
        }
        Some(_) => None,
    });
    let first = differences.next();
    let surplus = || found.keys().find(|name| !expected.contains_key(*name));
    first.or_else(|| surplus().map(|name| format!("the tensor {name} is not one of the model's")))
}

struct Entry {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    id: Option<u64>,
    bytes: Bytes,
}

impl Entry {
    /// The first value for which `is_wrong`, in single or double precision.
    fn find(&self, is_wrong: impl Fn(f64) -> bool) -> Option<f64> {
        let values: &[u8] = &self.bytes;
        let (mut single, mut double) = (
            values.as_chunks::<4>().0.iter().map(|value| f64::from(f32::from_le_bytes(*value))),
            values.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value)),
        );
        match self.dtype {
            DType::F32 => single.find(|value| is_wrong(*value)),
            DType::F64 => double.find(|value| is_wrong(*value)),
            _ => None,
        }
    }
}

/// A file of a checkpoint whose container is sound.
struct Pack {
    bytes: Bytes,
    tensors: Vec<Entry>,
    scalars: BTreeMap<String, Scalar>,
    paths: BTreeMap<String, String>,
}

impl Pack {
    /// Reads a file, or says what is wrong with it.
    fn read(file: &Path) -> Result<Self, String> {
        let bytes = fs::read(file).map_err(|error| format!("cannot be read ({error})"))?;
        Pack::of_bytes(bytes)
    }

    fn of_bytes(bytes: Vec<u8>) -> Result<Self, String> {
        // The reader allocates memory for as much metadata as the header states.
        let stated = bytes.get(6..HEADER).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
        if stated.is_none_or(|length| length as usize > bytes.len() - HEADER) {
            return Err("is shorter than its header says".to_string());
        }
        // It does not matter here which stage's memory is taken from a file of an earlier version.
        let bytes = renamed(bytes, usize::MAX)?;
        let unreadable = |error: &dyn std::fmt::Display| format!("cannot be read ({error})");
        let reader = Reader::from_bytes(bytes.clone()).map_err(|error| unreadable(&error))?;
        let (scalars, paths) = (reader.scalars().clone(), reader.metadata().clone());
        let tensors = reader.into_tensors().map_err(|error| unreadable(&error))?.into_iter();
        let tensors = tensors.map(|tensor| {
            let (name, dtype, shape, id, bytes) = tensor.into_parts().map_err(|error| unreadable(&error))?;
            Ok(Entry { name, dtype, shape: shape.to_vec(), id, bytes })
        });
        Ok(Pack { bytes, tensors: tensors.collect::<Result<_, String>>()?, scalars, paths })
    }

    fn layout(&self) -> Layout {
        let entry = |entry: &Entry| (entry.name.clone(), (entry.shape.clone(), entry.dtype));
        self.tensors.iter().map(entry).collect()
    }
}

/// The record of a model file that fits the module.
///
/// # Errors
/// What is wrong with the file: it cannot be read, has other tensors than the module, or weights that are not finite.
pub fn model_record(file: &Path, module: &impl Module) -> Result<ModuleRecord, String> {
    record_of(&Pack::read(file)?, module)
}

fn record_of(pack: &Pack, module: &impl Module) -> Result<ModuleRecord, String> {
    if let Some(difference) = difference(&pack.layout(), &layout(module), |a, b| a == b) {
        return Err(format!("does not fit the model of the run: {difference}"));
    }
    for entry in &pack.tensors {
        // The memory of a strategy may hold infinities.
        if !["model.", "average."].iter().any(|part| entry.name.starts_with(part)) {
            continue;
        }
        if let Some(value) = entry.find(|value| !value.is_finite()) {
            return Err(format!("the tensor {} has the value {value}, which is not finite", entry.name));
        }
    }
    ModuleRecord::from_bytes(pack.bytes.clone()).map_err(|error| format!("cannot be read ({error})"))
}

/// Examines the parts of a checkpoint that a run would resume from: the files of model, optimiser and schedule.
///
/// # Errors
/// The file that is wrong, by its index among the three, and what is wrong with it.
pub fn examine_parts(
    files: [&Path; 3],
    module: &impl Module,
    optimiser: ModuleOptimizer,
    schedule: ModuleLrScheduler,
) -> Result<(), (usize, String)> {
    fit_together(|part| Pack::read(files[part]), module, optimiser, schedule)
}

/// The same for parts by their index.
fn fit_together(
    read: impl Fn(usize) -> Result<Pack, String>,
    module: &impl Module,
    optimiser: ModuleOptimizer,
    schedule: ModuleLrScheduler,
) -> Result<(), (usize, String)> {
    let model = read(0).map_err(|what| (0, what))?;
    record_of(&model, module).map_err(|what| (0, what))?;
    read(1).and_then(|pack| fits_optimiser(&pack, &model, optimiser)).map_err(|what| (1, what))?;
    read(2).and_then(|pack| fits_schedule(&pack, schedule)).map_err(|what| (2, what))
}

/// The parameter that a tensor or a number of an optimiser belongs to.
fn owner(name: &str) -> Option<u64> {
    name.split_once('.').and_then(|(id, _)| id.parse().ok())
}

fn fits_optimiser(pack: &Pack, model: &Pack, optimiser: ModuleOptimizer) -> Result<(), String> {
    let parameters: BTreeMap<u64, &Entry> =
        model.tensors.iter().filter_map(|entry| Some((entry.id?, entry))).collect();
    let of = |name: &str| {
        let parameter = owner(name).and_then(|id| parameters.get(&id));
        parameter.ok_or_else(|| format!("{name} belongs to no parameter of the model"))
    };
    for entry in &pack.tensors {
        let parameter = of(&entry.name)?;
        if entry.id != parameter.id || entry.shape != parameter.shape || entry.dtype != parameter.dtype {
            return Err(format!("the tensor {} does not fit the parameter {}", entry.name, parameter.name));
        }
        if let Some(value) = entry.find(f64::is_nan) {
            return Err(format!("the tensor {} has the value {value}", entry.name));
        }
    }
    for (name, value) in &pack.scalars {
        let parameter = of(name)?;
        let is_rank = name.ends_with(".__rank");
        if is_rank && usize::try_from(*value).ok() != Some(parameter.shape.len()) {
            return Err(format!("{name} is not the rank of the parameter {}", parameter.name));
        }
    }
    let now = |path: &str| name_now(path).map_or_else(|| path.to_owned(), |(name, _)| name);
    for (id, path) in &pack.paths {
        if id.parse().ok().and_then(|id: u64| parameters.get(&id)).is_none_or(|entry| entry.name != now(path))
        {
            return Err(format!("{path} is not the path of parameter {id}"));
        }
    }
    // Burn drops the state of a parameter if it is incomplete, and would begin it anew.
    let record = OptimizerRecord::from_bytes(pack.bytes.clone()).map_err(|error| error.to_string())?;
    let back = optimiser.load_record(record).to_record().into_bytes().map_err(|error| error.to_string())?;
    let back = Pack::of_bytes(back.to_vec())?;
    if back.layout() != pack.layout() || !back.scalars.keys().eq(pack.scalars.keys()) {
        return Err("the state of a parameter is incomplete".to_string());
    }
    Ok(())
}

fn fits_schedule(pack: &Pack, schedule: ModuleLrScheduler) -> Result<(), String> {
    let expected = schedule.to_record().into_bytes().map_err(|error| error.to_string())?;
    let expected = Pack::of_bytes(expected.to_vec())?;
    if !pack.scalars.keys().eq(expected.scalars.keys()) || !pack.tensors.is_empty() {
        return Err("does not have the numbers of the run's learning rates".to_string());
    }
    let record = LrSchedulerRecord::from_bytes(pack.bytes.clone()).map_err(|error| error.to_string())?;
    let back = schedule.load_record(record).to_record().into_bytes().map_err(|error| error.to_string())?;
    let back = Pack::of_bytes(back.to_vec())?;
    match pack.scalars.iter().find(|(name, value)| back.scalars.get(*name) != Some(value)) {
        Some((name, value)) => Err(format!("{name} is {value:?}, which is not a step")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::ModuleOptimizer;
    use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
    use burn::tensor::Device;
    use helmholtz_core::{Gradients, Key, visit_params};
    use helmholtz_directed::{HelmholtzMachine, StackConfig};

    use super::*;
    use crate::adam::Adam;
    use crate::schedule::{Rate, Schedule};

    /// As in a trainee: the paths of the model's parameters begin with `model`.
    #[derive(Module, Debug)]
    struct Holder {
        model: HelmholtzMachine,
    }

    fn schedule() -> ModuleLrScheduler {
        ModuleLrScheduler::new(Schedule::new(vec![(9, Rate::constant(0.1))]))
    }

    fn holder() -> Holder {
        Holder { model: StackConfig::new(3, vec![2]).init(None, Key::new(0), &Device::flex()).unwrap() }
    }

    /// The files of a checkpoint after one step.
    fn parts() -> [Vec<u8>; 3] {
        let mut holder = holder().train();
        let mut optimiser: ModuleOptimizer = Adam::new(0.9, 0.999, 1e-8).init();
        let mut schedule = schedule();
        let mut ones = Gradients::new();
        visit_params(&holder.valid(), |_, param| param.add_gradient(param.values().ones_like(), &mut ones));
        holder = optimiser.step(schedule.step(), holder, ones.into_params());
        [
            holder.into_record().into_bytes().unwrap().to_vec(),
            optimiser.to_record().into_bytes().unwrap().to_vec(),
            schedule.to_record().into_bytes().unwrap().to_vec(),
        ]
    }

    fn examine(parts: &[Vec<u8>; 3]) -> Result<(), (usize, String)> {
        let read = |part: usize| Pack::of_bytes(parts[part].clone());
        fit_together(read, &holder(), Adam::new(0.9, 0.999, 1e-8).init(), schedule())
    }

    #[test]
    fn sound_parts_are_accepted_and_no_changed_byte_of_any_part_panics() {
        let sound = parts();
        assert_eq!(examine(&sound), Ok(()));
        for part in 0..3 {
            let refused = |change: &dyn Fn(&mut Vec<u8>)| {
                let mut parts = sound.clone();
                change(&mut parts[part]);
                examine(&parts).is_err_and(|(at, _)| at == part || part == 0)
            };
            let length = sound[part].len();
            let cut = if part == 2 { length / 8 } else { length };
            for end in (0..cut).step_by(5) {
                assert!(refused(&|bytes| bytes.truncate(end)), "part {part} cut to {end}");
            }
            let stated = u32::from_le_bytes(sound[part][6..10].try_into().unwrap()) as usize;
            for at in 0..HEADER + stated {
                for mask in [0x01, 0x80, 0xff] {
                    // Some changes make another sound file, such as one of another step; none causes a panic.
                    refused(&|bytes| bytes[at] ^= mask);
                }
            }
            for at in [6, 8, 9] {
                assert!(refused(&|bytes| bytes[at] = 0xff), "part {part}: the length of its metadata");
            }
        }
    }

    #[test]
    fn an_optimiser_or_a_schedule_that_is_not_whole_is_refused_and_not_begun_anew() {
        let replaced = |part: usize, from: &str, to: &str| {
            let mut parts = parts();
            let bytes = &mut parts[part];
            let at = bytes.windows(from.len()).position(|here| here == from.as_bytes()).expect("it is there");
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            examine(&parts).unwrap_err()
        };
        for (part, from, to, words) in [
            (1, "moment_1", "moment_9", "is incomplete"),
            (1, "time", "tyme", "is incomplete"),
            (1, "F32", "I32", "does not fit the parameter"),
            (2, "step", "stop", "learning rates"),
            (2, "UInt", "Uint", "cannot be read"),
        ] {
            let (at, what) = replaced(part, from, to);
            assert!(at == part && what.contains(words), "{from} for {to}: {at}, {what}");
        }
    }

    #[test]
    fn weights_of_another_type_or_not_finite_are_named() {
        let sound = parts();
        let message = |model: Vec<u8>| {
            let (at, message) = examine(&[model, sound[1].clone(), sound[2].clone()]).unwrap_err();
            assert_eq!(at, 0);
            message
        };
        let mut other = sound[0].clone();
        let at = other.windows(3).position(|part| part == b"F32").unwrap();
        other[at] = b'I';
        assert!(message(other).contains("values of type I32"));
        for value in [f32::NAN, f32::NEG_INFINITY] {
            let mut other = sound[0].clone();
            let n = other.len();
            other[n - 4..].copy_from_slice(&value.to_le_bytes());
            assert!(message(other).contains("which is not finite"));
        }
    }
}
