//! Behaviour of the whole program, one file a subject, with the real parts that users have.

#![allow(clippy::unwrap_used, missing_docs)]

mod analyze;
mod broker;
#[cfg(target_os = "linux")]
mod cameras;
mod case_command;
mod check_config;
mod command_line;
mod cut_cells;
mod daemon;
mod datasets;
mod dose_cases;
mod dose_cli;
mod dose_station;
mod dosimetry_cases;
mod dosimetry_properties;
mod editing;
#[cfg(feature = "embedded-broker")]
mod embedded_broker;
mod engines;
mod flat_field;
mod genicam;
mod golden_cells;
mod imaging_properties;
mod imaging_support;
mod iscn_check;
mod layers;
mod messages;
mod mqtt;
mod pipeline;
mod pipeline_support;
mod proxy;
mod push;
mod reports;
mod simulate;
mod status_command;
mod store;
mod survival;
mod triage_frames;
mod web;
mod web_page;
mod web_people;
mod web_support;
mod web_words;
mod web_work;
