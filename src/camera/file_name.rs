//! What a file is called in marks and messages: its path as text, without loss.

use std::{fmt::Write, os::unix::ffi::OsStrExt, path::Path};

/// The path as text that no other path has. Bytes that are not UTF-8 are written as `\xff`; so is the `#` of a name
/// that ends like the number of a page, and a backslash that would read like such an escape.
pub fn file_name(path: &Path) -> String {
    let mut name = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        escape_backslashes(chunk.valid(), &mut name);
        chunk.invalid().iter().for_each(|byte| escape(*byte, &mut name));
    }
    if let Some(at) = page_mark(&name) {
        name.replace_range(at..=at, "\\x23");
    }
    name
}

fn escape(byte: u8, name: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(name, "\\x{byte:02x}");
}

fn escape_backslashes(text: &str, name: &mut String) {
    for (at, letter) in text.char_indices() {
        match letter {
            '\\' if reads_like_an_escape(&text.as_bytes()[at..]) => escape(b'\\', name),
            letter => name.push(letter),
        }
    }
}

fn reads_like_an_escape(bytes: &[u8]) -> bool {
    matches!(bytes, [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// Where the `#` stands in a name that ends with `#` and digits, as the name of a page does.
fn page_mark(name: &str) -> Option<usize> {
    let (before, digits) = name.rsplit_once('#')?;
    let is_page = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_page.then_some(before.len())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn named(bytes: &[u8]) -> String {
        file_name(Path::new(OsStr::from_bytes(bytes)))
    }

    #[test]
    fn a_usual_name_stays_as_it_is() {
        for name in ["slide 3/Zelle_ä.tif", "a#b.png", "case #4/x.tif", "back\\slash.png"] {
            assert_eq!(named(name.as_bytes()), name);
        }
    }

    #[test]
    fn names_that_are_not_text_differ_as_their_bytes_do() {
        assert_eq!(named(b"bad\xff.webp"), "bad\\xff.webp");
        assert_eq!(named(b"bad\xfe.webp"), "bad\\xfe.webp");
        // A file that is really called so is another one.
        assert_eq!(named(b"bad\\xff.webp"), "bad\\x5cxff.webp");
    }

    #[test]
    fn a_name_never_reads_like_the_page_of_another_file() {
        assert_eq!(named(b"x.tif#1"), "x.tif\\x231");
        assert_eq!(named(b"x.tif#"), "x.tif#");
    }
}
