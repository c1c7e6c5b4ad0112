//! Everything earned so far, in memory: rebuilt from the store at the start and then read forward from it.

use shoal_ledger::{
    AcceptedWork, AddressError, BaseUnits, Earnings, Epoch, EpochError, EvmAddress, NodeHash,
    earnings::TotalOverflow,
    outbox::{EpochRecord, worth_closing},
};
use shoal_wire::{
    api::{RewardClaim, RewardsInfo},
    ids::NodeId,
};

use crate::store::{Store, StoreError};

/// Rows read at once; each is about a kilobyte.
const PAGE: u32 = 1000;

/// A book that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored payout address that cannot be paid.
    #[error("stored payout address: {0}")]
    Address(#[from] AddressError),
    /// More was earned than the token can have.
    #[error(transparent)]
    Overflow(#[from] TotalOverflow),
    /// The entries make no epoch.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The store's receipts and bindings do not give the root that was posted: rows were lost or changed.
    #[error("epoch {number} has root {stored} in the store, its receipts give {derived}")]
    RootDiffers {
        /// The epoch.
        number: u64,
        /// As stored.
        stored: String,
        /// As derived.
        derived: String,
    },
}

/// The ledger's state.
#[derive(Debug, Default)]
pub struct Book {
    earnings: Earnings,
    through_receipt: u64,
    through_binding: u64,
    /// The epoch in force on chain.
    posted: Option<Epoch>,
}

impl Book {
    /// The book of everything in the store.
    ///
    /// # Errors
    /// Whatever the store holds that it cannot hold.
    pub async fn load(store: &Store) -> Result<Self, BookError> {
        let mut book = Self::default();
        if let Some(record) = store.newest_posted_epoch().await? {
            book.read(store, record.through_receipt, record.through_binding).await?;
            book.posted = Some(book.derive(&record)?);
        }
        book.refresh(store).await?;
        Ok(book)
    }

    /// Reads what is new in the store.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn refresh(&mut self, store: &Store) -> Result<(), BookError> {
        self.read(store, u64::MAX, u64::MAX).await
    }

    /// Reads rows up to the marks.
    async fn read(&mut self, store: &Store, last_receipt: u64, last_binding: u64) -> Result<(), BookError> {
        loop {
            let rows = store.bindings_after(self.through_binding, PAGE).await?;
            let wanted: Vec<_> = rows.iter().take_while(|row| row.sequence <= last_binding).collect();
            for row in &wanted {
                self.earnings.bind(row.node, EvmAddress::new(row.payout)?);
                self.through_binding = row.sequence;
            }
            if wanted.len() < PAGE as usize {
                break;
            }
        }
        loop {
            let rows = store.receipts_after(self.through_receipt, PAGE).await?;
            let wanted: Vec<_> = rows.iter().take_while(|row| row.sequence <= last_receipt).collect();
            for row in &wanted {
                let receipt = &row.receipt;
                let payout = receipt.payout.map(EvmAddress::new).transpose()?;
                let work = AcceptedWork { node: receipt.worker, payout, reference_ops: receipt.reference_ops };
                self.earnings.credit(&work)?;
                self.through_receipt = row.sequence;
            }
            if wanted.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// The tree of a stored epoch, when the book is at its marks.
    fn derive(&self, record: &EpochRecord) -> Result<Epoch, BookError> {
        let epoch = Epoch::close(record.number, &self.earnings)?;
        if epoch.root() != record.root {
            let (stored, derived) = (record.root.to_string(), epoch.root().to_string());
            return Err(BookError::RootDiffers { number: record.number, stored, derived });
        }
        Ok(epoch)
    }

    /// Closes an epoch over everything payable and stores it, if there is anything new.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn close_epoch(&mut self, store: &Store) -> Result<(), BookError> {
        self.refresh(store).await?;
        let newest = store.newest_epoch().await?;
        if !worth_closing(newest, self.earnings.payable_total()) {
            return Ok(());
        }
        let number = newest.map_or(1, |record| record.number + 1);
        let epoch = Epoch::close(number, &self.earnings)?;
        let (through_receipt, through_binding) = (self.through_receipt, self.through_binding);
        let (root, total) = (epoch.root(), epoch.total());
        store.insert_epoch(&EpochRecord { number, through_receipt, through_binding, root, total }).await?;
        Ok(())
    }

    /// Notes that a stored epoch is in force on chain: its claims are handed out from now on.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn set_posted(&mut self, store: &Store, record: &EpochRecord) -> Result<(), BookError> {
        if self.posted.as_ref().is_some_and(|epoch| epoch.root() == record.root) {
            return Ok(());
        }
        let mut at_marks = Self::default();
        at_marks.read(store, record.through_receipt, record.through_binding).await?;
        self.posted = Some(at_marks.derive(record)?);
        Ok(store.mark_posted(record.number).await?)
    }

    /// What a node, an address, or everybody has earned.
    pub fn info(&self, node: Option<NodeId>, payout: Option<EvmAddress>) -> RewardsInfo {
        let node_hash = node.map(NodeHash::from);
        let wanted = |of: &NodeHash, to: &EvmAddress| {
            node_hash.is_none_or(|node| node == *of) && payout.is_none_or(|payout| payout == *to)
        };
        let entries = self.earnings.entries().filter(|entry| wanted(&entry.node, &entry.payout));
        let payable: BaseUnits = entries.map(|entry| entry.cumulative).sum();
        let held = match (node, payout) {
            (Some(node), None) => self.earnings.of(node).held,
            (None, None) => self.earnings.held_total(),
            (_, Some(_)) => BaseUnits::ZERO,
        };
        let claims = self.posted.iter().flat_map(|epoch| {
            let nodes = epoch.entries().iter().filter(|entry| wanted(&entry.node, &entry.payout));
            nodes.flat_map(|entry| epoch.claims(&entry.node).into_iter().filter(|claim| claim.payout == entry.payout))
        });
        RewardsInfo {
            epoch: self.posted.as_ref().map_or(0, Epoch::number),
            root: self.posted.as_ref().map(|epoch| epoch.root().to_string()),
            payable: payable.to_string(),
            held: held.to_string(),
            claims: claims.map(claim).collect(),
            chain: None,
        }
    }
}

fn claim(claim: shoal_ledger::Claim) -> RewardClaim {
    RewardClaim {
        epoch: claim.epoch,
        node_hash: claim.node_hash.to_string(),
        payout: claim.payout.to_string(),
        cumulative: claim.cumulative.to_string(),
        proof: claim.proof.iter().map(ToString::to_string).collect(),
    }
}
