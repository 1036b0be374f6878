//! `cargo xtask book`.

#[cfg(test)]
mod blocks;
mod cell;
mod commands;
mod keys;
mod zoo;

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;

use crate::exit::progress;
use crate::output::write;
use crate::reproduce;
use crate::workspace;

/// Write the generated pages: the reference of commands and of config keys in docs/, the pages of results/, and the
/// tables of models, strategies and reproduced rows in README.md.
///
/// A test fails if one of them is out of date.
#[derive(Args)]
pub(crate) struct Book {
    /// Change nothing; list the pages that are out of date, and exit with 1 if there are any.
    #[arg(long)]
    check: bool,
}

impl Book {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let root = workspace::root();
        let stale = stale(&root)?;
        if !self.check {
            return stale.iter().try_for_each(|(file, text)| {
                progress(&format!("writing {file}"));
                write(&root.join(file), text)
            });
        }
        stale.iter().for_each(|(file, _)| progress(&format!("{file}: out of date")));
        if stale.is_empty() { Ok(()) } else { bail!("run `cargo xtask book`") }
    }
}

/// The pages that differ from what they should be, with the text that they should have.
fn stale(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let (mut pages, rows) = reproduce::generated(root)?;
    pages.push(("docs/reference/commands.md".to_owned(), commands::page()));
    pages.push(("docs/reference/config.md".to_owned(), keys::page(root)?));
    let readme = fs::read_to_string(root.join("README.md")).context("README.md")?;
    let readme = between("zoo", &zoo::table(), readme)?;
    pages.push(("README.md".to_owned(), between("rows", &rows, readme)?));
    pages.retain(|(file, text)| fs::read_to_string(root.join(file)).ok().as_ref() != Some(text));
    Ok(pages)
}

/// The page with `text` between the comments that mark the beginning and the end of `part`.
fn between(part: &str, text: &str, page: String) -> anyhow::Result<String> {
    let [begin, end] = ["begin", "end"].map(|which| format!("<!-- {part}:{which} -->\n"));
    let missing = |mark: &str| format!("README.md: the line `{}` is missing", mark.trim_end());
    let (before, rest) = page.split_once(&begin).with_context(|| missing(&begin))?;
    let (_, after) = rest.split_once(&end).with_context(|| missing(&end))?;
    Ok(format!("{before}{begin}{text}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::Cli;

    #[test]
    fn generated_pages_are_up_to_date() {
        let stale = stale(&workspace::root()).unwrap();
        let files: Vec<&str> = stale.iter().map(|(file, _)| file.as_str()).collect();
        assert!(files.is_empty(), "run `cargo xtask book`: {}", files.join(", "));
    }

    #[test]
    fn a_part_of_a_page_is_replaced_between_its_marks() {
        let page = "a\n<!-- t:begin -->\nold\n<!-- t:end -->\nb\n".to_owned();
        let found = between("t", "new\n", page.clone()).unwrap();
        assert_eq!(found, "a\n<!-- t:begin -->\nnew\n<!-- t:end -->\nb\n");
        assert!(between("u", "", page).unwrap_err().to_string().contains("`<!-- u:begin -->` is missing"));
    }

    #[test]
    fn pages_with_rust_are_compiled_by_the_documentation_tests() {
        let root = workspace::root();
        let tested = fs::read_to_string(root.join("crates/helmholtz/src/lib.rs")).unwrap();
        for page in blocks::pages(&root).unwrap() {
            let text = fs::read_to_string(root.join(&page.file)).unwrap();
            let has_rust = text.lines().any(|line| line.starts_with("```rust"));
            let is_tested = tested.contains(&format!("../../../{}\"", page.file));
            assert_eq!(
                has_rust, is_tested,
                "{}: crates/helmholtz/src/lib.rs has a line for pages with Rust",
                page.file
            );
        }
    }

    /// The commands of every page parse: flags that were renamed or removed are found here.
    #[test]
    fn the_commands_of_the_pages_are_those_of_the_programs() {
        let mut seen = 0;
        for page in blocks::pages(&workspace::root()).unwrap() {
            for words in page.blocks.iter().flat_map(blocks::Block::commands) {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let error = match words[..] {
                    ["helmholtz", ..] => {
                        helmholtz_cli::args::Args::try_of_words(words.iter().map(Into::into)).err()
                    }
                    ["cargo", "xtask", ..] => Cli::try_parse_from(&words[1..]).err(),
                    _ => continue,
                };
                seen += 1;
                // Clap returns help and version as errors with exit code 0.
                let error = error.filter(|error| error.exit_code() != 0);
                assert!(error.is_none(), "{}: {}: {}", page.file, words.join(" "), error.unwrap());
            }
        }
        assert!(seen > 50, "{seen} commands");
    }
}
