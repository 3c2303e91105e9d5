//! Specifications of durations.

use std::time::Duration;

use jobwatch_simulator::{Durations, DurationsError, LONGEST};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Sorted seconds of many draws.
fn draws(spec: &str) -> Vec<f64> {
    let durations = Durations::parse(spec).expect("a specification");
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut drawn: Vec<f64> = (0..20_000).map(|_| durations.sample(&mut rng).as_secs_f64()).collect();
    drawn.sort_by(f64::total_cmp);
    drawn
}

fn about(value: f64, expected: f64) -> bool {
    (value / expected - 1.0).abs() < 0.05
}

#[expect(clippy::cast_precision_loss, reason = "a count of draws")]
fn mean(drawn: &[f64]) -> f64 {
    drawn.iter().sum::<f64>() / drawn.len() as f64
}

#[test]
fn every_form_reads_back() {
    for (given, written) in [
        ("uniform:20..40", "uniform:20..40"),
        (" uniform: 500ms .. 1h30m", "uniform:0.5..5400"),
        ("constant:5", "constant:5"),
        ("fixed:0.000000001", "constant:0.000000001"),
        ("constant:3650d", "constant:315360000"),
        ("lognormal:480,0.5", "lognormal:480,0.5"),
        ("lognormal:8m,0", "lognormal:480,0"),
        ("exponential:60", "exponential:60"),
        ("pareto:1.5,10", "pareto:1.5,10"),
        ("list:5, 2,9", "list:5,2,9"),
        ("mix:0.6*lognormal:30,0.2 + 0.4*lognormal:600,0.2", "mix:0.6*lognormal:30,0.2+0.4*lognormal:600,0.2"),
    ] {
        let durations = Durations::parse(given).unwrap();
        assert_eq!(durations.to_string(), written);
        assert_eq!(written.parse::<Durations>().unwrap(), durations);
    }
    assert_eq!(Durations::default().to_string(), "uniform:20..40");
}

#[test]
fn distributions_have_their_shape() {
    let uniform = draws("uniform:20..40");
    assert!(uniform[0] >= 20.0 && uniform[19_999] <= 40.0);
    assert!(about(mean(&uniform), 30.0));
    assert!(about(draws("lognormal:480,0.5")[10_000], 480.0));
    assert!(about(mean(&draws("exponential:60")), 60.0));
    let pareto = draws("pareto:1.5,10");
    assert!(pareto[0] >= 10.0);
    assert!(about(pareto[10_000], 10.0 * 2_f64.powf(1.0 / 1.5)));
    let mix = draws("mix:3*constant:5+1*constant:50");
    let short = mix.iter().filter(|drawn| **drawn < 6.0).count();
    assert!((14_500..15_500).contains(&short), "{short}");
}

#[test]
fn wild_draws_are_cut() {
    let longest = LONGEST.as_secs_f64();
    for spec in ["lognormal:3000d,50", "pareto:0.001,1", "exponential:3650d"] {
        let drawn = draws(spec);
        assert!(drawn[0] > 0.0 && drawn[19_999] <= longest, "{spec}");
    }
}

#[test]
fn a_file_is_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("durations.txt");
    std::fs::write(&path, "# seconds\n12.5\n\n3 # short\r\n1m30s\n").unwrap();
    let durations = Durations::parse(&format!("file:{}", path.display())).unwrap();
    let expected = [12_500, 3_000, 90_000].map(Duration::from_millis);
    assert_eq!(durations.recorded(), Some(&expected[..]));
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for number in 0..7 {
        let drawn = durations.nth(number, &mut rng);
        assert_eq!(drawn, expected[usize::try_from(number % 3).unwrap()]);
    }
    assert!(expected.contains(&durations.sample(&mut rng)));
    assert_eq!(durations.to_string().parse::<Durations>().unwrap(), durations);
}

#[test]
fn bad_files_are_refused_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("durations.txt");
    std::fs::write(&path, "1\n\nsoon\n").unwrap();
    let error = Durations::file(&path).unwrap_err();
    assert!(matches!(error, DurationsError::BadLine { line: 3, .. }));
    assert!(error.to_string().contains("durations.txt, line 3: 'soon' is not a time"));

    std::fs::write(&path, "# nothing\n").unwrap();
    let error = Durations::file(&path).unwrap_err().to_string();
    assert!(error.ends_with("durations.txt holds no durations"), "{error}");

    let error = Durations::file(folder.path().join("missing")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read durations from"));
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn bad_specifications_are_refused_with_a_reason() {
    for (spec, part) in [
        ("", "want one of uniform:20..40"),
        ("20..40", "want one of uniform:20..40"),
        ("normal:5,1", "want one of uniform:20..40"),
        ("uniform:20", "as in uniform:20..40"),
        ("uniform:40..20", "the low end 40 is above the high end"),
        ("uniform:0..20", "'0' is not above zero"),
        ("uniform:a..20", "'a' is not a time"),
        ("constant:-5", "'-5' is not a time"),
        ("constant:3651d", "'3651d' is longer than 3650d"),
        ("constant:", "is empty"),
        ("lognormal:480", "as in lognormal:480,0.5"),
        ("lognormal:480,NaN", "'NaN' is not a plain decimal number"),
        ("lognormal:480,-1", "'-1' is not a plain decimal number"),
        ("pareto:0,10", "the shape 0 is not a finite number above zero"),
        ("list:", "is empty"),
        ("mix:", "wants WEIGHT*FORM"),
        ("mix:0*constant:5", "the weight 0 is not"),
        ("mix:1*file:x", "cannot hold a file"),
        ("mix:1*mix:1*constant:5", "cannot hold a file or another mix"),
        ("mix:1*constant:x", "'x' is not a time"),
    ] {
        let error = Durations::parse(spec).unwrap_err().to_string();
        assert!(error.contains(part), "{spec}: {error}");
    }
    assert!(Durations::list([]).is_err());
    assert!(Durations::mix(Vec::new()).is_err());
    assert!(Durations::lognormal(LONGEST, f64::INFINITY).is_err());
    assert!(Durations::constant(Duration::ZERO).is_err());
}

#[test]
fn distributions_are_made_without_text_too() {
    let secs = Duration::from_secs;
    for (made, text) in [
        (Durations::uniform(secs(20), secs(40)), "uniform:20..40"),
        (Durations::exponential(secs(60)), "exponential:60"),
        (Durations::pareto(1.5, secs(10)), "pareto:1.5,10"),
    ] {
        assert_eq!(made.expect("it is a distribution").to_string(), text);
    }
    assert!(Durations::uniform(secs(40), secs(20)).is_err());
    assert!(Durations::pareto(-1.0, secs(10)).is_err());
    assert!(Durations::exponential(LONGEST + secs(1)).is_err());
}
