//! Quotes paths for a shell, so that a command in a message can be copied.

use std::path::Path;

/// A path as one shell word: unchanged if nothing in it is special, else in quotes.
pub(crate) fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => {
            // It fails only on NUL, which is a control character.
            shlex::try_quote(text).map_or_else(|_| escaped(bytes), |word| word.into_owned())
        }
        _ => escaped(bytes),
    }
}

/// The bytes in `$'...'`, the quotes of bash and zsh that allow escapes.
fn escaped(bytes: &[u8]) -> String {
    let inner: String = bytes
        .iter()
        .map(|&byte| match byte {
            b'\'' | b'\\' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect();
    format!("$'{inner}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_only_where_a_shell_would_take_it_apart() {
        assert_eq!(quoted(Path::new("runs/sbn-rws-1")), "runs/sbn-rws-1");
        assert_eq!(quoted(Path::new("my runs/a")), "'my runs/a'");
        assert_eq!(quoted(Path::new("größe")), "'größe'");
        assert_eq!(quoted(Path::new("a\nb's")), r"$'a\x0ab\'s'");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_escaped() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(quoted(Path::new(std::ffi::OsStr::from_bytes(b"r\xff"))), r"$'r\xff'");
    }
}
