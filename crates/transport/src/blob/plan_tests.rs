//! Examples and properties of the plan of a download.

use proptest::prelude::*;

use super::*;

const GROUP: u64 = BLOB_GROUP_LEN as u64;
const MAX: u64 = 300 * GROUP;

fn plan(lanes: usize) -> Plan {
    let mut plan = Plan::new(MAX);
    plan.set_lanes(lanes);
    plan
}

#[test]
fn with_one_lane_a_claim_is_the_whole_gap() {
    let mut plan = plan(1);
    let (ticket, groups) = plan.claim().unwrap();
    assert_eq!(groups, 0..300);
    assert_eq!(plan.header(ticket, 200 * GROUP + 1), Ok(0..201));
    assert!(plan.claim().is_none());
    for group in 0..70 {
        assert!(plan.verified(group, 200 * GROUP + 1));
    }
    plan.release(ticket);
    assert_eq!(plan.claim().unwrap().1, 70..201);
}

#[test]
fn with_several_lanes_the_end_comes_second_and_proves_the_size() {
    let size = 250 * GROUP;
    let mut plan = plan(4);
    let (first, groups) = plan.claim().unwrap();
    assert_eq!(groups, 0..FIRST_CLAIM_GROUPS);
    assert!(plan.claim().is_none(), "nobody knows how much there is");
    plan.header(first, size).unwrap();
    let (_, end) = plan.claim().unwrap();
    assert_eq!(end, 186..250);
    plan.verified(249, size);
    assert_eq!(plan.proven_size(), Some(size));
    assert_eq!(plan.claim().unwrap().1, 16..64, "up to a piece's boundary");
}

#[test]
fn headers_that_do_not_fit_are_refused() {
    let mut plan = plan(4);
    let (first, _) = plan.claim().unwrap();
    assert_eq!(plan.header(first, MAX + 1), Err(HeaderError::TooLarge { size: MAX + 1, limit: MAX }));
    plan.header(first, 250 * GROUP).unwrap();
    let (second, _) = plan.claim().unwrap();
    let disputed = HeaderError::Disputed { size: 100 * GROUP, before: 250 * GROUP };
    assert_eq!(plan.header(second, 100 * GROUP), Err(disputed));
    plan.release(second);
    assert_eq!(plan.likely_size(), None, "either of them may be right");
    plan.verified(249, 250 * GROUP);
    let (third, _) = plan.claim().unwrap();
    assert_eq!(plan.header(third, 100 * GROUP), Err(HeaderError::Disputed { size: 100 * GROUP, before: 250 * GROUP }));
}

#[test]
fn a_blob_that_ends_before_the_claim_is_refused() {
    let mut plan = plan(1);
    plan.verified(0, 5 * GROUP);
    let (ticket, groups) = plan.claim().unwrap();
    assert_eq!(groups.start, 1);
    assert_eq!(plan.header(ticket, GROUP), Err(HeaderError::Shrunk { size: GROUP, offset: GROUP }));
}

#[derive(Clone, Debug)]
enum Step {
    Claim,
    /// Of the claim of this index: how many groups arrive, and whether it then ends.
    Receive(usize, u64, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Claim),
        (0_usize..8, 0_u64..80, any::<bool>()).prop_map(|(claim, groups, ends)| Step::Receive(claim, groups, ends)),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever fails and in whatever order: nothing is claimed twice, and going on to the end completes the blob.
    #[test]
    fn every_group_is_fetched_once(lanes in 1_usize..6, size in 0_u64..=MAX, steps in steps()) {
        let mut plan = plan(lanes);
        let mut out: Vec<(Ticket, Range<u64>)> = Vec::new();
        let mut fetched = vec![0_u32; group_count(size) as usize];
        let to_the_end = (0..2_000).flat_map(|_| [Step::Claim, Step::Receive(0, u64::MAX, true)]);
        for step in steps.into_iter().chain(to_the_end) {
            match step {
                Step::Claim => if let Some((ticket, groups)) = plan.claim() {
                    let groups = match plan.header(ticket, size) {
                        Ok(groups) => groups,
                        Err(error) => panic!("{error}, claimed {groups:?}"),
                    };
                    for (_, other) in &out {
                        prop_assert!(groups.end <= other.start || other.end <= groups.start, "{groups:?} {other:?}");
                    }
                    prop_assert!(groups.clone().all(|group| !plan.contains(group)));
                    out.push((ticket, groups));
                    prop_assert!(out.len() <= lanes);
                },
                Step::Receive(claim, count, ends) => {
                    if out.is_empty() { continue; }
                    let claim = claim % out.len();
                    let groups = &mut out[claim].1;
                    for _ in 0..count.min(groups.end - groups.start) {
                        prop_assert!(plan.verified(groups.start, size));
                        fetched[groups.start as usize] += 1;
                        groups.start += 1;
                    }
                    if ends {
                        plan.release(out.swap_remove(claim).0);
                    }
                }
            }
            if plan.is_complete() { break; }
        }
        prop_assert!(plan.is_complete());
        prop_assert!(fetched.iter().all(|count| *count == 1));
        prop_assert_eq!(plan.verified_bytes(), size);
    }
}
