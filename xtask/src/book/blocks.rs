//! The shell blocks of README.md and of the pages in docs/.
//!
//! A block that is fenced `sh` is run by a test; one that is fenced `sh,no-run` needs data, a device or minutes, and only
//! has to parse.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// A page with its blocks.
pub(crate) struct Page {
    /// Its path from the root of the workspace.
    pub(crate) file: String,
    /// Its shell blocks, in order.
    pub(crate) blocks: Vec<Block>,
}

/// A shell block.
pub(crate) struct Block {
    /// Whether a test runs it.
    pub(crate) is_run: bool,
    /// Its lines.
    pub(crate) text: String,
}

/// README.md and the pages of docs/.
///
/// # Errors
/// If one cannot be read.
pub(crate) fn pages(root: &Path) -> anyhow::Result<Vec<Page>> {
    let mut files = vec!["README.md".to_owned()];
    collect(root, "docs", &mut files)?;
    files.sort();
    let page = |file: String| {
        let text = fs::read_to_string(root.join(&file)).with_context(|| file.clone())?;
        Ok(Page { blocks: blocks(&text), file })
    };
    files.into_iter().map(page).collect()
}

fn collect(root: &Path, folder: &str, files: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(root.join(folder)).with_context(|| folder.to_owned())? {
        let entry = entry?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(root, &name, files)?;
        } else if name.ends_with(".md") {
            files.push(name);
        }
    }
    Ok(())
}

/// The shell blocks of a Markdown text.
pub(crate) fn blocks(markdown: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in markdown.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.trim(), String::new())),
            (Some(_), Some(_)) => {
                let (language, text) = open.take().expect("matched just now");
                let is_run = match language {
                    "sh" => true,
                    "sh,no-run" => false,
                    _ => continue,
                };
                found.push(Block { is_run, text });
            }
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

impl Block {
    /// The words of each command; what a shell would put in for a variable stays as it is written.
    pub(crate) fn commands(&self) -> Vec<Vec<String>> {
        let joined = self.text.replace("\\\n", " ");
        let lines = joined.lines().map(str::trim_start);
        let starts = |line: &&str| line.starts_with("helmholtz ") || line.starts_with("cargo xtask ");
        lines.filter(starts).map(words).collect()
    }
}

/// The words of a line, up to its comment or the operator that ends the command.
fn words(line: &str) -> Vec<String> {
    let (mut found, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (None, '#' | '|' | '&' | ';' | '>') if word.is_none() => break,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (None, c) if c.is_whitespace() => found.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_commands_are_found() {
        let text = "```sh\nhelmholtz train --layers '' \\\n  --out \"a b\"  # a comment\nls\n```\n\
                    ```rust\nhelmholtz no\n```\n```sh,no-run\ncargo xtask tidy && helmholtz x\n```\n";
        let found = blocks(text);
        assert_eq!(found.iter().map(|block| block.is_run).collect::<Vec<_>>(), [true, false]);
        assert_eq!(found[0].commands(), [["helmholtz", "train", "--layers", "", "--out", "a b"]]);
        assert_eq!(found[1].commands(), [["cargo", "xtask", "tidy"]]);
    }
}
