//! Whatever the counts, curves and settings: an answer or a clear error, never NaN, never a panic, limits in order.

#![allow(clippy::unwrap_used)]

use dosimetry::*;
use metaphased::curve_files::read_curve;
use proptest::prelude::*;

/// A curve as a laboratory might bring it, with errors that may be large.
fn curves() -> impl Strategy<Value = Curve> {
    (0.0..0.01, 0.0..0.9, -0.01..0.3, prop::array::uniform3(0.0..2.0f64), prop::array::uniform3(-0.9..0.9f64))
        .prop_filter_map("a curve that is one", |(c, alpha, beta, errors, correlations)| {
            let se = [errors[0] * 0.001, errors[1] * 0.02, errors[2] * 0.02];
            let v = |i: usize, j: usize, r: f64| se[i] * se[j] * r;
            let [ca, cb, ab] = correlations;
            let covariance = [
                [v(0, 0, 1.0), v(0, 1, ca), v(0, 2, cb)],
                [v(0, 1, ca), v(1, 1, 1.0), v(1, 2, ab)],
                [v(0, 2, cb), v(1, 2, ab), v(2, 2, 1.0)],
            ];
            let range = Some((Gray::new(0.0).unwrap(), Gray::new(5.0).unwrap()));
            Curve::new("any", Assay::Dicentrics, [c, alpha, beta], Some(covariance), range, About::default()).ok()
        })
}

fn histograms() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![Just(0u64), 0..10u64, 0..1000u64], 1..12)
}

fn in_order(value: f64, low: Option<f64>, high: Option<f64>) -> bool {
    value.is_finite()
        && low.is_none_or(|low| low.is_finite() && low >= 0.0 && low <= value + 1e-9)
        && high.is_none_or(|high| high.is_finite() && high >= value - 1e-9)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn estimates_are_finite_and_in_order(
        curve in curves(),
        histogram in histograms(),
        method in prop_oneof![Just(Method::Likelihood), Just(Method::Merkle), Just(Method::Delta)],
        level in 0.5..0.999f64,
        hours in 0.0..200.0f64,
        months in 0.0..60.0f64,
    ) {
        let Ok(sample) = Sample::from_histogram(histogram) else { return Ok(()) };
        let settings = Settings {
            method,
            level: Some(Level::new(level).unwrap()),
            protraction: Protraction::lea_catcheside(hours, 2.0).unwrap(),
            remaining: Remaining::after(months, 36.0).unwrap(),
            partial_body: PartialBodyWhen::Always,
            ..Settings::default()
        };
        let Ok(found) = estimate(&sample, &curve, &settings) else { return Ok(()) };
        let d = found.dose_gy;
        prop_assert!(in_order(d.value, d.low, d.high), "{d:?}");
        prop_assert!(in_order(found.yield_.value, found.yield_.low, found.yield_.high), "{:?}", found.yield_);
        if let Some(p) = found.partial_body {
            prop_assert!(in_order(p.dose_gy.value, p.dose_gy.low, p.dose_gy.high), "{p:?}");
            prop_assert!(in_order(p.fraction.value, p.fraction.low, p.fraction.high), "{p:?}");
            prop_assert!(p.fraction.value <= 1.0);
        }
        let text = serde_json::to_string(&found).unwrap();
        // serde_json writes a NaN as null: read back it would not be the same.
        let back: Estimate = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(back.warnings, found.warnings);
    }

    #[test]
    fn two_doses_and_mixed_fields_never_break(curve in curves(), histogram in histograms(), ratio in 0.01..100.0f64) {
        let Ok(sample) = Sample::from_histogram(histogram) else { return Ok(()) };
        let floor = Yield::new(YIELD_FLOOR).unwrap();
        if let Ok(t) = two_doses(&sample, curve.acute(), CellSurvival::default(), floor, Level::P95) {
            prop_assert!(t.fractions.iter().all(|f| (0.0..=1.0).contains(f)), "{t:?}");
            prop_assert!(t.doses.iter().all(|d| d.value.value().is_finite()), "{t:?}");
            prop_assert!(t.yields[0].value >= t.yields[1].value, "{t:?}");
        }
        let neutron = built_in("neutron_biodosetools").unwrap();
        if let Ok(m) = mixed_field(&sample, &curve, &neutron, ratio, 0.1, Level::P95) {
            prop_assert!(m.total.value.value().is_finite());
            prop_assert!(in_order(m.gamma.value.value(), m.gamma.low.map(Gray::value), m.gamma.high.map(Gray::value)));
        }
    }

    #[test]
    fn fits_answer_or_say_why_not(
        rows in prop::collection::vec((0.0..6.0f64, 1..5000u64, 0..400u64), 0..12),
        linear: bool,
        constrained: bool,
    ) {
        let points: Vec<FitPoint> = rows
            .into_iter()
            .filter_map(|(dose, cells, x)| {
                Some(FitPoint { dose: Gray::new(dose).ok()?, sample: Sample::from_totals(cells, x).ok()? })
            })
            .collect();
        let model = if linear { Model::Linear } else { Model::LinearQuadratic };
        if let Ok(found) = fit(&points, &FitOptions { model, constrained, ..FitOptions::default() }) {
            prop_assert!(found.coefficients.iter().chain(&found.errors).all(|v| v.is_finite()), "{found:?}");
            prop_assert!(!constrained || found.coefficients.iter().all(|v| *v >= 0.0), "{found:?}");
        }
    }

    #[test]
    fn dose_points_may_come_in_any_order(
        rows in prop::collection::vec((0.0..6.0f64, 100..5000u64, 0..400u64), 4..9),
        turn in 1..8usize,
    ) {
        let points = |rows: &[(f64, u64, u64)]| -> Vec<FitPoint> {
            let point = |&(dose, cells, x): &(f64, u64, u64)| FitPoint {
                dose: Gray::new(dose).unwrap(),
                sample: Sample::from_totals(cells, x).unwrap(),
            };
            rows.iter().map(point).collect()
        };
        let mut turned = rows.clone();
        turned.rotate_left(turn % rows.len());
        turned.reverse();
        let (one, other) = (fit(&points(&rows), &FitOptions::default()), fit(&points(&turned), &FitOptions::default()));
        prop_assert_eq!(one.is_ok(), other.is_ok());
        if let (Ok(one), Ok(other)) = (one, other) {
            for (a, b) in one.coefficients.iter().zip(other.coefficients) {
                prop_assert!((a - b).abs() <= 1e-6 * (1.0 + a.abs()), "{a} and {b}");
            }
        }
    }

    #[test]
    fn a_yield_below_the_background_is_no_dose_with_an_upper_limit(
        c in 0.0005..0.005f64,
        cells in 1..5000u64,
        share in 0.0..1.0f64,
        method in prop_oneof![Just(Method::Likelihood), Just(Method::Merkle), Just(Method::Delta)],
    ) {
        let curve = Curve::new("c", Assay::Dicentrics, [c, 0.02, 0.06], None, None, About::default()).unwrap();
        let sample = Sample::from_totals(cells, (c * share * cells as f64) as u64).unwrap();
        let found = estimate(&sample, &curve, &Settings { method, ..Settings::default() }).unwrap();
        prop_assert_eq!(found.dose_gy.value, 0.0);
        prop_assert!(found.dose_gy.low.is_none_or(|low| low == 0.0));
        prop_assert!(found.warnings.iter().any(|w| w.contains("background")), "{:?}", found.warnings);
        if method != Method::Delta && found.dose_gy.high.unwrap() <= 0.0 {
            prop_assert!(found.warnings.iter().any(|w| w.contains("does not fit")), "{:?}", found.dose_gy);
        }
    }

    #[test]
    fn covariances_of_any_kind_are_used_or_refused(
        v in prop::array::uniform6(prop_oneof![Just(0.0), -1e-3..1e-3f64, Just(f64::NAN), Just(f64::INFINITY)]),
        counts in histograms(),
    ) {
        let matrix = [[v[0], v[1], v[2]], [v[1], v[3], v[4]], [v[2], v[4], v[5]]];
        match Curve::new("v", Assay::Dicentrics, [0.001, 0.02, 0.06], Some(matrix), None, About::default()) {
            Err(error) => prop_assert!(error.to_string().contains("varianc"), "{error}"),
            Ok(curve) => {
                let Ok(sample) = Sample::from_histogram(counts) else { return Ok(()) };
                if let Ok(found) = estimate(&sample, &curve, &Settings::default()) {
                    let d = found.dose_gy;
                    prop_assert!(in_order(d.value, d.low, d.high), "{d:?}");
                }
            }
        }
    }

    #[test]
    fn limits_grow_with_the_sample(cells in 1..3000u64, control in 0..30u64) {
        let control = Control::Counted(Sample::from_totals(1000, control).unwrap());
        let at = |n| characteristic_limits(&control, n, 0.05, 0.1, None).unwrap();
        let (small, large) = (at(cells), at(2 * cells));
        prop_assert!(large.decision_threshold >= small.decision_threshold);
        prop_assert!(small.detection_limit > small.decision_threshold as f64);
    }

    #[test]
    fn curve_files_of_any_text_are_read_or_refused(text in "\\PC{0,200}", c in any::<f64>(), v in any::<f64>()) {
        let _ = read_curve(&text, "any.toml");
        let numbers = format!("schema = \"curve/1\"\nid = \"x\"\nc = {c:e}\nalpha = 0.02\nbeta = {v:e}\n");
        if let Ok(curve) = read_curve(&numbers, "numbers.toml") {
            prop_assert!(curve.coefficients().iter().all(|k| k.is_finite()));
        }
    }

    #[test]
    fn more_dicentrics_never_mean_less_dose(x in 0..300u64, n in 50..1000u64) {
        let curve = built_in(DEFAULT_CURVE).unwrap();
        let at = |x| likelihood(&Sample::from_totals(n, x).unwrap(), curve.acute(), Level::P95).unwrap().dose;
        let (less, more) = (at(x), at(x + 1));
        prop_assert!(less.value <= more.value);
        prop_assert!(less.low.unwrap().value() <= more.low.unwrap().value() + 1e-6, "{less:?} {more:?}");
        prop_assert!(less.high.unwrap().value() <= more.high.unwrap().value() + 1e-6, "{less:?} {more:?}");
    }
}

#[test]
fn millions_of_cells_are_answered_soon() {
    let curve = built_in(DEFAULT_CURVE).unwrap();
    let started = std::time::Instant::now();
    for (n, x) in [(10_000_000, 10_000_000), (10_000_000, 0), (5_000_000, 12_345), (200_000, 10_000_000 / 2)] {
        let found = estimate(&Sample::from_totals(n, x).unwrap(), &curve, &Settings::default()).unwrap();
        assert!(in_order(found.dose_gy.value, found.dose_gy.low, found.dose_gy.high), "{x}/{n}: {:?}", found.dose_gy);
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn every_curve_taken_for_percent_is_refused() {
    for listed in list().into_iter().filter(|c| c.refused.is_none() && c.assay == Assay::Dicentrics) {
        let percent = listed.coefficients.map(|k| k.unwrap() * 100.0);
        let found = Curve::new(listed.id.clone(), Assay::Dicentrics, percent, None, None, About::default());
        assert!(found.is_err(), "{}: {percent:?} went through", listed.id);
    }
}
