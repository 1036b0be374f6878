//! Names that tensors had in checkpoints of earlier versions.
//!
//! Earlier versions kept a strategy for each stage, under the name of its kind if it had parameters:
//! `strategy.strategies.0.Nvil.baselines.0.weight` is `strategy.baselines.0.weight` now. With several stages, each
//! began with an empty memory; now the memory of the stage in which the checkpoint was written goes on. So no
//! strategy may have a field with the name `strategies`.

use burn::store::burn_pack::{Reader, Tensor, Writer};
use burn::tensor::Bytes;

/// The path that led to the strategies of the stages.
const OF_STAGES: [&str; 2] = ["strategy", "strategies"];

/// The name that a tensor has now, and the stage that it belonged to; `None` for names that have not changed.
pub(crate) fn name_now(name: &str) -> Option<(String, usize)> {
    let mut parts = name.split('.');
    if OF_STAGES.iter().any(|part| parts.next() != Some(part)) {
        return None;
    }
    let stage = parts.next()?.parse().ok()?;
    let is_kind = |part: &&str| part.starts_with(|letter: char| letter.is_ascii_uppercase());
    let rest: Vec<&str> =
        parts.enumerate().filter(|(i, part)| *i > 0 || !is_kind(part)).map(|(_, part)| part).collect();
    Some((format!("{}.{}", OF_STAGES[0], rest.join(".")), stage))
}

/// Whether the metadata of a file have such a name. They follow a header of ten bytes that ends with their length.
fn has_earlier_names(bytes: &[u8]) -> bool {
    let length =
        bytes.get(6..10).and_then(|length| length.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
    let metadata = bytes.get(10..10usize.saturating_add(length)).unwrap_or_default();
    let prefix = format!("{}.", OF_STAGES.join("."));
    metadata.windows(prefix.len()).any(|part| part == prefix.as_bytes())
}

/// The bytes of a model file under the names that its tensors have now. With several stages, they are those of `stage`,
/// or of the last one before it.
///
/// # Errors
/// If it is not such a file.
pub(crate) fn renamed(bytes: Vec<u8>, stage: usize) -> Result<Bytes, String> {
    if !has_earlier_names(&bytes) {
        return Ok(Bytes::from_bytes_vec(bytes).shared());
    }
    let bytes = Bytes::from_bytes_vec(bytes).shared();
    let wrong = |error: &dyn std::fmt::Display| format!("cannot be read ({error})");
    let reader = Reader::from_bytes(bytes.clone()).map_err(|error| wrong(&error))?;
    let tensors = reader.into_tensors().map_err(|error| wrong(&error))?;
    let mut all = Vec::new();
    for tensor in tensors {
        all.push(tensor.into_parts().map_err(|error| wrong(&error))?);
    }
    let stages = all.iter().filter_map(|(name, ..)| name_now(name)).map(|(_, stage)| stage);
    let Some(stage) = stages.clone().filter(|of| *of <= stage).max().or(stages.min()) else {
        return Ok(bytes);
    };
    let kept = all.into_iter().filter_map(|(name, dtype, shape, id, bytes)| match name_now(&name) {
        None => Some(Tensor::new(name, dtype, shape, id, bytes)),
        Some((name, of)) => (of == stage).then(|| Tensor::new(name, dtype, shape, id, bytes)),
    });
    Writer::new(kept.collect()).into_bytes().map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_strategy_remembers_lost_the_names_of_its_stage_and_kind() {
        let now = |name: &str| name_now(name);
        let some = |name: &str, stage| Some((name.to_owned(), stage));
        assert_eq!(
            now("strategy.strategies.0.Nvil.baselines.0.weight"),
            some("strategy.baselines.0.weight", 0)
        );
        assert_eq!(now("strategy.strategies.12.Coupled.beta"), some("strategy.beta", 12));
        assert_eq!(now("strategy.strategies.0.beta"), some("strategy.beta", 0));
        for name in ["model.prior.bias", "strategy.beta", "average.weights", "strategy.strategies", ""] {
            assert_eq!(now(name), None, "{name}");
        }
    }
}
