//! The records that people and devices rely on: the open cases, and what people do to cells and cases (reviews, answers
//! to alarms, subject data, erasure). Above the store and the case, below the pipeline.

mod casebook;
mod review;
mod scores;
mod service;
mod settings;
mod slides;

pub use casebook::{Acknowledged, CaseBook, CaseChange};
pub use review::{ReviewContext, Reviewed, reviewed};
pub use scores::{ClassScorer, ClassScores, Scored};
pub use service::RecordService;
pub use settings::{CaseBookError, CaseBookSettings};
pub use slides::SlideBook;
