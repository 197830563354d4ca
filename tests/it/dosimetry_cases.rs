//! Every worked case of tests/data/dosimetry_cases.json (published figures and independent recomputations), each
//! within the tolerance it states. Published figures with a known flaw are reached in the compatibility functions.
//! `cargo test --test dosimetry_cases -- --nocapture` prints the largest deviation of each case.

#![allow(clippy::unwrap_used)]

use dosimetry::*;
use serde_json::Value;

const CASES: &str = include_str!("../data/dosimetry_cases.json");

/// One figure: where it stands, what was expected, what came out (none: not available).
type Figure = (String, Option<f64>, Option<f64>);

struct Case<'a> {
    id: &'a str,
    inputs: &'a Value,
    expected: &'a Value,
    published: bool,
}

/// The same curve with zeros for the covariances between coefficients.
fn errors_only(curve: &Curve) -> Curve {
    let full = curve.covariance();
    let diagonal = std::array::from_fn(|i| std::array::from_fn(|j| if i == j { full[i][j] } else { 0.0 }));
    let (assay, about) = (curve.assay(), curve.about().clone());
    Curve::new(curve.id(), assay, curve.coefficients(), Some(diagonal), curve.dose_range(), about).unwrap()
}

impl Case<'_> {
    fn f(&self, key: &str) -> f64 {
        self.inputs[key].as_f64().unwrap_or_else(|| panic!("{}: no number {key}", self.id))
    }
    fn or(&self, key: &str, default: f64) -> f64 {
        self.inputs[key].as_f64().unwrap_or(default)
    }
    fn u(&self, key: &str) -> u64 {
        self.inputs[key].as_u64().unwrap_or_else(|| panic!("{}: no count {key}", self.id))
    }
    fn level(&self, key: &str) -> Level {
        Level::new(self.or(key, 0.95)).unwrap()
    }
    fn curve(&self, key: &str) -> Curve {
        built_in(self.inputs[key].as_str().unwrap()).unwrap()
    }
    fn sample(&self) -> Sample {
        let sample = match self.inputs.get("counts") {
            Some(counts) => Sample::from_histogram(histogram(counts)).unwrap(),
            None => Sample::from_totals(self.u("cells"), self.u("dicentrics")).unwrap(),
        };
        match self.inputs.get("genome_factor").and_then(Value::as_f64) {
            Some(factor) => sample.with_genome(factor, self.or("background_aberrations", 0.0)).unwrap(),
            None => sample,
        }
    }
    fn protraction(&self) -> Protraction {
        match self.inputs.get("hours") {
            Some(_) => Protraction::lea_catcheside(self.f("hours"), self.f("t0")).unwrap(),
            None => Protraction::ACUTE,
        }
    }
    fn survival(&self) -> CellSurvival {
        match self.inputs.get("gamma").and_then(Value::as_f64) {
            Some(gamma) => CellSurvival::from_gamma(gamma, self.or("gamma_se", 0.0)).unwrap(),
            None => CellSurvival::from_d0(Gray::new(self.or("D0", 2.7)).unwrap()).unwrap(),
        }
    }
    fn one(&self, key: &str, found: Option<f64>) -> Vec<Figure> {
        match self.expected.get(key) {
            Some(value) => vec![(key.to_owned(), value.as_f64(), found)],
            None => vec![],
        }
    }
    fn many(&self, key: &str, found: &[Option<f64>]) -> Vec<Figure> {
        let Some(values) = self.expected.get(key).and_then(Value::as_array) else { return vec![] };
        assert_eq!(values.len(), found.len(), "{} {key}", self.id);
        values.iter().zip(found).enumerate().map(|(i, (v, f))| (format!("{key}[{i}]"), v.as_f64(), *f)).collect()
    }
    fn yield_(&self, key: &str, b: Bounded<Yield>) -> Vec<Figure> {
        self.many(key, &[b.low.map(Yield::value), Some(b.value.value()), b.high.map(Yield::value)])
    }
    fn dose(&self, key: &str, b: Bounded<Gray>) -> Vec<Figure> {
        self.many(key, &[b.low.map(Gray::value), Some(b.value.value()), b.high.map(Gray::value)])
    }
    fn whole(&self, found: WholeBody) -> Vec<Figure> {
        let mut figures = self.yield_("yield_", found.yield_);
        figures.extend(self.dose("dose", found.dose));
        figures.extend(self.one("dose_se", found.dose_error.map(Gray::value)));
        figures
    }
    fn partial(&self, found: PartialBody) -> Vec<Figure> {
        let mut figures = self.yield_("yield_", found.yield_);
        figures.extend(self.dose("dose", found.dose));
        for (key, value) in [("fraction", found.fraction), ("F", found.fraction), ("f", found.scored_fraction)] {
            match self.expected.get(key) {
                Some(Value::Array(_)) => figures.extend(self.many(key, &[value.low, Some(value.value), value.high])),
                _ => figures.extend(self.one(key, Some(value.value))),
            }
        }
        figures
    }
    fn merkle(&self) -> WholeBody {
        let curve = self.curve("curve");
        let scaled = self.inputs["dispersion_scaling"].as_bool().unwrap_or(false);
        let method = if scaled { merkle_scaled_by_dispersion } else { merkle };
        method(&self.sample(), curve.at(self.protraction()), self.level("conf_yield"), self.level("conf_curve"))
            .unwrap()
    }
    fn delta_error(&self, curve: &Curve) -> f64 {
        let found = delta(&self.sample(), curve.acute(), self.level("confidence"), YieldError::Poisson).unwrap();
        found.dose_error.unwrap().value()
    }
}

fn histogram(counts: &Value) -> Vec<u64> {
    counts.as_array().unwrap().iter().map(|c| c.as_u64().unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn points(case: &Case) -> Vec<FitPoint> {
    let rows = case.inputs["counts"].as_array().unwrap().iter();
    rows.map(|row| FitPoint {
        dose: Gray::new(row["D"].as_f64().unwrap()).unwrap(),
        sample: Sample::from_histogram(histogram(&row["counts"])).unwrap(),
    })
    .collect()
}

fn fit_figures(case: &Case) -> Vec<Figure> {
    let model = if case.inputs["model"] == "l" { Model::Linear } else { Model::LinearQuadratic };
    // biodosetools lets a dispersion below 1 shrink the errors; so does the case that says so.
    let shrinks = case.expected["dispersion"].as_f64().is_some_and(|phi| phi < 1.0);
    let family = match case.inputs["family"].as_str().unwrap() {
        "poisson" => Family::Poisson,
        _ if shrinks => Family::QuasiPoissonUnclamped,
        _ => Family::QuasiPoisson,
    };
    let options = FitOptions { model, family, genome_factor: case.or("genome_factor", 1.0), ..Default::default() };
    let points = points(case);
    let found = fit(&points, &options).unwrap();
    let n = if model == Model::Linear { 2 } else { 3 };
    let some = |values: &[f64]| values.iter().map(|v| Some(*v)).collect::<Vec<_>>();
    let v = found.covariance;
    let mut figures = case.many("coef", &some(&found.coefficients[..n]));
    figures.extend(case.many("se", &some(&found.errors[..n])));
    figures.extend(case.many("var", &some(&[v[0][0], v[1][1], v[2][2]][..n])));
    figures.extend(case.many("cov_upper", &some(&[v[0][0], v[0][1], v[0][2], v[1][1], v[1][2], v[2][2]])));
    figures.extend(case.one("dispersion", found.dispersion));
    figures.extend(case.one("loglik", Some(found.log_likelihood)));
    figures.extend(table_figures(case, &points));
    figures
}

fn table_figures(case: &Case, points: &[FitPoint]) -> Vec<Figure> {
    let samples: Vec<&Sample> = points.iter().map(|p| &p.sample).collect();
    let column = |f: &dyn Fn(&Sample) -> Option<f64>| samples.iter().map(|s| f(s)).collect::<Vec<_>>();
    let mut figures = case.many("N", &column(&|s| Some(s.cells() as f64)));
    figures.extend(case.many("X", &column(&|s| Some(s.aberrations() as f64))));
    figures.extend(case.many("dispersion_index", &column(&|s| s.dispersion().index)));
    figures.extend(case.many("u", &column(&|s| s.dispersion().u)));
    figures
}

fn figures(kind: &str, case: &Case) -> Vec<Figure> {
    match kind {
        "fit" => fit_figures(case),
        "aberration_table" => table_figures(case, &points(case)),
        "dispersion" => {
            let s = case.sample();
            let mut figures = case.one("N", Some(s.cells() as f64));
            figures.extend(case.one("X", Some(s.aberrations() as f64)));
            figures.extend(case.one("yield_", Some(s.mean().value())));
            figures.extend(case.one("variance", s.variance()));
            figures.extend(case.one("dispersion_index", s.dispersion().index));
            figures.extend(case.one("u", s.dispersion().u));
            figures
        }
        "u_test_undefined" => case.one("u", case.sample().dispersion().u),
        "poisson_limits_exact" => {
            let (low, high) = poisson_limits(case.u("count"), case.level("confidence"));
            [case.one("lower", Some(low)), case.one("upper", Some(high))].concat()
        }
        "regression_confidence_factor" => {
            let levels = numbers(&case.inputs["confidence"]);
            let curves = [case_curve("neutron_biodosetools"), case_curve("co60_barquinero1995")];
            let rows = case.expected["R"].as_array().unwrap();
            let mut figures = Vec::new();
            for (row, curve) in rows.iter().zip(&curves) {
                for (expected, level) in numbers(row).into_iter().zip(&levels) {
                    let found = curve.acute().band_factor(Level::new(*level).unwrap());
                    figures.push(("R".to_owned(), Some(expected), Some(found)));
                }
            }
            figures
        }
        "whole_body_merkle"
        | "whole_body_merkle_scaled"
        | "whole_body_merkle_linear"
        | "translocation_merkle_scaled"
        | "translocation_merkle" => case.whole(case.merkle()),
        "whole_body_delta" | "whole_body_delta_linear" => {
            let poisson = case.inputs["yield_error"].as_str().is_some_and(|e| e.starts_with("sqrt(X)"));
            let error = if poisson { YieldError::Poisson } else { YieldError::Automatic };
            let curve = case.curve("curve");
            case.whole(delta(&case.sample(), curve.at(case.protraction()), case.level("confidence"), error).unwrap())
        }
        "translocation_delta" => {
            let understated = case.inputs["yield_error"].as_str().unwrap().contains("sqrt(genome_factor)");
            let (sample, curve, level) = (case.sample(), case.curve("curve"), case.level("confidence"));
            let found = if understated {
                compatibility::translocation_delta(&sample, curve.acute(), level)
            } else {
                delta(&sample, curve.acute(), level, YieldError::Automatic)
            };
            case.whole(found.unwrap())
        }
        "whole_body_delta_no_covariance" => {
            let full = case.curve("curve");
            let (with, without) = (case.delta_error(&full), case.delta_error(&errors_only(&full)));
            let mut figures = case.one("dose_se", Some(without));
            figures.extend(case.one("dose_se_zero", Some(without)));
            figures.extend(case.one("dose_se_full", Some(with)));
            figures.extend(case.one("ratio_to_full", Some(without / with)));
            figures
        }
        "partial_body_dolphin" | "partial_body_dolphin_fraction" => {
            let curve = case.curve("curve");
            let response = curve.at(case.protraction());
            case.partial(dolphin(&case.sample(), response, case.survival(), case.level("confidence")).unwrap())
        }
        "translocation_dolphin" => {
            let curve = case.curve("curve");
            let method = if case.published { compatibility::translocation_dolphin } else { dolphin };
            case.partial(method(&case.sample(), curve.acute(), case.survival(), case.level("confidence")).unwrap())
        }
        "zero_truncated_mean" => {
            let (x, n, n0) = (case.f("dicentrics"), case.f("cells"), case.f("cells_without"));
            let y = zero_truncated_mean(x / (n - n0));
            let f = y.filter(|y| *y > 0.0).map(|y| x / (y * n));
            [case.one("Y", y), case.one("f", f)].concat()
        }
        "partial_body_qdr" => {
            let curve = case.curve("curve");
            let k = numbers(&case.inputs["excess_acentric_curve"]);
            let acentrics =
                Curve::new("acentrics", Assay::Acentrics, [k[0], k[1], k[2]], None, None, About::default()).unwrap();
            let (x, damaged) = (case.u("dicentrics_plus_rings"), case.u("damaged_cells"));
            let found = qdr(x, damaged, curve.acute(), acentrics.acute()).unwrap();
            [case.one("qdr", Some(found.ratio)), case.one("dose", Some(found.dose.value()))].concat()
        }
        "heterogeneous_mixed_poisson" => {
            let curve = case.curve("curve");
            let floor = Yield::new(case.f("lower_bound")).unwrap();
            let level = case.level("confidence");
            let found = two_doses(&case.sample(), curve.acute(), case.survival(), floor, level).unwrap();
            let mut figures = Vec::new();
            for i in 0..2 {
                for (key, bounded) in [
                    (format!("yield{}", i + 1), found.yields[i].map(Yield::value)),
                    (format!("dose{}", i + 1), found.doses[i].map(Gray::value)),
                ] {
                    figures.extend(case.many(&key, &[bounded.low, Some(bounded.value), bounded.high]));
                    if case.expected.get(&key).is_some_and(Value::is_number) {
                        figures.extend(case.one(&key, Some(bounded.value)));
                    }
                }
            }
            figures.extend(case.one("fraction1", Some(found.scored_fraction)));
            figures.extend(case.one("F1", Some(found.fractions[0])));
            figures.extend(case.many("F", &found.fractions.map(Some)));
            let independent = compatibility::two_doses_fraction_error(&found, case.survival());
            figures.extend(case.one("F_se", if case.published { independent } else { found.fraction_error }));
            figures.extend(case.one("neg_loglik", Some(found.negative_log_likelihood)));
            figures
        }
        "protraction_G" => {
            let g = Protraction::lea_catcheside(case.f("hours"), case.f("t0")).unwrap();
            case.one("G", Some(g.value()))
        }
        "characteristic_limits" | "characteristic_limits_known_background" => {
            let control = match case.inputs.get("background_per_cell") {
                Some(rate) => Control::Rate(Yield::new(rate.as_f64().unwrap()).unwrap()),
                None => Control::Counted(
                    Sample::from_totals(case.u("control_cells"), case.u("control_dicentrics")).unwrap(),
                ),
            };
            let limits: Vec<CharacteristicLimits> = histogram(&case.inputs["cells"])
                .into_iter()
                .map(|n| characteristic_limits(&control, n, case.f("alpha"), case.f("beta"), None).unwrap())
                .collect();
            let thresholds: Vec<_> = limits.iter().map(|l| Some(l.decision_threshold as f64)).collect();
            let detections: Vec<_> = limits.iter().map(|l| Some(l.detection_limit)).collect();
            [case.many("decision_threshold", &thresholds), case.many("detection_limit", &detections)].concat()
        }
        "characteristic_limit_doses" => {
            let curve = case.curve("curve");
            let cells = numbers(&case.inputs["cells"]);
            let dose = |count: f64, n: f64| curve.acute().dose_of(Yield::new(count / n).unwrap()).ok().map(Gray::value);
            let thresholds = numbers(&case.inputs["decision_threshold"]);
            let limits = numbers(&case.inputs["detection_limit"]);
            let least: Vec<_> = thresholds.iter().zip(&cells).map(|(y, n)| dose(y + 1.0, *n)).collect();
            let at: Vec<_> = limits.iter().zip(&cells).map(|(y, n)| dose(*y, *n)).collect();
            [case.many("minimum_resolvable_dose", &least), case.many("dose_at_detection_limit", &at)].concat()
        }
        "proband_vs_control" => {
            let person = Sample::from_totals(case.u("case_cells"), case.u("case_dicentrics")).unwrap();
            let control = Sample::from_totals(case.u("control_cells"), case.u("control_dicentrics")).unwrap();
            case.one("p_value", Some(compare_with_control(&person, &control)))
        }
        "odds_ratio" => {
            let curve = case.curve("curve");
            let gray = |key| Gray::new(case.f(key)).unwrap();
            let ln = ln_odds(&case.sample(), curve.acute(), gray("dose_a"), gray("dose_b")).unwrap();
            [case.one("log_ratio", Some(ln)), case.one("P_a_over_P_b", Some(ln.exp()))].concat()
        }
        "mixed_field" => {
            let found = mixed_field(
                &case.sample(),
                &case.curve("gamma_curve"),
                &case.curve("neutron_curve"),
                case.f("gamma_to_neutron_ratio"),
                case.f("photon_contamination"),
                Level::P95,
            )
            .unwrap();
            let mut figures = Vec::new();
            for (key, b) in [("gamma", found.gamma), ("neutron", found.neutron), ("total", found.total)] {
                let b = b.map(Gray::value);
                figures.extend(case.many(key, &[Some(b.value), b.low, b.high]));
            }
            figures
        }
        "genome_factor" => {
            let sex = if case.inputs["sex"] == "male" { GenomeSex::Male } else { GenomeSex::Female };
            let colours: Vec<Vec<String>> = case.inputs["colours"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| {
                    let names = c.as_array().unwrap().iter();
                    names.map(|n| n.as_str().map_or_else(|| n.to_string(), str::to_owned)).collect()
                })
                .collect();
            case.one("factor", Some(genome_factor(sex, &colours).unwrap()))
        }
        "genome_constant" => case.one("constant", Some(LUCAS)),
        "translocation_background_manual" => {
            let found = expected_translocations(case.u("cells"), case.f("genome_factor"), case.f("frequency"));
            case.one("expected", Some(found))
        }
        "translocation_background_sigurdson" => {
            let ages = numbers(&case.inputs["age"]);
            let rates: Vec<_> =
                ages.into_iter().map(|age| translocation_rate(Person { age, modifier: 1.0 }).ok()).collect();
            case.many("per_cell_full_genome", &rates)
        }
        "time_correction" => {
            let left = Remaining::after(case.f("months"), case.f("half_life_months")).unwrap();
            case.one("multiplier", Some(1.0 / left.value()))
        }
        other => panic!("{}: no test for kind {other}", case.id),
    }
}

fn case_curve(id: &str) -> Curve {
    built_in(id).unwrap()
}

/// Allowed distance for a figure: absolute, relative or of rounding.
fn allowed(tolerance: &Value, key: &str, expected: f64) -> f64 {
    if let Some(abs) = tolerance["abs"].as_f64() {
        return abs;
    }
    if let Some(rel) = tolerance["rel"].as_f64() {
        return rel * expected.abs();
    }
    let decimals = &tolerance["rounded_to_decimals"];
    let name = key.split('[').next().unwrap();
    let decimals = decimals.as_i64().or(decimals[name].as_i64()).unwrap_or_else(|| panic!("no tolerance for {key}"));
    // Half of the last digit, and the same again where the published figure was cut instead of rounded.
    10f64.powi(-i32::try_from(decimals).unwrap()) * 1.000_001
}

#[test]
fn every_worked_case_is_within_its_tolerance() {
    let all: Value = serde_json::from_str(CASES).unwrap();
    let cases = all["cases"].as_array().unwrap();
    assert!(cases.len() >= 99);
    let (mut failures, mut checked) = (Vec::new(), 0);
    println!("| case | kind | origin | figures | largest deviation |\n|---|---|---|---|---|");
    for case in cases {
        let (id, kind) = (case["id"].as_str().unwrap(), case["kind"].as_str().unwrap());
        let published = case["origin"] == "published";
        let view = Case { id, inputs: &case["inputs"], expected: &case["expected"], published };
        let found = figures(kind, &view);
        assert!(!found.is_empty(), "{id}: nothing compared");
        let mut largest = 0.0f64;
        for (key, expected, ours) in &found {
            checked += 1;
            match (expected, ours) {
                (None, None) => {}
                (Some(e), Some(o)) => {
                    largest = largest.max((e - o).abs());
                    // Figures printed to ten digits cannot be met closer than their last one.
                    if o.is_nan() || (e - o).abs() > allowed(&case["tolerance"], key, *e) {
                        failures.push(format!("{id} {kind} {key}: expected {e}, found {o}"));
                    }
                }
                _ => failures.push(format!("{id} {kind} {key}: expected {expected:?}, found {ours:?}")),
            }
        }
        let origin = if published { "published" } else { "derived" };
        println!("| {id} | {kind} | {origin} | {} | {largest:.1e} |", found.len());
    }
    assert!(failures.is_empty(), "{} of {checked} figures are off:\n{}", failures.len(), failures.join("\n"));
}
