//! The modules of a crate as its sources declare them, and the file that defines what a path names.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItemFn, Item, ItemMod, ItemUse, Meta, Token, UseTree, Visibility};

/// Which files a file takes names from, and the names.
pub(super) type Arrows = BTreeMap<(PathBuf, PathBuf), BTreeSet<String>>;

/// The arrows between the files of one crate, without those that only its tests need.
///
/// A re-exported name counts for the file that defines it. Neither the name of a module alone nor the call of a method
/// counts for any file.
///
/// # Errors
/// If a source file is missing, or is not valid Rust.
pub(super) fn arrows(root_file: &Path) -> anyhow::Result<Arrows> {
    let folder = root_file.parent().unwrap_or(Path::new(""));
    let mut modules = Modules(Vec::new());
    modules.read(root_file, folder, None)?;
    Ok(modules.arrows())
}

struct Modules(Vec<Module>);

/// A file, or a `mod` with a body inside one.
struct Module {
    file: PathBuf,
    parent: Option<usize>,
    names: HashMap<String, Vec<Name>>,
    /// The modules and enums whose names are all imported (`*`).
    globs: BTreeSet<Vec<String>>,
    /// Every path that occurs here.
    paths: BTreeSet<Vec<String>>,
    /// Whether macros are called here that may define items.
    has_macros: bool,
}

/// What a name stands for in its module.
enum Name {
    Item,
    Child(usize),
    Import(Vec<String>),
}

#[derive(PartialEq)]
enum Meaning {
    Module(usize),
    /// The item of that name in that module.
    Item(usize, String),
}

impl Modules {
    /// Reads a file whose child modules are in `folder`.
    fn read(&mut self, file: &Path, folder: &Path, parent: Option<usize>) -> anyhow::Result<usize> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let syntax = syn::parse_file(&text).with_context(|| file.display().to_string())?;
        self.module(file, folder, parent, &syntax.items)
    }

    fn module(
        &mut self,
        file: &Path,
        folder: &Path,
        parent: Option<usize>,
        items: &[Item],
    ) -> anyhow::Result<usize> {
        let this = self.0.len();
        self.0.push(Module {
            file: file.to_path_buf(),
            parent,
            names: HashMap::new(),
            globs: BTreeSet::new(),
            paths: BTreeSet::new(),
            has_macros: false,
        });
        for item in items.iter().filter(|item| !is_for_tests(parts(item).0)) {
            self.0[this].visit_item(item);
            if let Item::Mod(child) = item {
                let name = child.ident.to_string();
                let id = self.child(file, folder, this, child)?;
                self.0[this].names.entry(name).or_default().push(Name::Child(id));
            } else if let (_, Some(name)) = parts(item) {
                self.0[this].names.entry(name.to_string()).or_default().push(Name::Item);
            } else {
                self.0[this].has_macros |= matches!(item, Item::Macro(_));
            }
        }
        Ok(this)
    }

    fn child(&mut self, file: &Path, folder: &Path, parent: usize, child: &ItemMod) -> anyhow::Result<usize> {
        let name = child.ident.to_string();
        let inside = folder.join(&name);
        if let Some((_, items)) = &child.content {
            return self.module(file, &inside, Some(parent), items);
        }
        let places = [folder.join(format!("{name}.rs")), inside.join("mod.rs")];
        match places.iter().find(|place| place.is_file()) {
            Some(place) => self.read(place, &inside, Some(parent)),
            None => bail!(
                "{}: `mod {name};` has neither {} nor {}",
                file.display(),
                places[0].display(),
                places[1].display()
            ),
        }
    }

    fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for (at, module) in self.0.iter().enumerate() {
            let mut arrow = |to: usize, name: &str| {
                let ends = (module.file.clone(), self.0[to].file.clone());
                if ends.0 != ends.1 {
                    arrows.entry(ends).or_default().insert(name.to_string());
                }
            };
            for path in &module.paths {
                for found in self.find(at, path, &mut HashSet::new()) {
                    if let Meaning::Item(to, name) = found {
                        arrow(to, &name);
                    }
                }
            }
            for path in &module.globs {
                for found in self.find(at, path, &mut HashSet::new()) {
                    match found {
                        Meaning::Item(to, name) => arrow(to, &name),
                        Meaning::Module(to) if self.0[to].defines() => arrow(to, "*"),
                        Meaning::Module(_) => {} // it only re-exports; the names that occur are found one by one
                    }
                }
            }
        }
        arrows
    }

    /// What a path in module `at` names; empty if the path leads out of the crate.
    fn find(&self, mut at: usize, path: &[String], seen: &mut HashSet<(usize, String)>) -> Vec<Meaning> {
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            let parent = self.0[at].parent;
            match first.as_str() {
                "self" => {}
                "crate" => at = 0,
                "super" => match parent {
                    Some(parent) => at = parent,
                    None => return Vec::new(),
                },
                _ => break,
            }
            rest = after;
        }
        self.find_inside(at, rest, rest.len() < path.len(), seen)
    }

    /// The same for a path without `crate`, `self` and `super`; `is_certain` if it cannot lead out of the crate.
    fn find_inside(
        &self,
        at: usize,
        path: &[String],
        is_certain: bool,
        seen: &mut HashSet<(usize, String)>,
    ) -> Vec<Meaning> {
        let Some((name, after)) = path.split_first() else { return vec![Meaning::Module(at)] };
        let mut known = self.look_up(at, name, seen);
        // A function may have the same name as a module, but it contains no names.
        if !after.is_empty() && known.iter().any(|found| matches!(found, Meaning::Module(_))) {
            known.retain(|found| matches!(found, Meaning::Module(_)));
        }
        let is_made = self.0[at].has_macros && !self.0[at].names.contains_key(name);
        if known.is_empty() && is_certain && is_made {
            return vec![Meaning::Item(at, name.to_string())];
        }
        let mut all = Vec::new();
        for found in known {
            match found {
                Meaning::Module(inside) if !after.is_empty() => {
                    all.extend(self.find_inside(inside, after, true, seen));
                }
                // What follows an item in a path is a variant or a function of it.
                found => all.push(found),
            }
        }
        all
    }

    fn look_up(&self, at: usize, name: &str, seen: &mut HashSet<(usize, String)>) -> Vec<Meaning> {
        if !seen.insert((at, name.to_string())) {
            return Vec::new(); // `use a::a` would look itself up
        }
        let module = &self.0[at];
        let mut all = Vec::new();
        for known in module.names.get(name).into_iter().flatten() {
            match known {
                Name::Item => all.push(Meaning::Item(at, name.to_string())),
                Name::Child(child) => all.push(Meaning::Module(*child)),
                Name::Import(path) => all.extend(self.find(at, path, seen)),
            }
        }
        if all.is_empty() && !module.names.contains_key(name) {
            for glob in &module.globs {
                for found in self.find(at, glob, seen) {
                    if let Meaning::Module(inside) = found {
                        all.extend(self.look_up(inside, name, seen));
                    }
                }
            }
        }
        seen.remove(&(at, name.to_string()));
        all
    }
}

impl Module {
    fn defines(&self) -> bool {
        self.has_macros || self.names.values().flatten().any(|name| matches!(name, Name::Item))
    }

    fn import(&mut self, mut path: Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.import(path, &tree.tree);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(path.clone(), tree)),
            UseTree::Glob(_) => {
                self.globs.insert(path);
            }
            UseTree::Name(tree) => self.import_as(path, tree.ident.to_string(), None),
            UseTree::Rename(tree) => {
                self.import_as(path, tree.ident.to_string(), Some(tree.rename.to_string()));
            }
        }
    }

    fn import_as(&mut self, mut path: Vec<String>, last: String, renamed: Option<String>) {
        if last != "self" {
            path.push(last);
        }
        let name = renamed.or_else(|| path.last().cloned()).unwrap_or_default();
        self.paths.insert(path.clone());
        self.names.entry(name).or_default().push(Name::Import(path));
    }

    /// The paths of two or more words among the arguments of a macro.
    fn tokens(&mut self, tokens: &TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens.clone() {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 || path.is_empty() {
                        self.path(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.path(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(&group.stream());
                    }
                }
            }
        }
        self.path(path);
    }

    fn path(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.paths.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(parts(item).0) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    /// Each module is read separately.
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            self.import(Vec::new(), &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    /// The visibility of an item says nothing about what it needs.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.tokens(tokens);
    }
}

/// The attributes of an item, and the name that it defines, if any.
pub(super) fn parts(item: &Item) -> (&[Attribute], Option<&Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

/// Whether an item exists only in builds of tests.
pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .any(|attribute| attribute.parse_args::<Meta>().is_ok_and(|condition| needs_tests(&condition)))
}

fn needs_tests(condition: &Meta) -> bool {
    let parts = |list: &syn::MetaList| {
        let parse = syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated;
        list.parse_args_with(parse).into_iter().flatten().collect::<Vec<_>>()
    };
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => parts(list).iter().any(needs_tests),
        Meta::List(list) if list.path.is_ident("any") => parts(list).iter().all(needs_tests),
        _ => false,
    }
}
