//! The average against an independent f64 reference, its independence of arrival, and everything it refuses.

use proptest::prelude::*;
use shoal_learn::{Contribution, LearnError, Parameters, Update, federated_average};

fn parameters(values: &[f32]) -> Parameters {
    Parameters::new([
        ("bias".to_owned(), vec![], vec![values[0]]),
        ("weight".to_owned(), vec![values.len() as u32 - 1], values[1..].to_vec()),
    ])
    .expect("shapes are made from the values")
}

fn flat(parameters: &Parameters) -> Vec<f32> {
    parameters.iter().flat_map(|(_, parameter)| parameter.values.clone()).collect()
}

fn bits(parameters: &Parameters) -> Vec<u32> {
    flat(parameters).iter().map(|value| value.to_bits()).collect()
}

/// Contribution as plain numbers: index, samples, values, and whether the values are a gradient.
#[derive(Clone, Debug)]
struct Plain {
    index: u32,
    samples: u32,
    values: Vec<f32>,
    gradient: bool,
}

const LEARNING_RATE: f32 = 0.1;

fn average(current: &[f32], plain: &[Plain]) -> Result<Parameters, LearnError> {
    let tensors: Vec<Parameters> = plain.iter().map(|plain| parameters(&plain.values)).collect();
    let contributions: Vec<Contribution<'_>> = plain
        .iter()
        .zip(&tensors)
        .map(|(plain, tensors)| Contribution {
            index: plain.index,
            samples: plain.samples,
            update: if plain.gradient {
                Update::Gradient { gradient: tensors, learning_rate: LEARNING_RATE }
            } else {
                Update::Parameters(tensors)
            },
        })
        .collect();
    federated_average(&parameters(current), &contributions)
}

/// The formula in f64, straight from the paper, and the sum of magnitudes that bounds the f32 error.
fn reference(current: &[f32], plain: &[Plain]) -> Vec<(f64, f64)> {
    let total: f64 = plain.iter().map(|plain| f64::from(plain.samples)).sum();
    (0..current.len())
        .map(|element| {
            plain.iter().fold((0.0, 0.0), |(sum, size), plain| {
                let value = f64::from(plain.values[element]);
                let theta = f64::from(current[element]);
                let step = f64::from(LEARNING_RATE) * value;
                let found = if plain.gradient { theta - step } else { value };
                let magnitude = if plain.gradient { theta.abs() + step.abs() } else { value.abs() };
                let weight = f64::from(plain.samples) / total;
                (sum + weight * found, size + weight * magnitude)
            })
        })
        .collect()
}

fn rounds() -> impl Strategy<Value = (Vec<f32>, Vec<Plain>)> {
    // Elements across a block boundary and contributions across a lane boundary.
    (2usize..600, 1usize..40).prop_flat_map(|(elements, units)| {
        let values = || prop::collection::vec(-100.0f32..100.0, elements);
        let plain = (1u32..1000, values(), any::<bool>());
        (values(), prop::collection::vec(plain, units)).prop_map(|(current, units)| {
            let numbered = (0u32..).zip(units);
            let plain = numbered.map(|(index, (samples, values, gradient))| Plain {
                // Holes: indices need not be dense.
                index: index * 3,
                samples,
                values,
                gradient,
            });
            (current, plain.collect())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_the_formula_in_f64((current, plain) in rounds()) {
        let averaged = flat(&average(&current, &plain).unwrap());
        for (element, ((expected, size), got)) in reference(&current, &plain).into_iter().zip(averaged).enumerate() {
            // Weight, product, step and difference round once each, a lane at most ⌈40/16⌉ times, the tree 4 times.
            let bound = 12.0 * f64::from(f32::EPSILON) / 2.0 * size + 1e-30;
            prop_assert!((f64::from(got) - expected).abs() <= bound, "element {}: {} for {}", element, got, expected);
        }
    }

    #[test]
    fn arrival_does_not_matter((current, plain) in rounds(), shuffle in any::<u64>()) {
        let in_order = bits(&average(&current, &plain).unwrap());
        let mut arrived = plain.clone();
        // A fixed permutation from the seed: sort by a hash of the index.
        arrived.sort_by_key(|plain| (u64::from(plain.index) + 1).wrapping_mul(shuffle | 1).rotate_left(17));
        prop_assert_eq!(in_order, bits(&average(&current, &arrived).unwrap()));
    }
}

fn plain(index: u32, samples: u32, values: &[f32]) -> Plain {
    Plain { index, samples, values: values.to_vec(), gradient: false }
}

#[test]
fn sums_by_lanes_and_folds_in_halves() {
    // 17 units of equal weight: unit 16 joins unit 0 in lane 0, lanes 0 and 8 meet first. Values are such that any
    // other order rounds differently.
    let big = 2.0f32.powi(26);
    let mut units: Vec<Plain> = (0..17).map(|index| plain(index, 1, &[0.0, 0.0])).collect();
    for (index, value) in [(0, big), (16, 1.0), (8, -big), (1, 1.0)] {
        units[index].values = vec![value, value];
    }
    let weight = 1.0f32 / 17.0;
    let lane_0 = weight * big + weight * 1.0;
    let expected = (lane_0 + weight * -big) + weight * 1.0;
    assert_eq!(flat(&average(&[0.0, 0.0], &units).unwrap()), [expected, expected]);
    // The same numbers in other lanes: 0 and 1 meet last, so the small one survives.
    units[16].values = vec![0.0, 0.0];
    units[2].values = vec![1.0, 1.0];
    let kept = (weight * big + weight * -big) + weight * 1.0 + weight * 1.0;
    assert_eq!(flat(&average(&[0.0, 0.0], &units).unwrap()), [kept, kept]);
    assert_ne!(kept, expected, "the order of the sum must be visible in this test");
}

#[test]
fn one_gradient_is_one_sgd_step() {
    let mut unit = plain(4, 7, &[1.0, 2.0]);
    unit.gradient = true;
    let averaged = flat(&average(&[1.0, 0.0], &[unit]).unwrap());
    assert_eq!(averaged, [1.0 - 0.1f32 * 1.0, 0.0 - 0.1f32 * 2.0]);
}

#[test]
fn what_is_not_finite_is_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = average(&[0.0, 0.0, 0.0], &[plain(5, 1, &[0.0, 0.0, bad])]).unwrap_err();
        assert_eq!(error, LearnError::NonFinite { index: 5, name: "weight".into(), element: 1 });
    }
    let steep = Plain { gradient: true, ..plain(0, 1, &[0.0, f32::MAX]) };
    let error = average(&[0.0, -f32::MAX], &[steep]).unwrap_err();
    assert_eq!(error, LearnError::Overflow { name: "weight".into(), element: 0 });
    let error = average(&[f32::NAN, 0.0], &[Plain { gradient: true, ..plain(0, 1, &[0.0, 0.0]) }]).unwrap_err();
    assert_eq!(error, LearnError::Overflow { name: "bias".into(), element: 0 });
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let current = [0.0, 0.0, 0.0];
    let fits = plain(0, 1, &current);
    assert_eq!(average(&current, &[]).unwrap_err(), LearnError::NoContributions);
    assert_eq!(average(&current, &[fits.clone(), fits.clone()]).unwrap_err(), LearnError::DuplicateIndex { index: 0 });
    assert_eq!(average(&current, &[plain(9, 0, &current)]).unwrap_err(), LearnError::NoSamples { index: 9 });
    let many = plain(1, u32::MAX, &current);
    assert!(matches!(average(&current, &[fits, many]).unwrap_err(), LearnError::TooManySamples { .. }));
    let short = average(&current, &[plain(2, 1, &[0.0, 0.0])]).unwrap_err();
    let expected = vec![2];
    assert_eq!(short, LearnError::Shape { index: 2, name: "weight".into(), got: vec![1], expected });

    let named =
        |names: &[&str]| Parameters::new(names.iter().map(|name| ((*name).to_owned(), vec![1], vec![0.0]))).unwrap();
    let check = |tensors: &Parameters| {
        let contribution = Contribution { index: 3, samples: 1, update: Update::Parameters(tensors) };
        federated_average(&named(&["a", "b"]), &[contribution]).unwrap_err()
    };
    assert_eq!(check(&named(&["a"])), LearnError::TensorCount { index: 3, got: 1, expected: 2 });
    assert_eq!(check(&named(&["a", "c"])), LearnError::MissingTensor { index: 3, name: "b".into() });
}

#[test]
fn tensors_must_fill_their_shape_and_have_one_name() {
    let length = Parameters::new([("w".to_owned(), vec![2, 2], vec![0.0; 3])]).unwrap_err();
    assert_eq!(length, LearnError::Length { name: "w".into(), shape: vec![2, 2], values: 3 });
    let huge = Parameters::new([("w".to_owned(), vec![u32::MAX; 4], vec![])]).unwrap_err();
    assert!(matches!(huge, LearnError::Length { .. }), "a product that overflows is not a panic");
    let tensor = || ("w".to_owned(), vec![1], vec![0.0]);
    assert_eq!(Parameters::new([tensor(), tensor()]).unwrap_err(), LearnError::DuplicateTensor { name: "w".into() });
}
