use proptest::prelude::*;

use super::*;

fn severity(text: &str) -> Option<Severity> {
    check(text).severity
}

#[test]
fn every_case_of_the_table_is_judged_as_it_says() {
    let mut rows = csv::Reader::from_reader(include_bytes!("../../../../tests/data/iscn_cases.csv").as_slice());
    let headers = rows.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|h| h == name).unwrap();
    let (string, valid, count, sex, sev) =
        (column("string"), column("valid"), column("modal_count"), column("sex_complement"), column("severity"));
    let mut wrong = Vec::new();
    let mut total = 0;
    for row in rows.records() {
        let row = row.unwrap();
        total += 1;
        let report = check(&row[string]);
        let said = report.severity.map(|s| s.to_string()).unwrap_or_default();
        if (report.valid != (&row[valid] == "yes"))
            || said != row[sev]
            || report.modal_count != row[count]
            || report.sex_complement != row[sex]
        {
            wrong.push(format!("{} {:?}\n    wanted {:?}", &row[0], report, &row));
        }
    }
    assert_eq!(total, 255);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn printing_a_valid_case_gives_a_string_that_reads_the_same() {
    let mut rows = csv::Reader::from_reader(include_bytes!("../../../../tests/data/iscn_cases.csv").as_slice());
    let mut valid = 0;
    for row in rows.records().map(Result::unwrap).filter(|row| &row[2] == "yes") {
        let karyotype: Karyotype = row[1].parse().unwrap();
        let printed = karyotype.to_string();
        assert_eq!(printed.parse::<Karyotype>().as_ref(), Ok(&karyotype), "{} printed as {printed}", &row[1]);
        assert_eq!(severity(&printed), None, "{printed}");
        valid += 1;
    }
    assert_eq!(valid, 156);
}

#[test]
fn the_reason_says_which_count_would_be_right() {
    assert!(check("46,XY,+21").reason.unwrap().contains("47"));
    assert!(check("46,XX,der(14;21)(q10;q10),+21,+21").reason.unwrap().contains("count must be 47"));
    assert!(check("46,XX,i(X)(q10)").reason.unwrap().contains("count must be 47"));
}

#[test]
fn sidelines_add_to_the_line_they_refer_to() {
    assert_eq!(severity("46,XX,t(8;21)(q22;q22)[12]/45,sl,-X[19]/46,sdl1,+8[5]/47,sdl2,+9[8]"), None);
    assert_eq!(severity("46,XX,t(8;21)(q22;q22)[12]/46,sl,-X[19]"), Some(Severity::Fatal));
    assert_eq!(severity("46,XX,t(9;22)(q34;q11.2)[3]/92,idemx2[4]"), None);
    assert_eq!(severity("46,idem,+8[3]"), Some(Severity::Fatal));
    assert_eq!(severity("47,XX,+8[3]/48,sdl3,+9[4]"), Some(Severity::Fatal));
}

#[test]
fn nothing_follows_a_number_of_cells() {
    for text in [
        "46,XX,t(9;22)(q34;q11)[20] -7",
        "46,XX,t(9;22)(q34;q11)[20] and del(5)(q13q33) in 3 cells",
        "46,XX,t(9;22)(q34;q11),inv(3)(q21q26)[20] +8",
        "46,XX[20] -7",
        "46,XX[20]c",
        "45~46,XX,-7[3] -8,+9[2][cp10]",
    ] {
        let report = check(text);
        assert_eq!(report.severity, Some(Severity::Fatal), "{text}");
        assert!(report.reason.as_deref().unwrap_or_default().contains("after the number of cells"), "{report:?}");
    }
    assert_eq!(severity("45~46,XX,-7[3],+9[2][cp10]"), None);
}

#[test]
fn a_number_is_written_in_one_way() {
    for text in [
        "046,XX",
        "47,XX,+08",
        "46,XX[05]",
        "46,XX[+5]",
        "47~048,XX,+8[cp3]",
        "47,XX,+8x02",
        "46,XX[3]/92,idemx+2[4]",
        "46,XX<+2n>",
    ] {
        assert_eq!(severity(text), Some(Severity::Fatal), "{text}");
    }
}

#[test]
fn numbers_at_the_end_of_what_is_counted_are_judged() {
    let most = u32::MAX;
    for text in [
        format!("{most},XX,+1"),
        format!("46,XX,+{most}marx{most},+{most}marx{most}"),
        format!("46,XX[1]/92,idemx{most}[1]/92,sdl1x{most}[1]/92,sdl2x{most}[1]"),
    ] {
        assert_eq!(severity(&text), Some(Severity::Fatal), "{text}");
    }
}

#[test]
fn nothing_that_may_be_an_abnormality_is_left_out() {
    for text in ["46,XX,t(9;22)(q34;q11) -7", "47,XX,+21 del(5)(q13q33)", "47,XX,+8 seen twice"] {
        assert_eq!(severity(text), Some(Severity::Fatal), "{text}");
    }
}

#[test]
fn the_detailed_system_counts_as_the_short_one() {
    for (detailed, short) in [
        ("46,XX,del(5)(pter→q13::q33→qter)", "46,XX,del(5)(q13q33)"),
        ("46,XX,del(5)(pter->q13:)", "46,XX,del(5)(q13)"),
        ("46,XY,t(9;22)(9pter→9q34.1::22q11.2→22qter;22pter→22q11.2::9q34.1→9qter)", "46,XY,t(9;22)(q34.1;q11.2)"),
        ("46,XX,r(7)(::p22→q36::)", "46,XX,r(7)(p22q36)"),
        ("45,XX,dic(5;13)(5pter→5q31::13q14→13pter)", "45,XX,dic(5;13)(q31;q14)"),
        ("47,X,i(X)(qter→cen→qter)[3]/46,XX[9]", "47,X,i(X)(q10)[3]/46,XX[9]"),
        ("46,XX,inv(2)(pter→p21::q31→p21::q31→qter)", "46,XX,inv(2)(p21q31)"),
        ("46,XX,add(19)(?::p13.3→qter)", "46,XX,add(19)(p13.3)"),
    ] {
        let [a, b] = [detailed, short].map(check);
        assert_eq!((a.severity, &a.reason), (b.severity, &b.reason), "{detailed}");
        assert_eq!((&a.modal_count, &a.sex_complement), (&b.modal_count, &b.sex_complement));
        assert_eq!(a.abnormalities, b.abnormalities, "{detailed}");
    }
    let kept = "46,XX,der(1)(3qter→3q21::1p34.3→1qter)";
    assert_eq!(severity(kept), None, "{:?}", check(kept));
    let parsed: Karyotype = kept.parse().unwrap();
    assert_eq!(parsed.to_string(), kept);
    assert_eq!(severity("46,XX,del(5)(pter→q13::q99→qter)"), Some(Severity::Fatal), "no such band");
    assert_eq!(severity("46,XX,del(5)(pter→13::q33→qter)"), Some(Severity::Fatal), "a band without an arm");
    assert_eq!(severity("46,XY,t(9;22)(9pter→9q34.1::22q11.2→22qter"), Some(Severity::Fatal), "unclosed");
}

#[test]
fn other_nomenclatures_are_refused_by_name() {
    for text in
        ["46,XX.ish del(22)(q11.2q11.2)(D22S75-)", "arr[GRCh38] 22q11.21(18912231_21465659)x1", "nuc ish(D8Z1x3)[100]"]
    {
        assert_eq!(severity(text), Some(Severity::Fatal), "{text}");
    }
    assert!(check("46,XX.ish del(22)(q11.2q11.2)").reason.unwrap().contains("in situ"));
}

#[test]
fn forms_beside_the_table_are_judged_by_the_same_rules() {
    for text in [
        "23,X",
        "23,Y",
        "92,XXXX",
        "47,XXX",
        "69,XXY",
        "70,XXY,+21",
        "46,XY,inv(9)(p12q13)",
        "46,XX,16qh+",
        "46,X,Yqh+",
        "46,X,idic(X)(p11.2)",
        "45,X,der(X;13)(q10;q10)",
        "46,XX,der(7)t(2;7)(q21;p22)dn",
        "47,XXYc[20]",
        "48,XY,+21c,+mar dn[10]",
        "46,XX,t(5;14;9)(q13q23;q24q21;p12p23)",
        "46,XX,del(13)(q?14q22)",
        "46,XY[12]//46,XX[8]",
        "43,XY,psu dic(9;4)(q34;q35)x2,dic(17;20)(p11.2;q11.2)[3]",
        "46,XY,upd(15)mat",
        "46,XX,upd(X)pat",
        "46,XX,t(2;5)(p12;q31)dnv",
        "47,XX,+mar dnv",
        "49,XX,+3mar,~50dmin[10]",
        "46,XX,>50dmin[4]",
        "47,XX,+8 or +9",
        "47,XX,+8 or 9",
        "47,XX,+mar or +r[5]",
        "47,XX,+r(8)",
        "47,XX,+r(?)[4]",
        "48,XX,+mar1x2[5]",
        "46,XX,14cenh+pstk+ps+",
        "46,XY,9phqh",
        "46,XY,9ph",
        "46,XX,17ps",
        "46,X,Yqs",
        "46,XX,1q41h+",
        "46,XX,13pss",
        "46,XX,14pstkstk",
        "46,XX,15cenh+mat,15ps+pat",
        "46,XX,var(13)(p13)",
        "46,XX,del(1)(?q21)",
        "46,XX,del(1)(q2?1)",
        "46,XX,del(1)(q21?)",
        "26<n>,X,+4,+6,+21[12]",
        "46,XY,t(9;22)(q34;q11.2)[3]/46,sl,t(3;6)(q21;p21)[4]/45,sdl1,-7[5]/46,sdl2,+8[6]",
        "47,XX,+8[2]/46,XX[10]//46,XY[8]",
        "46,XX,der(5)add(5)(p15)del(5)(q13)",
        "46,XX,der(1)t(1;3)(p32;q21)t(1;11)(q25;q13)",
        "46,XX,der(8)ins(8;?)(q22;?)",
        "46,XX,der(14)del(14)(q24q32)neo(14)(q24)",
        "46,XX,der(1)hsr(1)(p22)hsr(1)(q31)",
        "45,XX,psu dic(15;13)(q12;q12)mat",
        "46,X,psu idic(Y)(q11.2)",
        "46,t(X;Y)(p22.3;p11.3)",
        "47,XY,+?8",
        "46,XX,inv(2)(p11.2q13)mat",
        "46,XY,t(2;7;5)(p21;q22;q23)",
        "46,XX,t(5;14;9;22)(q13;q24;p12;q11.2)",
        "46,XX,i(18)(p10)",
        "70,XXY,+8[5]",
        "75~79<3n>,XXX,+8[cp5]",
        "46,XX,t(9;22)(q34;q11.2)[12]/92,idemx2[3]",
    ] {
        assert_eq!(severity(text), None, "{text}: {:?}", check(text).reason);
    }
    for text in [
        "46,XX,-5,+der(5)t(5;11)(p15.2;q23)",
        "46,XX,-14,+der(14;21)(q10;q10)",
        "45,X,-Y",
        "47,XX,+ 21",
        "46,XX, del(5)(p15.2)",
        " 46,XX",
        "46,XX[15]/45,X[5]",
        "45,XX,rob(14;13)(q10;q10)",
        "47,XX,+21mat,+8".replace("47", "48").as_str(),
        "47,XX,+ace".replace("47", "46").as_str(),
        "46,XX,del(5p)",
        "46,XX/46,XY",
        "46,XX,+8,-7,i(17)(q10)[10]",
        "46,XX,upd(15)",
        "48,XX,+8x2[10]",
        "46,XX,r(7)",
        "46,XX,chtb(4)(q25)",
        "46,XX,chte(4;10)(q25;q22)",
        "46,XX,chrg(X)(q22)",
        "46,XX,2min",
        "46,XX,inv dup(15)(q11.2q13)",
    ] {
        assert_eq!(severity(text), Some(Severity::Convention), "{text}: {:?}", check(text).reason);
    }
    for text in [
        "47,XX,+23",
        "47,XX,r(7)(p15q31)",
        "47,XX,r",
        "46,XX,inv(3)(q21)",
        "46,XX,inv(3)(q26.2q21)",
        "46,XX,i(17)",
        "46,XX,T(9;22)(q34;q11.2)",
        "46,XX,t(9;22)q34;q11.2)",
        "46,XX,del(5)",
        "chi 46,XX[20]",
        "46,XX,+8~[10]",
        "46,XX,+21[cp0]",
        "45,XY,rob(13;14)(q10)",
        "46/XX",
        "46,,XX",
        "46,XX/",
        "/46,XX[4]",
        "//",
        "46,XX//46,XY//46,XX",
        "9999999999999,XX",
        "46,XX,+99999999999mar",
        "((((",
        "46,XX,der(1)",
        "é,XX",
        "46,XXé",
        "46,XX,~dmin",
        "47,XX,+8 or -9",
        "48,XX,+8 or 9 or +10",
        "46,XX,16qh",
        "46,XX,13pst+",
        "46,XX,upd(15;15)mat",
        "46,XX,chte(4)(q25)",
        "46,XX,~50mar",
        "45,XX,+r(8)",
        "46,XX,upd(15)(q11)mat",
    ] {
        assert_eq!(severity(text), Some(Severity::Fatal), "{text}: {:?}", check(text).reason);
    }
}

fn arm() -> impl Strategy<Value = Arm> {
    prop_oneof![Just(Arm::Short), Just(Arm::Long)]
}

fn chromosome() -> impl Strategy<Value = ChromosomeRef> {
    (0..24_usize, any::<bool>()).prop_map(|(i, uncertain)| ChromosomeRef {
        class: domain::ChromosomeClass::from_index(i),
        uncertain: uncertain && i % 5 == 0,
        arm: None,
    })
}

fn breakpoint() -> impl Strategy<Value = Breakpoint> {
    let band = prop_oneof![
        Just("11.2".to_owned()),
        Just("11".to_owned()),
        Just("?".to_owned()),
        Just("1?".to_owned()),
        Just("10".to_owned()),
        Just("ter".to_owned())
    ];
    (arm(), band, prop::option::of(arm()), any::<bool>()).prop_map(|(arm, band, until, uncertain)| Breakpoint {
        uncertain,
        arm: Some(arm),
        band,
        until: until.map(|arm| (arm, "13".to_owned())),
        or: None,
    })
}

fn segment() -> impl Strategy<Value = Segment> {
    let kinds = prop::sample::select(Abbreviation::ALL);
    (kinds, prop::collection::vec(chromosome(), 1..4), prop::collection::vec(breakpoint(), 3), any::<bool>()).prop_map(
        |(kind, chromosomes, points, pseudo)| Segment {
            uncertain: false,
            pseudo: pseudo && kind == Abbreviation::Dic,
            kind,
            breakpoints: points.into_iter().take(chromosomes.len()).map(|p| vec![p]).collect(),
            chromosomes,
            detailed: None,
        },
    )
}

fn item() -> impl Strategy<Value = Item> {
    let sign = prop_oneof![Just(Some(Sign::Gain)), Just(Some(Sign::Loss))];
    let whole = (sign, chromosome()).prop_map(|(sign, mut chromosome)| {
        // A question mark before a whole chromosome belongs to the item.
        let uncertain = std::mem::take(&mut chromosome.uncertain);
        Item { uncertain, ..Item::new(sign, Body::Whole(chromosome)) }
    });
    let structural = (prop::option::of(Just(Sign::Gain)), segment(), prop::option::of(2..4_u32), any::<bool>())
        .prop_map(|(sign, segment, times, certain)| {
            let mut item = Item::new(sign, Body::Structural(vec![segment]));
            item.times = times;
            item.constitutional = certain.then_some(Constitutional::Certain);
            item
        });
    let marker = (1..5_u32, prop::option::of(Just(Inheritance::DeNovo))).prop_map(|(n, inheritance)| {
        let kind = Unidentified::Marker;
        let mut item = Item::new(
            Some(Sign::Gain),
            Body::Unidentified { kind, quantity: (n > 1).then(|| Span::exact(n)), index: None },
        );
        item.inheritance = inheritance;
        item
    });
    let sign = prop_oneof![Just(Sign::Gain), Just(Sign::Loss)];
    let either = (sign, 0..22_usize, any::<bool>()).prop_map(|(sign, i, signed_each)| {
        let other = domain::ChromosomeClass::from_index(i + 1).unwrap();
        let mut item = Item::whole(sign, domain::ChromosomeClass::from_index(i).unwrap());
        item.readings.push(Body::Whole(ChromosomeRef::known(other)));
        Item { signed_each, ..item }
    });
    let minutes = (1..90_u32, any::<bool>(), prop::option::of(1..9_u32)).prop_map(|(low, rough, more)| {
        let high = more.filter(|_| !rough).map(|more| low + more);
        let quantity =
            Some(Span { low, high, rough: rough.then_some(if low % 2 == 0 { Rough::Above } else { Rough::About }) });
        Item::new(None, Body::Unidentified { kind: Unidentified::DoubleMinute, quantity, index: None })
    });
    let feature =
        prop::sample::select(vec![VariantFeature::Heterochromatin, VariantFeature::Stalk, VariantFeature::Satellite]);
    let part =
        (prop::option::of(arm()), prop::option::of(Just("41".to_owned())), feature, any::<bool>(), any::<bool>())
            .prop_map(|(arm, band, feature, double, larger)| {
                let heterochromatin = feature == VariantFeature::Heterochromatin;
                match arm {
                    Some(arm) => Variant {
                        arm: Some(arm),
                        band,
                        feature,
                        double: double && !heterochromatin,
                        larger: Some(larger),
                    },
                    // The centromere has heterochromatin alone.
                    None => Variant {
                        arm,
                        band: None,
                        feature: VariantFeature::Heterochromatin,
                        double: false,
                        larger: Some(larger),
                    },
                }
            });
    let variant = (0..24_usize, prop::collection::vec(part, 1..4)).prop_map(|(i, parts)| {
        let class = domain::ChromosomeClass::from_index(i).unwrap();
        Item::new(None, Body::Variant { chromosome: ChromosomeRef::known(class), parts })
    });
    prop_oneof![whole, structural, marker, either, minutes, variant]
}

proptest! {
    /// Whatever the parser's grammar can build is printed so that it reads the same again; the line reader is used,
    /// so that a made-up item may break a rule of the validator and still count.
    #[test]
    fn printed_lines_read_the_same(
        count in 1..120_u32,
        (x, y) in (0..4_u32, 0..3_u32),
        items in prop::collection::vec(item(), 0..5),
        cells in prop::option::of((1..60_u32, any::<bool>())),
    ) {
        prop_assume!(x + y > 0);
        let line = CellLine {
            count: Span::exact(count),
            ploidy: None,
            base: Base::Sex(SexComplement { chromosomes: SexChromosomes::Known { x, y }, constitutional: None }),
            items,
            cells: cells.map(|(number, composite)| Cells { number, composite }),
        };
        let karyotype = Karyotype { origin: None, lines: vec![line], recipient_lines: None };
        let printed = karyotype.to_string();
        let reading = parse::read(&printed);
        prop_assert!(reading.faults.is_empty(), "{printed}: {:?}", reading.faults);
        prop_assert_eq!(reading.karyotype, karyotype, "{}", printed);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,60}") {
        let report = check(&text);
        prop_assert_eq!(report.valid, report.reason.is_none());
    }

    #[test]
    fn no_karyotype_like_text_makes_the_reader_panic(text in "(46|47|0|~|mos |chi )?[,/]?[0-9XYUpqtderidcmax(;)\\[\\]?~+,./ -]{0,50}") {
        let report = check(&text);
        prop_assert_eq!(report.valid, report.reason.is_none());
    }
}
