//! The reference of config keys, from the typed configs: names, types and texts from their definitions, defaults from
//! a resolved config.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use helmholtz_cli::config::{Config, Overlay};
use helmholtz_zoo::{ConfigKey, Family};
use syn::{Fields, Item};
use toml::{Table, Value};

use super::cell::cell;

/// The file whose structs are the sections, and each section with its struct.
const SCHEMA: &str = "crates/cli/src/config/schema.rs";
const SECTIONS: [(&str, &str, &str); 5] = [
    ("[run]", "run", "RunConfig"),
    ("[data]", "data", "DataConfig"),
    ("[optimizer]", "optimizer", "OptimizerConfig"),
    ("[train]", "train", "TrainConfig"),
    ("[[stage]]", "stage", "StageConfig"),
];

/// A key as its struct defines it.
struct Key {
    name: String,
    value: &'static str,
    help: String,
}

pub(super) fn page(root: &Path) -> anyhow::Result<String> {
    let source = fs::read_to_string(root.join(SCHEMA)).context(SCHEMA)?;
    let file = syn::parse_file(&source).context(SCHEMA)?;
    let resolved: Table = Config::resolve(None, &Overlay::default())?.to_toml().parse()?;
    let mut text = String::from(
        "# Config keys\n\n\
         `cargo xtask book` wrote this page from the types that read a config file.\n\
         A config is a TOML file with these sections; every key has a default.\n\
         `helmholtz train CONFIG.toml` reads it, `--set KEY=VALUE` overrides a key, and `--print-config` prints the \
         result.\n\
         The page on [commands](commands.md) lists the flags that stand for a key.\n",
    );
    for (title, section, name) in [("Top level", "", "Config")].into_iter().chain(SECTIONS) {
        let keys = keys(&file, name)?;
        let _ =
            writeln!(text, "\n## {title}\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |");
        let defaults = if section.is_empty() {
            Some(&resolved)
        } else {
            resolved.get(section).and_then(Value::as_table)
        };
        for Key { name, value, help } in keys {
            let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
            // Tables are sections of their own.
            let default = defaults.and_then(|table| table.get(&name));
            row(&mut text, &key, value, default, &help);
        }
    }
    for family in helmholtz_zoo::registry().families() {
        of_family(&mut text, family)?;
    }
    text += "\nNext: [models](models.md), [estimators](../explanation/estimators.md).\n";
    Ok(text)
}

fn row(text: &mut String, key: &str, value: &str, default: Option<&Value>, help: &str) {
    let default = default.map_or("not set".to_owned(), |default| format!("`{default}`"));
    let _ = writeln!(text, "| `{key}` | {} | {} | {} |", cell(value), cell(&default), cell(help));
}

/// The keys of models and strategies; those with the same keys share a table.
fn of_family(text: &mut String, family: &Family) -> anyhow::Result<()> {
    let models = family.models.iter().map(|entry| {
        let table = (entry.read)(entry.name, Table::new()).map(|spec| spec.table())?;
        Ok((entry.name, entry.keys, table))
    });
    let strategies = family.strategies.iter().map(|entry| {
        let table = (entry.read)(entry.name, Table::new()).map(|spec| spec.table())?;
        Ok((entry.name, entry.keys, table))
    });
    let models = models.collect::<anyhow::Result<Vec<_>>>()?;
    let strategies = strategies.collect::<anyhow::Result<Vec<_>>>()?;
    for (section, [one, many], entries) in
        [("model", ["model", "models"], models), ("strategy", ["strategy", "strategies"], strategies)]
    {
        let mut rest = &entries[..];
        while let Some((name, keys, table)) = rest.first() {
            let alike =
                rest.iter().take_while(|(_, other, with)| other == keys && same(keys, table, with)).count();
            let names: Vec<String> = rest[..alike].iter().map(|(name, ..)| format!("`{name}`")).collect();
            let what = if alike == 1 { one } else { many };
            let _ =
                writeln!(text, "\n## `[{section}]`, {what} {} of family {}\n", names.join(", "), family.name);
            if keys.is_empty() {
                let _ = writeln!(text, "No keys besides `{section}.kind = \"{name}\"`.");
            } else {
                text.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
            }
            for ConfigKey { name, help, value } in *keys {
                row(text, &format!("{section}.{name}"), value, table.get(*name), help);
            }
            rest = &rest[alike..];
        }
    }
    Ok(())
}

/// Whether two tables have the same defaults.
fn same(keys: &[ConfigKey], one: &Table, other: &Table) -> bool {
    keys.iter().all(|key| one.get(key.name) == other.get(key.name))
}

/// The keys of a section, from the fields of its struct.
fn keys(file: &syn::File, name: &str) -> anyhow::Result<Vec<Key>> {
    let section = file.items.iter().find_map(|item| match item {
        Item::Struct(section) if section.ident == name => Some(section),
        _ => None,
    });
    let section = section.with_context(|| format!("{SCHEMA}: there is no struct {name}"))?;
    let Fields::Named(fields) = &section.fields else {
        anyhow::bail!("{SCHEMA}: {name} has no named fields")
    };
    let mut keys = Vec::new();
    for field in &fields.named {
        let ident = field.ident.as_ref().expect("a named field").to_string();
        let quoted = quote_type(&field.ty);
        let value = match quoted.as_str() {
            "String" => "word",
            "f64" => "number",
            "u64" | "i64" | "usize" => "whole number",
            "PathBuf" => "path",
            // Each group of parameters of a model has a key; these are the groups that there are.
            "Rates" => {
                keys.push(Key { name: "lr_q".to_owned(), value: "number", help: doc(field) });
                continue;
            }
            // Sections of their own.
            _ => continue,
        };
        keys.push(Key { name: ident, value, help: doc(field) });
    }
    Ok(keys)
}

/// The last name of a type, that in an `Option` where it is one.
fn quote_type(ty: &syn::Type) -> String {
    let syn::Type::Path(path) = ty else { return String::new() };
    let Some(last) = path.path.segments.last() else { return String::new() };
    match &last.arguments {
        syn::PathArguments::AngleBracketed(of) if last.ident == "Option" => of
            .args
            .iter()
            .find_map(|of| match of {
                syn::GenericArgument::Type(ty) => Some(quote_type(ty)),
                _ => None,
            })
            .unwrap_or_default(),
        _ => last.ident.to_string(),
    }
}

fn doc(field: &syn::Field) -> String {
    let lines = field.attrs.iter().filter_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) => Some(line.value()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ")
}
