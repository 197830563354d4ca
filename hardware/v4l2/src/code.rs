//! The four characters by which Video4Linux names a format.

use std::{fmt, str::FromStr};

/// Name of a format, four characters such as `GREY` or `Y12 `.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FourCc(pub [u8; 4]);

/// Set in the last character of a format whose samples have the most significant byte first.
const BIG_ENDIAN: u8 = 0x80;

impl FourCc {
    /// From the number that the kernel uses.
    pub const fn of(number: u32) -> Self {
        Self(number.to_le_bytes())
    }

    /// The number that the kernel uses.
    pub const fn number(self) -> u32 {
        u32::from_le_bytes(self.0)
    }
}

impl fmt::Display for FourCc {
    /// Without the blanks at its end; `-BE` after a format with the most significant byte first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0;
        let is_big = bytes[3] & BIG_ENDIAN != 0;
        bytes[3] &= !BIG_ENDIAN;
        let text = String::from_utf8_lossy(&bytes);
        write!(f, "{}{}", text.trim_end_matches([' ', '\0']), if is_big { "-BE" } else { "" })
    }
}

impl FromStr for FourCc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid format '{text}': expected 1 to 4 characters such as GREY, Y12 or YUYV");
        let (name, last) = text.strip_suffix("-BE").map_or((text, 0), |name| (name, BIG_ENDIAN));
        if name.is_empty() || name.len() > 4 || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong());
        }
        let mut bytes = [b' '; 4];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[3] |= last;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for (bytes, text) in [(*b"GREY", "GREY"), (*b"Y12 ", "Y12"), ([b'Y', b'1', b'6', b' ' | 0x80], "Y16-BE")] {
            assert_eq!(FourCc(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(FourCc(bytes)));
        }
        assert_eq!(FourCc::of(0x5659_5559).to_string(), "YUYV");
        for wrong in ["", "GREYS", "Y 1", "Ü"] {
            let error = wrong.parse::<FourCc>().expect_err(wrong);
            assert!(error.contains("expected 1 to 4 characters"), "{error}");
        }
    }
}
