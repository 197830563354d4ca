//! Numbers as people write them. What can be read in two ways is refused with both readings: a count that is silently
//! a thousand times too small gives a dose.

use domain::{ErrorKind, HasKind};

/// A text that is no count or no number, or that may be two.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It is no number at all.
    #[error("invalid number '{text}': expected digits{}", if text.contains([';', ':']) { "; separate numbers by commas" } else { "" })]
    NoNumber {
        /// As given.
        text: String,
    },
    /// A number, and no count.
    #[error("invalid count '{text}': expected a whole number, 0 or more")]
    NoCount {
        /// As given.
        text: String,
    },
    /// One separator with three digits behind it: thousands or decimals.
    #[error("invalid count '{text}': it may mean {thousands} or {decimal}; write it without a separator")]
    Ambiguous {
        /// As given.
        text: String,
        /// With the sign as thousands separator.
        thousands: u64,
        /// With the sign as decimal sign.
        decimal: String,
    },
    /// Zeros before a number, as the end of a thousands group has them.
    #[error("invalid count '{text}': zeros before a number; write one thousand as 1000, without a separator")]
    LeadingZeros {
        /// As given.
        text: String,
    },
}

impl HasKind for NumberError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoNumber { .. } => ErrorKind::Usage,
            Self::NoCount { .. } | Self::Ambiguous { .. } | Self::LeadingZeros { .. } => ErrorKind::BadData,
        }
    }
}

/// Signs that separate thousands and nothing else: spaces of all kinds, apostrophes, an underscore.
const GROUPING: [char; 7] = [' ', '\u{a0}', '\u{202f}', '\u{2009}', '\'', '\u{2019}', '_'];

/// A count: `1200`, `1 200`, `1'200`, `1,200,000`, `1200.0`, `1.2e3`. `1.200` and `1,200` are refused, since they mean
/// 1200 in one country and 1.2 in another, and `1.000` even means a whole number in both.
///
/// # Errors
/// What is wrong with the text, and what would be right.
pub fn whole_number(text: &str) -> Result<u64, NumberError> {
    let text = text.trim();
    let no_number = || NumberError::NoNumber { text: text.into() };
    let no_count = || NumberError::NoCount { text: text.into() };
    let bare = text.strip_prefix('+').unwrap_or(text);
    if bare.is_empty() {
        return Err(no_number());
    }
    if bare.bytes().all(|b| b.is_ascii_digit()) {
        if bare.len() > 1 && bare.starts_with('0') {
            return Err(NumberError::LeadingZeros { text: text.into() });
        }
        return bare.parse().map_err(|_| no_count());
    }
    if let Some(number) = grouped(bare, |c| GROUPING.contains(&c)) {
        return Ok(number);
    }
    // A point or comma: thousands where it stands twice or more, else it may be either.
    for (group, decimal) in [('.', ','), (',', '.')] {
        let (whole, fraction) = match bare.split_once(decimal) {
            Some((whole, fraction)) if whole.contains(group) => (whole, Some(fraction)),
            None => (bare, None),
            Some(_) => continue,
        };
        let Some(number) = grouped(whole, |c| c == group) else { continue };
        return match fraction {
            Some(fraction) if is_zeros(fraction) => Ok(number),
            Some(fraction) if fraction.bytes().all(|b| b.is_ascii_digit()) => Err(no_count()),
            Some(_) => Err(no_number()),
            None if whole.matches(group).count() > 1 => Ok(number),
            None => Err(ambiguous(text, whole, group, number)),
        };
    }
    match bare.replacen(',', ".", 1).parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && (0.0..1e15).contains(&number) => Ok(number as u64),
        Ok(_) => Err(no_count()),
        Err(_) => Err(no_number()),
    }
}

/// `1.000` is a thousand or one, `12.500` twelve thousand and a half or no count: neither is guessed.
fn ambiguous(text: &str, bare: &str, sign: char, thousands: u64) -> NumberError {
    let decimal = bare.replacen(sign, ".", 1).trim_end_matches('0').trim_end_matches('.').to_owned();
    NumberError::Ambiguous { text: text.into(), thousands, decimal }
}

fn is_zeros(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b == b'0')
}

/// Digits in groups of three behind the first, with one kind of sign between them; none for anything else.
fn grouped(text: &str, is_sign: impl Fn(char) -> bool) -> Option<u64> {
    let sign = text.chars().find(|c| is_sign(*c))?;
    let mut groups = text.split(sign);
    let first = groups.next()?;
    let digits = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || first.len() > 3 || first.starts_with('0') {
        return None;
    }
    let mut joined = first.to_owned();
    for group in groups {
        if group.len() != 3 || !digits(group) {
            return None;
        }
        joined.push_str(group);
    }
    joined.parse().ok()
}

/// A number with a decimal point, or a decimal comma where `comma` says that the text may have one. No separators of
/// thousands.
///
/// # Errors
/// When it is no finite number.
pub fn decimal_number(text: &str, comma: bool) -> Result<f64, NumberError> {
    let text = text.trim();
    let plain = if comma && !text.contains('.') { text.replacen(',', ".", 1) } else { text.to_owned() };
    match plain.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(NumberError::NoNumber { text: text.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_are_read_as_people_write_them() {
        for (text, number) in [
            ("0", 0),
            ("1200", 1200),
            ("+7", 7),
            ("1 200", 1200),
            ("1\u{a0}200", 1200),
            ("1\u{202f}200\u{202f}000", 1_200_000),
            ("1'200", 1200),
            ("1,200,000", 1_200_000),
            ("1.200.000", 1_200_000),
            ("1,200.0", 1200),
            ("1.200,0", 1200),
            ("475.0", 475),
            ("475,00", 475),
            ("1e3", 1000),
        ] {
            assert_eq!(whole_number(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn a_count_that_may_mean_two_numbers_is_refused_with_both() {
        for text in ["1.000", "1,000"] {
            let reason = whole_number(text).unwrap_err().to_string();
            assert!(reason.contains("1000 or 1;"), "{reason}");
        }
        assert!(whole_number("12.500").is_err());
    }

    #[test]
    fn what_is_no_count_is_refused() {
        for text in
            ["", "-1", "1.5", "1,5", "000", "007", "12 34", "1 0000", "1.00.000", "1e-3", "NaN", "inf", "five", "1;2"]
        {
            assert!(whole_number(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// Whatever way a number is written, it is read as itself or not at all.
        #[test]
        fn no_spelling_of_a_count_is_read_as_another(
            number in 0_u64..20_000_000,
            sign in prop::sample::select(vec![" ", "\u{a0}", "\u{202f}", "'", ".", ",", "_", ""]),
            tail in prop::sample::select(vec!["", ".0", ",0", ".00", ",00"]),
        ) {
            let digits = number.to_string();
            let mut text = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    text.push_str(sign);
                }
                text.push(digit);
            }
            text.push_str(tail);
            if let Ok(read) = whole_number(&text) {
                prop_assert_eq!(read, number, "{}", text);
            }
        }
    }
}
