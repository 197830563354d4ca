//! Any text as a karyotype. What is valid says the same when it is printed and read again.
#![no_main]

use karyotype::iscn::{Karyotype, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let report = check(text);
    assert!(report.valid || report.reason.as_deref().is_some_and(|reason| !reason.is_empty()), "{report:?}");
    if !report.valid {
        return;
    }
    let read: Karyotype = text.parse().expect("what is valid is read");
    let printed = read.to_string();
    let again = check(&printed);
    assert!(again.valid, "{printed}: {again:?}");
    assert_eq!(
        (again.modal_count, again.sex_complement, again.abnormalities),
        (report.modal_count, report.sex_complement, report.abnormalities),
        "{printed}"
    );
});
