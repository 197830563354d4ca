//! Neutrons and gamma rays together, as in a criticality accident.

use super::{Bounded, Curve, DosimetryError, Gray, Level, Sample, numeric};

/// Doses of a mixed field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixedField {
    /// Gamma dose.
    pub gamma: Bounded<Gray>,
    /// Neutron dose.
    pub neutron: Bounded<Gray>,
    /// Their sum.
    pub total: Bounded<Gray>,
}

/// Solves `Y = (c_n + c_g)/2 + (alpha_g + r alpha_n) D + (beta_g + r^2 beta_n) D^2` for the gamma dose D, where
/// `r = D_n/D_g` is one over `gamma_to_neutron` (IAEA 2011, criticality accidents). Both curves' backgrounds are of the
/// same people, so their mean is used. `contamination` is the share of photons in the field that made the neutron
/// curve, taken off its coefficients. Limits by the delta method over both curves and the count.
pub fn mixed_field(
    sample: &Sample,
    gamma_curve: &Curve,
    neutron_curve: &Curve,
    gamma_to_neutron: f64,
    contamination: f64,
    level: Level,
) -> Result<MixedField, DosimetryError> {
    if !(1e-6..=1e6).contains(&gamma_to_neutron) {
        return Err(DosimetryError::Quantity {
            what: "ratio of gamma to neutron dose",
            found: gamma_to_neutron,
            allowed: "a number above 0",
        });
    }
    if !(0.0..0.99).contains(&contamination) {
        return Err(DosimetryError::Quantity {
            what: "share of photons in the neutron field",
            found: contamination,
            allowed: "0 to below 0.99",
        });
    }
    if gamma_curve.assay() != neutron_curve.assay() {
        return Err(DosimetryError::AssayMismatch {
            id: neutron_curve.id().into(),
            curve: neutron_curve.assay(),
            sample: gamma_curve.assay(),
        });
    }
    let r = 1.0 / gamma_to_neutron;
    let p = contamination;
    let keep = 1.0 - p;
    let [cg, ag, bg] = gamma_curve.coefficients();
    let [cn, an_raw, bn_raw] = neutron_curve.coefficients();
    let an = (an_raw - p * ag) / keep;
    // A neutron curve that is less bent than its photons alone would make it counts as straight.
    let bent = bn_raw - p * p * bg > 0.0;
    let bn = if bent { (bn_raw - p * p * bg) / (keep * keep) } else { 0.0 };
    let (c, a, b) = ((cn + cg) / 2.0, ag + r * an, bg + r * r * bn);

    let y = sample.mean().value();
    let d = positive_root(y - c, a, b).ok_or_else(|| {
        DosimetryError::NotApplicable(format!("the two curves never reach a yield of {y:.4} per cell"))
    })?;

    let slope = a + 2.0 * b * d;
    let square = if bent { r * r * d * d / (keep * keep) } else { 0.0 };
    let by_gamma = nalgebra::Vector3::new(0.5, d - r * d * p / keep, d * d - p * p * square);
    let by_neutron = nalgebra::Vector3::new(0.5, r * d / keep, square);
    let n = sample.cells() as f64;
    let variance = (by_gamma.transpose() * gamma_curve.covariance * by_gamma)[0]
        + (by_neutron.transpose() * neutron_curve.covariance * by_neutron)[0]
        + sample.aberrations() as f64 / (n * n);
    let error = variance.max(0.0).sqrt() / slope;
    let z = numeric::normal_quantile(1.0 - level.tail());
    let known = error.is_finite() && sample.aberrations() > 0;
    let times = |factor: f64| Bounded {
        value: Gray::clamped(d * factor),
        low: known.then(|| Gray::clamped((d - z * error) * factor)),
        high: known.then(|| Gray::clamped((d + z * error) * factor)),
    };
    Ok(MixedField { gamma: times(1.0), neutron: times(r), total: times(1.0 + r) })
}

fn positive_root(excess: f64, a: f64, b: f64) -> Option<f64> {
    if excess <= 0.0 {
        return Some(0.0);
    }
    let discriminant = a * a + 4.0 * b * excess;
    let d = 2.0 * excess / (a + discriminant.max(0.0).sqrt());
    (discriminant >= 0.0 && d.is_finite() && d >= 0.0).then_some(d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::built_in;

    fn accident(x: u64, n: u64, p: f64) -> MixedField {
        let (gamma, neutron) = (built_in("co60_barquinero1995"), built_in("neutron_biodosetools"));
        let sample = Sample::from_totals(n, x).expect("counts");
        mixed_field(&sample, &gamma.expect("gamma"), &neutron.expect("neutron"), 1.78, p, Level::P95).expect("doses")
    }

    #[test]
    fn doses_add_up_and_keep_their_ratio() {
        let found = accident(109, 62, 0.0);
        assert!((found.gamma.value.value() - 2.786_758_292).abs() < 1e-8);
        assert!((found.gamma.value.value() / found.neutron.value.value() - 1.78).abs() < 1e-12);
    }

    #[test]
    fn photons_in_the_neutron_field_raise_its_share() {
        // Taking slower photons off the neutron curve steepens what is left, so the same yield needs less dose.
        let (pure, mixed) = (accident(109, 62, 0.0), accident(109, 62, 0.1));
        assert!(mixed.gamma.value < pure.gamma.value);
    }

    #[test]
    fn no_dicentrics_give_no_dose_and_no_limits() {
        let found = accident(0, 62, 0.0);
        assert_eq!((found.total.value, found.total.high), (Gray::ZERO, None));
    }
}
