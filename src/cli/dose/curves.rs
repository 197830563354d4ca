//! `metaphased dose curves`.

use super::{curve, show};
use crate::{
    cli::{
        Exit, Failure,
        output::{print, print_json},
    },
    curve_files::write_curve,
};
use clap::Args;
use comfy_table::{Table, presets::NOTHING};
use dosimetry::list;

#[derive(Debug, Args)]
pub struct Curves {
    /// Print this curve as a curve file (TOML), to start one of your own.
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// One JSON array.
    #[arg(long, conflicts_with = "id")]
    json: bool,
}

impl Curves {
    pub fn run(&self) -> Result<Exit, Failure> {
        if let Some(id) = &self.id {
            let curve = curve::load(Some(id))?;
            print(&write_curve(&curve))?;
            return Ok(Exit::Done);
        }
        let curves = list();
        if self.json {
            print_json(&curves)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["curve", "counts", "radiation", "c", "alpha", "beta", ""]);
        for c in curves {
            let [k0, k1, k2] = c.coefficients.map(show);
            let state = if c.refused.is_some() { "incomplete: refused".to_owned() } else { c.verified };
            table.add_row([c.id, c.assay.to_string(), c.radiation, k0, k1, k2, state]);
        }
        print(&table.to_string())?;
        Ok(Exit::Done)
    }
}
