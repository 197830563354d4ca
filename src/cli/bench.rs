//! `metaphased bench`: figures of this machine.

use clap::{Args, Subcommand};

use super::{
    Exit, Failure, Global, bench_engines::BenchEngines, bench_imaging::BenchImaging, bench_pipeline::BenchPipeline,
};

/// Figures of this machine.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Time every engine and precision that is here on the same cells, interleaved, and check that they agree.
    Engines(BenchEngines),
    /// Time frames through every edge of the pipeline with stages that do nothing and full queues.
    Pipeline(BenchPipeline),
    /// Time the operations of imaging on one picture, one core.
    Imaging(BenchImaging),
}

impl Bench {
    /// Measures, and prints the figures.
    pub fn run(&self, global: &Global) -> Result<Exit, Failure> {
        match &self.what {
            What::Engines(args) => args.run(global),
            What::Pipeline(args) => args.run(global),
            What::Imaging(args) => args.run(),
        }
    }
}
