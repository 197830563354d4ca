//! The records that people and devices rely on: the open cases, and what people do to cells and cases (reviews, answers
//! to alarms, subject data, erasure). Above the store and the case, below the pipeline.

mod casebook;
mod review;
mod service;
mod slides;

pub use casebook::{Acknowledged, CaseBook, CaseBookError, CaseBookSettings, CaseChange};
pub use review::reviewed;
pub use service::RecordService;
pub use slides::SlideBook;
