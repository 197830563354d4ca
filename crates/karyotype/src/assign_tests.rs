use super::*;

/// Objects of a cell with the given copy numbers; each sure of its class but for `doubt`, spread over the others.
pub(crate) fn cell(copy_numbers: &[(&str, usize)], doubt: f32) -> Vec<Evidence> {
    let mut objects = Vec::new();
    for class in ChromosomeClass::all() {
        let usual = match class {
            ChromosomeClass::X => 2,
            ChromosomeClass::Y => 0,
            _ => 2,
        };
        let n = copy_numbers.iter().find(|(name, _)| *name == class.name()).map_or(usual, |(_, n)| *n);
        for _ in 0..n {
            let mut p = [doubt / 23.0; 24];
            p[class.index()] = 1.0 - doubt;
            objects.push(Evidence::from_probabilities(&p, 0.001, 0.9999));
        }
    }
    objects
}

/// As for a clear cell, of which no box was left out.
fn settings() -> KaryotypeSettings {
    let usual = KaryotypeSettings::default();
    KaryotypeSettings { penalties: usual.penalties.with_unselected(&crate::Unselected::default()), ..usual }
}

fn changed(assignment: &Assignment) -> Vec<(String, u8)> {
    let deviating = assignment.changes.iter().filter(|c| c.number != c.normal && c.posterior > 0.5);
    deviating.map(|c| (c.class.to_string(), c.number)).collect()
}

#[test]
fn a_normal_cell_is_normal_and_sure() {
    for (sex, copy_numbers) in [((2, 0), vec![]), ((1, 1), vec![("X", 1), ("Y", 1)])] {
        let a = assign(&cell(&copy_numbers, 0.05), &settings());
        assert_eq!(a.sex(), sex);
        assert!(a.normal > 0.9, "{a:?}");
        assert!(changed(&a).is_empty());
        assert_eq!(a.missing(), 0);
    }
}

#[test]
fn each_trisomy_and_monosomy_comes_out() {
    for class in ChromosomeClass::all().filter(|c| !c.is_sex()) {
        for n in [1, 3] {
            let a = assign(&cell(&[(class.name(), n)], 0.05), &settings());
            assert_eq!(changed(&a), [(class.to_string(), n as u8)], "{a:?}");
            assert!(a.changes[0].posterior > 0.7, "{class} {n}: {}", a.changes[0].posterior);
        }
    }
}

#[test]
fn sex_aneuploidies_triploidy_and_tetraploidy_come_out() {
    for (x, y) in [(1, 0), (3, 0), (2, 1), (1, 2), (4, 0), (3, 1), (2, 2), (4, 1)] {
        let a = assign(&cell(&[("X", x), ("Y", y)], 0.02), &settings());
        assert_eq!(a.sex(), (x as u8, y as u8));
        assert!(a.sex_posterior > 0.7, "{x} {y} {}", a.sex_posterior);
    }
    let names: Vec<&str> = ChromosomeClass::all().filter(|c| !c.is_sex()).map(|c| c.name()).collect();
    for (ploidy, x, y) in [(3, 2, 1), (3, 3, 0), (4, 2, 2), (1, 1, 0)] {
        let mut copy_numbers: Vec<(&str, usize)> = names.iter().map(|n| (*n, ploidy)).collect();
        copy_numbers.extend([("X", x), ("Y", y)]);
        let a = assign(&cell(&copy_numbers, 0.05), &settings());
        assert_eq!((usize::from(a.ploidy), a.sex()), (ploidy, (x as u8, y as u8)));
        assert!(changed(&a).is_empty(), "{a:?}");
    }
}

#[test]
fn the_cell_settles_what_one_object_leaves_open() {
    // One 21 looks a little more like a 22; the cell has room for it only among the 21.
    let mut objects = cell(&[], 0.05);
    let of_21 = objects.iter().position(|e| e.best().0.name() == "21").unwrap();
    let mut p = [0.001; 24];
    (p[20], p[21]) = (0.45, 0.53);
    objects[of_21] = Evidence::from_probabilities(&p, 0.001, 0.98);
    let a = assign(&objects, &settings());
    assert_eq!(a.classes[of_21].unwrap().name(), "21");
    assert!(a.scores[of_21] > 0.9);
    assert!(a.normal > 0.8, "{}", a.normal);
}

#[test]
fn a_strong_third_copy_is_not_forced_into_a_free_place() {
    // 47 objects with three clear 21 and one clear 22 too few: +21,-22 rather than a changed class.
    let a = assign(&cell(&[("21", 3), ("22", 1)], 0.0001), &settings());
    assert_eq!(changed(&a), [("21".to_owned(), 3), ("22".to_owned(), 1)]);
}

#[test]
fn debris_is_no_chromosome() {
    let mut objects = cell(&[], 0.05);
    let debris = Evidence::from_probabilities(&[1.0 / 24.0; 24], 0.6, 0.1);
    objects.push(debris);
    let a = assign(&objects, &settings());
    assert_eq!(a.classes[46], None);
    assert!(changed(&a).is_empty());
}

#[test]
fn the_closed_assignment_gives_two_of_each() {
    let mut objects = cell(&[], 0.3);
    objects[0] = Evidence::from_probabilities(&[1.0; 24], 0.01, 0.9);
    let classes = assign_closed(&objects, &settings());
    for class in ChromosomeClass::all() {
        let wanted = if class == ChromosomeClass::Y { 0 } else { 2 };
        assert_eq!(classes.iter().filter(|c| **c == class).count(), wanted);
    }
}

#[test]
fn no_object_and_foolish_numbers_do_no_harm() {
    assert!(assign(&[], &settings()).classes.is_empty());
    let foolish = Evidence::from_probabilities(&[f32::NAN; 24], f32::NAN, f32::INFINITY);
    let a = assign(&[foolish], &settings());
    assert!(a.posterior.is_finite() && a.scores[0].is_finite());
}
