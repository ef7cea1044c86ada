//! Pipelines that were checked, kept in memory: by what was asked for, so that a revision is
//! checked once, and by digest, so that what is shown of its runs is not read again and again.

use super::Pipeline;
use super::recover::checked;
use crate::store::Store;
use slipway_domain::Revision;
use slipway_domain::grant::Tier;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many are kept of each kind.
const KEPT: usize = 256;

/// What was asked for: pipeline with repository, commit, tier, and the ref, by which conditions hold.
pub(super) type Asked = (String, Revision, Tier, String);

/// The pipelines that are kept.
#[derive(Default)]
pub(super) struct Pipelines(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    checked: HashMap<Asked, Arc<Pipeline>>,
    by_digest: HashMap<String, Arc<Pipeline>>,
}

impl Pipelines {
    /// What a check has found before.
    pub(super) fn checked(&self, asked: &Asked) -> Option<Arc<Pipeline>> {
        self.lock().checked.get(asked).cloned()
    }

    /// Forgets what checks have found: what they were told of plugins is no longer believed.
    pub(super) fn forget_checked(&self) {
        self.lock().checked.clear();
    }

    /// Keeps what a check has found.
    pub(super) fn keep(&self, asked: Asked, pipeline: &Arc<Pipeline>) {
        let mut kept = self.lock();
        bound(&mut kept.checked);
        bound(&mut kept.by_digest);
        kept.checked.insert(asked, Arc::clone(pipeline));
        kept.by_digest.insert(pipeline.digest.clone(), Arc::clone(pipeline));
    }

    /// A pipeline by its digest, from memory or from the store. `None` when it is not stored, or
    /// cannot be read any more.
    pub(super) async fn by_digest(&self, store: &Store, digest: &str) -> sqlx::Result<Option<Arc<Pipeline>>> {
        if let Some(known) = self.lock().by_digest.get(digest) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some((text, facts)) = store.definition(digest).await? else { return Ok(None) };
        let Some(checked) = checked(&text, &facts) else { return Ok(None) };
        let pipeline = Arc::new(Pipeline { digest: digest.to_owned(), text, checked, table: Vec::new() });
        let mut kept = self.lock();
        bound(&mut kept.by_digest);
        kept.by_digest.insert(digest.to_owned(), Arc::clone(&pipeline));
        drop(kept);
        Ok(Some(pipeline))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room. What is thrown away is found again at the cost of a look.
fn bound<K, V>(kept: &mut HashMap<K, V>) {
    if kept.len() >= KEPT {
        kept.clear();
    }
}
