//! Weight files: what `export` writes and `--weights` and `--init-from` read.

use std::path::Path;

use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::DType;
use helmholtz_core::{map_params, visit_params};
use helmholtz_train::{Layout, difference, layout};
use helmholtz_zoo::BoxedModel;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use toml::{Table, Value};

use crate::config::{Config, Overlay};
use crate::data_facts::DataFacts;
use crate::error::user;
use crate::output::Output;
use crate::tensors;

/// The metadata key of the config.
const CONFIG: &str = "helmholtz.config";
/// The metadata key of what the model needs to know of its data.
const FACTS: &str = "helmholtz.data_facts";

/// The tensor with the units of a row in the order in which an autoregressive layer visits them. It is no weight: the
/// config decides it, and other programs need not know how.
const ORDER: &str = "order";

/// What a weight file says about the data; `None` if an older version or another program wrote it.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn data_facts(file: &Path) -> anyhow::Result<Option<DataFacts>> {
    let wrong = |what: String| user(format!("{}: {what}", file.display()));
    let bytes = tensors::read(file).map_err(wrong)?;
    let (_, header) = SafeTensors::read_metadata(&bytes)
        .map_err(|error| wrong(format!("not a safetensors file ({error})")))?;
    let text = header.metadata().as_ref().and_then(|metadata| metadata.get(FACTS));
    let facts = text.map(|text| serde_json::from_str::<DataFacts>(text)).transpose();
    match facts.map_err(|error| {
        wrong(format!("its metadata {FACTS} cannot be read ({error}); export the weights again"))
    })? {
        Some(facts) if !facts.are_sound() => Err(wrong(format!(
            "the shape of a row in its metadata {FACTS} is impossible; export the weights again"
        ))),
        facts => Ok(facts),
    }
}

/// Writes the weights of a model to a safetensors file: whole or not at all, with a seal, and the same bytes each time.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_weights(
    model: &BoxedModel,
    data: &DataFacts,
    config: &Config,
    out: &Output,
) -> anyhow::Result<()> {
    let mut store = SafetensorsStore::from_bytes(None)
        .metadata("helmholtz.data", data.protocol.clone())
        .metadata("helmholtz.data_sha256", data.sha256.clone())
        .metadata(FACTS, serde_json::to_string(data)?)
        .metadata(CONFIG, config.to_toml());
    let failed = |error: &dyn std::fmt::Display| anyhow::anyhow!("{}: {error}", out.path().display());
    model.save_into(&mut store).map_err(|error| failed(&error))?;
    let bytes = store.get_bytes().map_err(|error| failed(&error))?;
    let metadata = SafeTensors::read_metadata(&bytes)?.1.metadata().clone().unwrap_or_default();
    let order: Option<Vec<u8>> =
        model.order().map(|units| units.into_iter().flat_map(|unit| (unit as i64).to_le_bytes()).collect());
    let mut all = SafeTensors::deserialize(&bytes)?.tensors();
    if let Some(order) = &order {
        all.push((ORDER.to_owned(), TensorView::new(Dtype::I64, vec![order.len() / 8], order)?));
    }
    let bytes = tensors::sealed(all, metadata)?;
    out.write(|file| file.write_all(&bytes))
}

/// The model of the config with the weights of a file.
///
/// # Errors
/// If the file cannot be read, holds the weights of another model, or values that are not finite.
pub(super) fn with_weights(
    mut fresh: BoxedModel,
    file: &Path,
    config: &Config,
) -> anyhow::Result<BoxedModel> {
    let shown = file.display();
    if !file.is_file() {
        return Err(user(format!("{shown}: no such file; `helmholtz export RUN F.safetensors` writes one")));
    }
    let advice = "the names and shapes are in docs/reference/weights.md";
    let wrong = |what: String| user(format!("{shown}: {what}"));
    let bytes = tensors::read(file).map_err(|what| wrong(format!("{what}; {advice}")))?;
    let (_, header) = SafeTensors::read_metadata(&bytes)
        .map_err(|error| wrong(format!("not a safetensors file ({error}); {advice}")))?;
    // Files of other programs and of earlier versions have no seal.
    let sealed = tensors::check_seal(&bytes).map_err(wrong)?;
    if !sealed && header.metadata().as_ref().is_some_and(|metadata| metadata.contains_key(FACTS)) {
        return Err(wrong("it has lost the hash over its bytes; export the weights again".to_owned()));
    }
    if let Some(text) = header.metadata().as_ref().and_then(|metadata| metadata.get(CONFIG)) {
        check_config(text, config).map_err(wrong)?;
    }
    let mut found = Layout::new();
    check_order(&bytes, &fresh).map_err(wrong)?;
    for (name, info) in header.tensors().into_iter().filter(|(name, _)| name != ORDER) {
        let dtype = tensors::dtype(info.dtype).ok_or_else(|| {
            wrong(format!(
                "the tensor {name} has values of type {:?}, which is not supported; {advice}",
                info.dtype
            ))
        })?;
        found.insert(name, (info.shape.clone(), dtype));
    }
    // Any float precision is accepted: the model computes in f32.
    let same = |a: DType, b: DType| a == b || (a.is_float() && b.is_float());
    if let Some(what) = difference(&found, &layout(&fresh), same) {
        return Err(wrong(format!("does not fit the model of the config: {what}; {advice}")));
    }
    let result = fresh
        .load_from(&mut SafetensorsStore::from_bytes(Some(bytes)))
        .map_err(|error| wrong(format!("does not fit the model of the config ({error}); {advice}")))?;
    if let Some(error) = result.errors.first() {
        return Err(wrong(format!("does not fit the model of the config ({error}); {advice}")));
    }
    // Burn keeps the element type of the file, so convert it.
    let model = map_params(fresh, |_, param| param.values().cast(DType::F32));
    match not_finite(&model) {
        Some((name, value)) => Err(wrong(format!(
            "the tensor {name} has the value {value}, which is not finite; export the weights of another epoch \
             (`helmholtz export RUN F.safetensors --epoch N`)"
        ))),
        None => Ok(model),
    }
}

/// Compares the order in a file, if it has one, with that of the model.
fn check_order(bytes: &[u8], model: &BoxedModel) -> Result<(), String> {
    let file =
        SafeTensors::deserialize(bytes).map_err(|error| format!("not a safetensors file ({error})"))?;
    let Ok(found) = file.tensor(ORDER) else { return Ok(()) };
    let (numbers, _) = found.data().as_chunks::<8>();
    let units: Vec<i64> = numbers.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
    let expected = model.order().map(|units| units.into_iter().map(|unit| unit as i64).collect::<Vec<_>>());
    if found.dtype() == Dtype::I64 && Some(&units) == expected.as_ref() {
        return Ok(());
    }
    Err(format!(
        "the tensor {ORDER} is not the order in which the model of the config visits its units (model.order, \
         model.order_seed); use the config that the weights were trained with"
    ))
}

/// Compares the model that the weights were trained as, if the file records it, with that of the config.
fn check_config(text: &str, config: &Config) -> Result<(), String> {
    let unreadable = |what: &dyn std::fmt::Display| {
        format!("its metadata {CONFIG} cannot be read ({what}); export the weights again")
    };
    let mut table: Table = text.parse().map_err(|error| unreadable(&error))?;
    // The rest of the config does not affect the weights, and may come from another version.
    table.retain(|key, _| key == "model");
    let theirs = Config::of_table(table, CONFIG, &Overlay::default()).map_err(|error| unreadable(&error))?;
    let differences = config.structure_differences(&theirs);
    // With another number of layers, the lists of their kinds differ anyway.
    let other_depth = differences.iter().any(|(key, ..)| key == "layers");
    let differences: Vec<String> = differences
        .into_iter()
        .filter(|(key, ..)| !(other_depth && ["p", "q"].contains(&key.as_str())))
        .map(|(key, here, there)| {
            let show = |value: Option<Value>| value.map_or("not set".to_string(), |value| value.to_string());
            format!("model.{key} is {} in the weight file and {} in the config", show(there), show(here))
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("{}; use the config that the weights were trained with", differences.join(", ")))
}

/// The first weight that is not finite, with the name of its tensor.
fn not_finite(model: &BoxedModel) -> Option<(String, f32)> {
    let mut found = None;
    visit_params(model, |path, param| {
        let values = param.values().into_data_as::<f32>().try_to_vec::<f32>().unwrap_or_default();
        let value = values.into_iter().find(|value| !value.is_finite());
        if let (None, Some(value)) = (&found, value) {
            found = Some((path.join("."), value));
        }
    });
    found
}
