//! Errors of a config, each as a sentence.

use std::borrow::Cow;

use thiserror::Error;

/// Invalid settings of a model or a strategy, or a request that a model cannot meet.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl ConfigError {
    /// An error from a sentence.
    pub fn new(sentence: impl std::fmt::Display) -> Self {
        ConfigError(sentence.to_string())
    }
}

/// A value from outside, short enough to be quoted in a sentence: its first 80 characters, and how long it is if it
/// is longer.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    shortened(text, 80)
}

/// The first `most` characters of a text, and how long it is if it is longer.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}... ({} bytes)", &text[..end], text.len())),
    }
}

/// The end of a message about an unknown name: the known names, and the nearest of them to `name`.
pub fn known(name: &str, names: &[&str]) -> String {
    // The distance to a name takes time and memory in proportion to the product of the lengths.
    let near = Some(name).filter(|name| name.len() <= 100);
    let nearest = names
        .iter()
        .filter_map(|known| Some((strsim::damerau_levenshtein(&near?.to_lowercase(), known), known)))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3)
        .min();
    let hint = nearest.map(|(_, known)| format!("; did you mean `{known}`?")).unwrap_or_default();
    format!("known: {}{hint}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_short() {
        assert_eq!(excerpt("short"), "short");
        let long = "ä".repeat(1000);
        assert_eq!(excerpt(&long), format!("{}... (2000 bytes)", "ä".repeat(80)));
        assert!(known(&"x".repeat(50_000_000), &["ws", "rws"]).len() < 100);
    }

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        assert!(known("rsw", &["ws", "rws"]).ends_with("did you mean `rws`?"));
        assert_eq!(known("transformer", &["ws", "rws"]), "known: ws, rws");
    }
}
