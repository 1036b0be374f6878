//! Addresses without passwords, for messages.

/// An address, or a text that begins with one, without the user name and the password before its host.
///
/// ```
/// use helmholtz_datasets::fetch::redacted;
///
/// assert_eq!(redacted("https://ada:lovelace@example.org/data"), "https://***@example.org/data");
/// assert_eq!(redacted("https://example.org/data"), "https://example.org/data");
/// ```
///
/// If a password holds characters that an address may not hold, such as `/`, more is left out rather than less.
pub fn redacted(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (&url[..scheme.len() + 3], rest),
        // An address without a scheme. If it is a path, only the text before its first `/` can be left out.
        None => ("", url),
    };
    let host_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, below) = rest.split_at(host_ends);
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let host = match (authority.rfind('@'), authority.rsplit_once(':')) {
        // A path may hold an @ without a password.
        (Some(at), colon) if !scheme.is_empty() || colon.is_some() => &rest[at + 1..],
        // `user:pass/word@host`: the text after the colon is not a port, so the password continues after the slash.
        (None, Some((_, port))) if !scheme.is_empty() && !is_port(port) && !authority.ends_with(']') => {
            match below.rfind('@') {
                Some(at) => &below[at + 1..],
                None => return url.to_owned(),
            }
        }
        _ => return url.to_owned(),
    };
    format!("{scheme}***@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_left_out_and_nothing_else_is() {
        for (url, shown) in [
            ("https://u:p@h/a", "https://***@h/a"),
            ("http://token@h:80/a@b", "http://***@h:80/a@b"),
            ("http://u:p@ss@h", "http://***@h"),
            ("http://u:p/a?s#s@h/x", "http://***@h/x"),
            ("http://u:p@[::1]:80/x", "http://***@[::1]:80/x"),
            ("u:p@h/x", "***@h/x"),
            ("https://h/a@b", "https://h/a@b"),
            ("https://h:8080/a@b", "https://h:8080/a@b"),
            ("http://[::1]/a@b", "http://[::1]/a@b"),
            ("file:///home/a:b@c", "file:///home/a:b@c"),
            ("/home/a:b@c", "/home/a:b@c"),
            ("data@home/x", "data@home/x"),
            ("", ""),
        ] {
            assert_eq!(redacted(url), shown);
            assert_eq!(redacted(shown), shown);
        }
    }
}
