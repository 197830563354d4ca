//! The records that people and devices rely on: the open cases, and what people do to cells and cases (reviews, answers
//! to alarms, subject data, erasure). Above the store and the case, below the pipeline.

mod casebook;
mod review;
mod scores;
mod service;
mod slides;

pub use casebook::{Acknowledged, CaseBook, CaseBookError, CaseBookSettings, CaseChange};
pub use review::{ReviewContext, Reviewed, reviewed};
pub use scores::{ClassScorer, ClassScores, Scored};
pub use service::RecordService;
pub use slides::SlideBook;
