//! How cells become cases: what the configuration says, checked.

use crate::{
    case::{AlarmSettings, CaseSettings, DoseSettings},
    config::Config,
    curve_files,
};
use domain::{Assay, ErrorKind, HasKind};
use dosimetry::{self, DosimetryError, Gray, Method, Protraction, Settings};

/// Hours in which half of the sublethal damage is repaired (IAEA 2011 uses 2 h for dicentrics).
const REPAIR_HOURS: f64 = 2.0;

/// How cells become cases.
#[derive(Debug, Clone)]
pub struct CaseBookSettings {
    /// Station.
    pub station: String,
    /// Assay.
    pub assay: Assay,
    /// Karyotype cases.
    pub case: CaseSettings,
    /// Dose cases.
    pub dose: DoseSettings,
    /// Alarm, where one is configured.
    pub alarm: Option<AlarmSettings>,
    /// Sums of centromeres that count as complete.
    pub accepted_centromeres: [u32; 2],
}

/// A curve, method or level that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseBookError {
    /// The curve.
    #[error("dose.curve = \"{name}\": {reason}; see `metaphased dose curves`")]
    Curve {
        /// As configured.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Another setting.
    #[error("dose.{key}: {reason}")]
    Setting {
        /// Which key.
        key: &'static str,
        /// Why not.
        reason: String,
    },
}

impl HasKind for CaseBookError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Config
    }
}

impl CaseBookSettings {
    /// As configured.
    ///
    /// # Errors
    /// When the curve, the method or a level cannot be used.
    pub fn from_config(config: &Config) -> Result<Self, CaseBookError> {
        let dose = &config.dose;
        let wrong = |key| move |error: DosimetryError| CaseBookError::Setting { key, reason: error.to_string() };
        let curve = match std::fs::read_to_string(&dose.curve) {
            Ok(text) => curve_files::read_curve(&text, &dose.curve),
            Err(_) => dosimetry::built_in(&dose.curve),
        }
        .map_err(|error| CaseBookError::Curve { name: dose.curve.clone(), reason: error.to_string() })?;
        let method = match dose.method.as_deref() {
            None | Some("likelihood") => Method::Likelihood,
            Some("merkle") => Method::Merkle,
            Some("delta") => Method::Delta,
            Some(other) => {
                let reason = format!("\"{other}\" is not known: expected \"likelihood\", \"merkle\" or \"delta\"");
                return Err(CaseBookError::Setting { key: "method", reason });
            }
        };
        let protraction = if dose.irradiation_hours > 0.0 {
            Protraction::lea_catcheside(dose.irradiation_hours, REPAIR_HOURS).map_err(wrong("irradiation_hours"))?
        } else {
            Settings::default().protraction
        };
        let fading = dose.fading.into();
        let settings = Settings { method, protraction, fading, ..Settings::default() };
        let alarm = match dose.alarm_gy {
            None => None,
            Some(level) => Some(AlarmSettings {
                level: Gray::new(level).map_err(wrong("alarm_gy"))?,
                hysteresis: Gray::new(dose.alarm_hysteresis_gy).map_err(wrong("alarm_hysteresis_gy"))?,
                min_cells: u64::from(dose.alarm_min_cells),
                needs_review: dose.alarm_needs_review,
            }),
        };
        let mut of_dose = DoseSettings::new(curve, settings);
        of_dose.publish_subject = dose.publish_subject;
        of_dose.alarm_min_cells = u64::from(dose.alarm_min_cells);
        Ok(Self {
            station: config.station.clone(),
            assay: config.assay,
            case: CaseSettings { cells: config.karyotype.cells_per_case, sample: config.karyotype.sample },
            dose: of_dose,
            alarm,
            accepted_centromeres: config.dicentric.accepted_centromeres,
        })
    }

    /// What a dose rests on beside its cells, for the audit: the curve with its figures, method, levels, circumstances, and
    /// the alarm in force.
    pub(super) fn provenance(&self, alarm: Option<AlarmSettings>) -> serde_json::Value {
        let DoseSettings { curve, settings, half_width, triage_cells, full, .. } = &self.dose;
        serde_json::json!({
            "curve": dosimetry::CurveUsed::from(curve),
            "method": settings.method,
            "level": settings.level.unwrap_or(settings.method.usual_level()).value(),
            "protraction": settings.protraction.value(),
            "d0_gy": settings.survival.d0().value(),
            "accepted_centromeres": self.accepted_centromeres,
            "half_width_gy": half_width.value(),
            "triage_cells": triage_cells,
            "full": full,
            "alarm_gy": alarm.map(|alarm| alarm.level.value()),
            "alarm_hysteresis_gy": alarm.map(|alarm| alarm.hysteresis.value()),
            "alarm_min_cells": alarm.map(|alarm| alarm.min_cells),
            "alarm_needs_review": alarm.map(|alarm| alarm.needs_review),
        })
    }
}
