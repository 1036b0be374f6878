//! Sections of a config file as structs: keys, defaults and one line of help each.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::error::{ConfigError, excerpt, shortened};

/// A key of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigKey {
    /// Its name.
    pub name: &'static str,
    /// What it sets.
    pub help: &'static str,
    /// The type of its value, in a word or two; of a choice, the words.
    pub value: &'static str,
}

/// A section of a config file; [`settings!`](macro@crate::settings) makes one.
pub trait Settings: Default {
    /// All keys.
    const KEYS: &'static [ConfigKey];

    /// The settings of a table that has no other keys. Missing keys have their defaults.
    ///
    /// # Errors
    /// If a value is of the wrong type. In the message `section` is put before the name of the key.
    fn read(section: &str, table: Table) -> Result<Self, ConfigError>;

    /// All keys that have a value.
    fn table(&self) -> Table;
}

/// The type of a key's value.
pub trait SettingValue: Serialize + DeserializeOwned {
    /// The type in a word or two; of a choice, the words.
    const TYPE: &'static str;

    /// What a value must be, in words; `None` for a type whose own error says so.
    const WANTED: Option<&'static str>;

    /// The value as it is written; `None` if the key is left out.
    ///
    /// # Panics
    /// If TOML cannot hold it.
    fn write(&self) -> Option<Value> {
        Some(Value::try_from(self).expect("the values of settings are scalars and lists"))
    }
}

macro_rules! setting_values {
    ($($type:ty => $word:literal, $wanted:literal;)+) => {
        $(impl SettingValue for $type {
            const TYPE: &'static str = $word;
            const WANTED: Option<&'static str> = Some($wanted);
        })+
    };
}

setting_values! {
    usize => "whole number", "a whole number, not below zero";
    u64 => "whole number", "a whole number, not below zero";
    f64 => "number", "a number";
    bool => "true or false", "true or false";
    Vec<usize> => "list of whole numbers", "a list of whole numbers, as in [200, 100]";
    Vec<Vec<usize>> => "list of lists", "a list of lists of whole numbers, as in [[200, 200]]";
    Vec<String> => "list of names", "a list of names, as in [\"sbn\", \"nade\"]";
    String => "word", "a word in quotes";
}

impl<T: SettingValue> SettingValue for Option<T> {
    const TYPE: &'static str = T::TYPE;
    const WANTED: Option<&'static str> = T::WANTED;

    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }
}

/// A value of a key.
///
/// # Errors
/// If it is of another type.
pub fn read<T: SettingValue>(section: &str, key: &str, value: Value) -> Result<T, ConfigError> {
    let shown = match &value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    value.try_into().map_err(|error: toml::de::Error| {
        let wanted = T::WANTED.map(|wanted| format!("give {wanted}"));
        let wanted = wanted.unwrap_or_else(|| error.message().trim().to_owned());
        ConfigError(format!("{section}.{key} = {}: {}", excerpt(&shown), shortened(&wanted, 300)))
    })
}

/// Defines a struct of settings: each key with its help, its type and its default. A key of type `Option` is left out
/// while it is `None`. The calling crate must depend on `toml`.
///
/// ```
/// use helmholtz_zoo::Settings;
///
/// helmholtz_zoo::settings! {
///     /// Settings of a strategy.
///     pub Plain {
///         /// Samples per observation, K.
///         samples: usize = 10,
///     }
/// }
///
/// let table = "samples = 3".parse().unwrap();
/// assert_eq!(Plain::read("strategy", table).unwrap().samples, 3);
/// assert_eq!(Plain::default().table().to_string(), "samples = 10\n");
/// assert_eq!(Plain::KEYS[0].name, "samples");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis $name:ident { $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])+ pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($key: $default,)* }
            }
        }

        impl $crate::Settings for $name {
            const KEYS: &'static [$crate::ConfigKey] =
                &[$($crate::ConfigKey {
                    name: stringify!($key),
                    help: concat!($($doc),+).trim_ascii_start(),
                    value: <$type as $crate::settings::SettingValue>::TYPE,
                },)*];

            #[allow(unused_mut, unused_variables, reason = "there may be no key")]
            fn read(section: &str, mut table: ::toml::Table) -> Result<Self, $crate::ConfigError> {
                let usual = $name::default();
                Ok($name {
                    $($key: match table.remove(stringify!($key)) {
                        Some(value) => $crate::settings::read(section, stringify!($key), value)?,
                        None => usual.$key,
                    },)*
                })
            }

            #[allow(unused_mut, reason = "there may be no key")]
            fn table(&self) -> ::toml::Table {
                let mut table = ::toml::Table::new();
                $(table.extend(
                    $crate::settings::SettingValue::write(&self.$key).map(|value| (stringify!($key).into(), value)),
                );)*
                table
            }
        }
    };
}

/// Defines an enum of the words that a key may have; the first is the default. The calling crate must depend on
/// `serde`.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[doc = $doc])* $variant,)+ }

        impl $name {
            /// All of them with their words.
            pub const ALL: &'static [(&'static str, $name)] = &[$(($word, $name::$variant)),+];

            /// The word.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name::ALL[0].1
            }
        }

        impl $crate::settings::SettingValue for $name {
            const TYPE: &'static str = concat!($("`", $word, "` "),+).trim_ascii_end();
            const WANTED: Option<&'static str> = None;
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let given = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                match $name::ALL.iter().find(|(word, _)| *word == given) {
                    Some((_, found)) => Ok(*found),
                    None => {
                        let words: Vec<&str> = $name::ALL.iter().map(|(word, _)| *word).collect();
                        let end = $crate::error::known(&given, &words);
                        Err(::serde::de::Error::custom(format!("unknown; {end}")))
                    }
                }
            }
        }
    };
}
