//! Names of models and strategies outside the families that define them.
//!
//! The command line and `reproduce` ask the registry instead. If their code contained names, every new family would
//! have to be added there too.

use std::fs;
use std::path::Path;

use anyhow::Context;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ImplItemFn, Item, ItemMod, LitStr};

use super::modules::{is_for_tests, parts};

/// Folders in which no such name may occur.
const SHELL: [&str; 2] = ["crates/cli/src/", "xtask/src/"];
/// Exceptions: code that measures and draws single models by name.
const BY_NAME: [&str; 2] = ["xtask/src/bench", "xtask/src/figure"];

/// The string literals in `files` that are a registered name, one message each.
///
/// # Errors
/// If a source file cannot be read.
pub(super) fn failures<'a>(
    root: &Path,
    files: impl Iterator<Item = &'a String>,
    names: &[&str],
) -> anyhow::Result<Vec<String>> {
    let mut failures = Vec::new();
    for file in files {
        let is_of_shell = SHELL.iter().any(|folder| file.starts_with(folder));
        // Only `mod tests` includes a file of tests.
        let is_tests = file.ends_with("/tests.rs");
        if !file.ends_with(".rs") || !is_of_shell || is_tests || BY_NAME.iter().any(|by| file.starts_with(by))
        {
            continue;
        }
        let text = fs::read_to_string(root.join(file)).with_context(|| file.clone())?;
        let mut literals = Literals(Vec::new());
        literals.visit_file(&syn::parse_file(&text).with_context(|| file.clone())?);
        let found = literals.0.into_iter().filter(|literal| names.contains(&literal.as_str()));
        failures.extend(found.map(|name| {
            format!("{file}: \"{name}\" is the name of a model or a strategy; ask the registry instead of naming it")
        }));
    }
    Ok(failures)
}

/// The names that the README does not mention, one message each.
pub(super) fn unlisted(readme: &str, names: &[&str]) -> Vec<String> {
    let missing = names.iter().filter(|name| !readme.contains(&format!("`{name}`")));
    missing.map(|name| format!("README.md: does not mention `{name}`, which the registry has")).collect()
}

struct Literals(Vec<String>);

impl Literals {
    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    self.0.extend(syn::parse_str::<LitStr>(&literal.to_string()).map(|text| text.value()));
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Literals {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(parts(item).0) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_lit_str(&mut self, literal: &'ast LitStr) {
        self.0.push(literal.value());
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.tokens(called.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_code_and_in_macros_and_not_in_tests_or_benchmarks() {
        let root = tempfile::tempdir().unwrap();
        let planted = "fn f(kind: &str) -> bool { kind == \"rws\" }\n\
                       fn g() { println!(\"{}\", [\"vae\"][0]); }\n\
                       #[cfg(test)]\nmod tests { const OF_TESTS: &str = \"sbn\"; }\n\
                       const OTHER: &str = \"rws and others\";\n";
        let files = ["crates/cli/src/a.rs", "xtask/src/bench/a.rs", "crates/zoo/src/a.rs"].map(str::to_owned);
        for file in &files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, planted).unwrap();
        }
        let found = failures(root.path(), files.iter(), &["sbn", "vae", "rws"]).unwrap();
        let starts = ["crates/cli/src/a.rs: \"rws\"", "crates/cli/src/a.rs: \"vae\""];
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(unlisted("| `rws` | reweighted |", &["rws", "ws"]).len(), 1);
        assert!(found.iter().zip(starts).all(|(found, start)| found.starts_with(start)), "{found:?}");
    }
}
