//! Seals of the lines of `metrics.jsonl`.
//!
//! Each line ends with a key `chain`: the first sixteen hex digits of the SHA-256 of the `chain` of the line before,
//! followed by the line without its own `chain`. An edited digit, or a line that is missing, was added or was moved,
//! breaks the chain at that place. Missing last lines do not break it. Then a checkpoint has no record, which is
//! detected elsewhere.

use sha2::{Digest, Sha256};

/// The text between a line's own text and its seal, and after the seal.
const KEY: [&str; 2] = [",\"chain\":\"", "\"}"];
/// Hex digits of a seal.
const DIGITS: usize = 16;

/// The seal of the last line so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    last: String,
}

impl Chain {
    /// A line's object with its seal, which the next line's depends on.
    pub(crate) fn seal(&mut self, object: &str) -> String {
        self.last = self.next(object);
        let open = object.strip_suffix('}').expect("an object ends with a brace");
        format!("{open}{}{}{}", KEY[0], self.last, KEY[1])
    }

    /// A line's object without its seal. Lines of files that were written by earlier versions have no seal.
    ///
    /// # Errors
    /// If the line is not the one that was written after the last.
    pub(crate) fn open<'a>(&mut self, line: &'a str) -> Result<std::borrow::Cow<'a, str>, &'static str> {
        let Some((open, seal)) = line.strip_suffix(KEY[1]).and_then(|text| text.rsplit_once(KEY[0])) else {
            let is_old = self.last.is_empty();
            return if is_old {
                Ok(line.into())
            } else {
                Err("it has no seal, but the line before it has one")
            };
        };
        let object = format!("{open}}}");
        if seal != self.next(&object) {
            return Err("it was edited, or lines before it are missing or were added");
        }
        self.last = seal.to_owned();
        Ok(object.into())
    }

    fn next(&self, object: &str) -> String {
        let digest = Sha256::new().chain_update(&self.last).chain_update(object).finalize();
        digest.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(objects: &[&str]) -> Vec<String> {
        let mut chain = Chain::default();
        objects.iter().map(|object| chain.seal(object)).collect()
    }

    fn opened(lines: &[String]) -> Result<Vec<String>, &'static str> {
        let mut chain = Chain::default();
        lines.iter().map(|line| chain.open(line).map(String::from)).collect()
    }

    #[test]
    fn lines_come_back_as_they_were_and_any_change_is_found() {
        let objects = ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}", "{\"a\":4}"];
        let lines = sealed(&objects);
        assert_eq!(opened(&lines).unwrap(), objects);
        for at in 0..lines.len() {
            for byte in 0..lines[at].len() {
                let mut other = lines.clone();
                let mut bytes = other[at].clone().into_bytes();
                bytes[byte] = if bytes[byte] == b'7' { b'8' } else { b'7' };
                other[at] = String::from_utf8(bytes).unwrap();
                assert!(opened(&other).map_or(true, |found| found != objects), "line {at}, byte {byte}");
                // Only a first line may lose its seal without an error: the file looks like an old one up to there.
                assert!(opened(&other).is_err() || at == 0, "line {at}, byte {byte}");
            }
            let without: Vec<String> =
                lines.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, line)| line.clone()).collect();
            assert_eq!(opened(&without).is_ok(), at == lines.len() - 1, "without line {at}");
            let mut twice = lines.clone();
            twice.insert(at, lines[at].clone());
            assert!(opened(&twice).is_err(), "line {at} twice");
        }
        let mut swapped = lines.clone();
        swapped.swap(1, 2);
        assert!(opened(&swapped).is_err());
    }

    #[test]
    fn a_file_of_an_earlier_version_has_no_seals_and_opens() {
        let lines = ["{\"a\":1}", "{\"a\":2}"].map(String::from);
        assert_eq!(opened(&lines).unwrap(), lines);
        let mut mixed = sealed(&["{\"a\":1}"]);
        mixed.push(lines[1].clone());
        assert!(opened(&mixed).is_err());
    }
}
