//! Numbers as values of flags. Negative ones pass the parser, so that the commands can refuse them and name the flag.

use std::any::TypeId;
use std::str::FromStr;

use clap::{Arg, Command};

/// Sizes as the value of one flag: giving the flag twice is an error, not a longer list.
#[derive(Clone, Debug)]
pub struct Layers(pub Vec<i64>);

impl FromStr for Layers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size = |part: &str| {
            part.trim().parse().map_err(|_| format!("`{part}` is not a size; give sizes such as 200,200"))
        };
        if text.trim().is_empty() {
            return Ok(Layers(Vec::new()));
        }
        text.split(',').map(size).collect::<Result<_, _>>().map(Layers)
    }
}

/// Lets every flag that takes a number take a negative one too.
///
/// Otherwise `--lr -1` ends with "unexpected argument '-1'".
pub(super) fn with_negative(command: Command) -> Command {
    command.mut_args(takes_negative).mut_subcommands(with_negative)
}

fn takes_negative(arg: Arg) -> Arg {
    // A positional argument, such as the run folder, is not a number.
    if arg.get_long().is_none() {
        return arg;
    }
    let kind = arg.get_value_parser().type_id();
    if kind == TypeId::of::<u64>() {
        return arg.allow_negative_numbers(true).value_parser(whole_number);
    }
    // clap does not recognise `-1e-3` and `-5,3` as numbers.
    if [TypeId::of::<f64>(), TypeId::of::<Layers>()].iter().any(|other| kind == *other) {
        return arg.allow_hyphen_values(true);
    }
    if kind == TypeId::of::<i64>() { arg.allow_negative_numbers(true) } else { arg }
}

/// Parses a seed or a count, which may be any whole number below 2^64.
fn whole_number(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true if text.starts_with('-') => "must not be negative",
            true => "must be below 2^64",
            false => "must be a whole number",
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_told_from_others() {
        assert_eq!(whole_number("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(whole_number("18446744073709551616"), Err("must be below 2^64"));
        assert_eq!(whole_number("-1"), Err("must not be negative"));
        for text in ["", "-", "1.5", "1e3", "x"] {
            assert_eq!(whole_number(text), Err("must be a whole number"));
        }
    }
}
