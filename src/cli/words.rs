//! Words of the domain as values of options.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Takes one of `all` by its `name`; help and completions list them, and so does the error.
pub fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|word| name(*word))).try_map(move |text| {
        all.iter().copied().find(|word| name(*word) == text).ok_or("not one of the possible values")
    })
}
