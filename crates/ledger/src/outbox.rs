//! What the relay has to tell the chain.
//!
//! The store keeps a record for each closed epoch; the chain is the truth about what was posted. Because epochs are
//! cumulative only the newest record matters: a chain that was away for a week gets one post, and a relay that was
//! killed between sending and noting it asks the chain and goes on. The relay's task is: read the newest record and
//! what is posted, ask [`next_step`], act, repeat.

use crate::{amount::BaseUnits, keccak::Keccak};

/// One closed epoch as the store keeps it. The tree is not kept: it is derived again from the receipts and bindings
/// up to the two marks, and must then have this root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochRecord {
    /// The epoch's number, from 1.
    pub number: u64,
    /// Sequence number, in the store, of the last receipt that is in it; 0 for none.
    pub through_receipt: u64,
    /// Sequence number, in the store, of the last payout binding that is in it; 0 for none.
    pub through_binding: u64,
    /// The root of its tree.
    pub root: Keccak,
    /// The sum of its entries.
    pub total: BaseUnits,
}

/// The epoch in force on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostedEpoch {
    /// The epoch's number, from 1.
    pub number: u64,
    /// The root in force.
    pub root: Keccak,
    /// Its total.
    pub total: BaseUnits,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The newest epoch is in force, or there is none yet.
    UpToDate,
    /// Post this epoch.
    Post(EpochRecord),
    /// The chain knows an epoch that this store does not: the store was rolled back, or somebody else posts with the
    /// relay role. Posting must stop until a person has looked, because a smaller tree takes rewards back.
    ChainAhead {
        /// What the chain knows.
        posted: PostedEpoch,
    },
    /// The chain has another root for the newest epoch. As `ChainAhead`.
    RootDiffers {
        /// The store's newest epoch.
        record: EpochRecord,
        /// What the chain knows.
        posted: PostedEpoch,
    },
}

/// What to do with the newest closed epoch, given what is in force.
pub fn next_step(newest: Option<EpochRecord>, posted: Option<PostedEpoch>) -> Step {
    let (record, posted) = match (newest, posted) {
        (None, None) => return Step::UpToDate,
        (Some(record), None) => return Step::Post(record),
        (None, Some(posted)) => return Step::ChainAhead { posted },
        (Some(record), Some(posted)) => (record, posted),
    };
    if record.number < posted.number || (record.number > posted.number && record.total < posted.total) {
        Step::ChainAhead { posted }
    } else if record.number > posted.number {
        Step::Post(record)
    } else if (record.root, record.total) == (posted.root, posted.total) {
        Step::UpToDate
    } else {
        Step::RootDiffers { record, posted }
    }
}

/// Whether a new epoch is worth closing: something became payable since the newest one.
pub fn worth_closing(newest: Option<EpochRecord>, payable_total: BaseUnits) -> bool {
    payable_total > newest.map_or(BaseUnits::ZERO, |record| record.total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64, root: u8, total: u128) -> EpochRecord {
        let (root, total) = (Keccak([root; 32]), BaseUnits(total));
        EpochRecord { number, through_receipt: 1, through_binding: 1, root, total }
    }

    fn posted(number: u64, root: u8, total: u128) -> PostedEpoch {
        PostedEpoch { number, root: Keccak([root; 32]), total: BaseUnits(total) }
    }

    #[test]
    fn the_newest_epoch_is_posted_once() {
        assert_eq!(next_step(None, None), Step::UpToDate);
        assert_eq!(next_step(Some(record(3, 3, 9)), None), Step::Post(record(3, 3, 9)));
        assert_eq!(next_step(Some(record(3, 3, 9)), Some(posted(1, 1, 9))), Step::Post(record(3, 3, 9)));
        assert_eq!(next_step(Some(record(3, 3, 9)), Some(posted(3, 3, 9))), Step::UpToDate);
    }

    #[test]
    fn a_store_behind_the_chain_posts_nothing() {
        let ahead = Step::ChainAhead { posted: posted(4, 4, 9) };
        assert_eq!(next_step(None, Some(posted(4, 4, 9))), ahead);
        assert_eq!(next_step(Some(record(3, 3, 9)), Some(posted(4, 4, 9))), ahead);
        assert_eq!(next_step(Some(record(5, 5, 8)), Some(posted(4, 4, 9))), ahead);
        let (record, posted) = (record(4, 5, 9), posted(4, 4, 9));
        assert_eq!(next_step(Some(record), Some(posted)), Step::RootDiffers { record, posted });
    }

    #[test]
    fn an_epoch_is_closed_when_something_became_payable() {
        assert!(!worth_closing(None, BaseUnits::ZERO));
        assert!(worth_closing(None, BaseUnits(1)));
        assert!(!worth_closing(Some(record(1, 1, 5)), BaseUnits(5)));
        assert!(worth_closing(Some(record(1, 1, 5)), BaseUnits(6)));
    }
}
