//! Files of a crate that import each other in a circle.
//!
//! Such files can only be understood together.
//! The usual fix is to move what several of them need into a file of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::modules::{Arrows, arrows};

/// The circles among the files of each of the crates in `members`, one message each.
///
/// # Errors
/// If a source file cannot be read.
pub(super) fn failures(root: &Path, members: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut failures = Vec::new();
    for member in members {
        let mains = ["src/lib.rs", "src/main.rs"].map(|main| root.join(member).join(main));
        for main in mains.iter().filter(|main| main.is_file()) {
            let arrows = from_root(root, arrows(main)?);
            failures.extend(knots(&arrows).iter().map(|knot| message(&arrows, knot)));
        }
    }
    Ok(failures)
}

fn from_root(root: &Path, arrows: Arrows) -> Arrows {
    let short = |file: PathBuf| file.strip_prefix(root).map(Path::to_path_buf).unwrap_or(file);
    arrows.into_iter().map(|((from, to), names)| ((short(from), short(to)), names)).collect()
}

/// The largest sets of files in which each file leads to every file.
fn knots(arrows: &Arrows) -> BTreeSet<BTreeSet<&Path>> {
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        arrows.keys().map(|(from, _)| (from.as_path(), reached(arrows, from))).collect();
    let mut knots = BTreeSet::new();
    for (file, to) in &reached {
        let leads_back = |other: &&Path| reached.get(other).is_some_and(|back| back.contains(file));
        knots.insert(to.iter().copied().filter(leads_back).collect());
    }
    knots.remove(&BTreeSet::new());
    knots
}

/// The files that `from` leads to by one or more arrows.
fn reached<'a>(arrows: &'a Arrows, from: &'a Path) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(at) = waiting.pop() {
        let next = arrows.keys().filter(|(here, _)| here == at).map(|(_, to)| to.as_path());
        waiting.extend(next.filter(|to| reached.insert(*to)));
    }
    reached
}

fn message(arrows: &Arrows, knot: &BTreeSet<&Path>) -> String {
    let files: Vec<_> = knot.iter().map(|file| file.display().to_string()).collect();
    let mut text = format!("{}: imports itself, in a circle of {} files:\n", files[0], files.len());
    for ((from, to), names) in arrows {
        if knot.contains(from.as_path()) && knot.contains(to.as_path()) {
            let names = Vec::from_iter(names.iter().cloned()).join(", ");
            text += &format!("  {} takes from {}: {names}\n", from.display(), to.display());
        }
    }
    text + "  Move what they share into a file of its own, which imports none of them."
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The failures of a crate with these files, all below its `src`.
    fn planted(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = root.path().join("planted/src").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        failures(root.path(), &["planted"]).unwrap()
    }

    #[test]
    fn two_files_that_import_each_other_are_found_with_the_names_that_tie_them() {
        let found = planted(&[
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "use crate::b::Beta;\npub(crate) struct Alpha(Beta);\n"),
            ("b.rs", "pub(crate) struct Beta;\nfn f(_: &crate::a::Alpha) {}\n"),
        ]);
        let [found] = &found[..] else { panic!("{found:?}") };
        assert!(found.contains("planted/src/a.rs takes from planted/src/b.rs: Beta\n"), "{found}");
        assert!(found.contains("planted/src/b.rs takes from planted/src/a.rs: Alpha\n"), "{found}");
    }

    #[test]
    fn three_files_are_named_in_order_and_what_hangs_on_them_is_left_out() {
        let found = planted(&[
            ("lib.rs", "mod a; mod b; mod c; mod top; pub use top::Top;"),
            ("a.rs", "pub struct A(crate::b::B);"),
            ("b.rs", "use super::c;\npub struct B(c::C);"),
            ("c.rs", "pub struct C;\nfn f() { println!(\"{:?}\", crate::a::A::new(1)); }"),
            ("top.rs", "use super::a::A;\npub struct Top(A);"),
        ]);
        let [found] = &found[..] else { panic!("{found:?}") };
        let places =
            ["a.rs takes from", "b.rs takes from", "c.rs takes from"].map(|part| found.find(part).unwrap());
        assert!(places.is_sorted(), "{found}");
        assert!(found.contains("in a circle of 3 files") && !found.contains("top.rs"), "{found}");
        assert_eq!(found.matches("takes from").count(), 3, "{found}");
    }

    #[test]
    fn an_export_counts_for_the_file_that_defines_the_name() {
        let found = planted(&[
            ("lib.rs", "mod page; mod b;"),
            ("page.rs", "mod a;\npub(crate) use a::*;"),
            ("page/a.rs", "pub(crate) struct A(crate::b::B);"),
            ("b.rs", "use crate::page::A as Renamed;\npub(crate) struct B(Box<Renamed>);"),
        ]);
        let [found] = &found[..] else { panic!("{found:?}") };
        assert!(found.contains("b.rs takes from planted/src/page/a.rs: A\n"), "{found}");
    }

    #[test]
    fn what_a_macro_defines_belongs_to_the_file_that_calls_it() {
        let found = planted(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "one_of! { A { One(crate::b::B) } }"),
            ("b.rs", "use crate::a;\npub struct B(Box<a::A>);"),
        ]);
        let [found] = &found[..] else { panic!("{found:?}") };
        assert!(found.contains("b.rs takes from planted/src/a.rs: A\n"), "{found}");
    }

    #[test]
    fn a_child_that_takes_from_the_parent_which_takes_from_it_is_a_circle() {
        let parent = "mod child;\nuse child::Child;\nfn shared() -> Child { todo() }";
        for child in ["use super::shared;", "use super::*;", "fn f() { super::shared(); }"] {
            let child = format!("{child}\npub(crate) struct Child;");
            let found =
                planted(&[("lib.rs", "mod parent;"), ("parent/mod.rs", parent), ("parent/child.rs", &child)]);
            assert_eq!(found.len(), 1, "{child}: {found:?}");
        }
    }

    #[test]
    fn a_title_page_is_on_no_circle() {
        let found = planted(&[
            ("lib.rs", "mod a;\npub mod b;\npub use a::{A, f};\npub use b::*;"),
            ("a.rs", "use crate::B;\npub struct A(B);\npub fn f() {}"),
            ("b.rs", "use super::*;\npub struct B;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_function_with_the_name_of_a_module_is_not_taken_for_it() {
        let found = planted(&[
            ("lib.rs", "mod entry; mod list; mod one; pub use list::entry;"),
            ("entry.rs", "pub struct Entry;"),
            ("list.rs", "pub fn entry() -> crate::one::One { todo() }"),
            ("one.rs", "pub struct One(crate::entry::Entry);"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn what_only_tests_import_is_on_no_circle() {
        let found = planted(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub struct A(crate::b::B);"),
            (
                "b.rs",
                "pub struct B;\nimpl B {\n#[cfg(test)]\nfn of(_: crate::a::A) {} }\n\
                 #[cfg(all(test, unix))]\nmod tests;\n#[cfg(test)]\nuse crate::a::A;",
            ),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_name_that_is_not_of_this_crate_is_no_arrow() {
        let found = planted(&[
            ("lib.rs", "mod a; mod rand;"),
            ("a.rs", "use ::rand::A;\nuse std::rand::B;\npub struct C(other::rand::D, A, B);"),
            ("rand.rs", "use crate::a::C;\npub struct A(C);"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
