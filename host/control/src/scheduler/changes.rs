//! Wakes those who wait for news of a run, once the news is durable.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// From how many runs on those that nobody listens to are looked for.
const TIDY_FROM: usize = 1_024;

/// Who waits for which run.
#[derive(Clone, Default)]
pub struct Changes(Arc<Mutex<HashMap<String, watch::Sender<()>>>>);

impl Changes {
    /// Begins to listen: whatever becomes durable from now on wakes the receiver.
    pub fn listen(&self, run: &str) -> watch::Receiver<()> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= TIDY_FROM {
            // Of a run that has ended no news comes, which would take its listeners out.
            waiting.retain(|_, sender| sender.receiver_count() > 0);
        }
        waiting.entry(run.to_owned()).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Wakes those who listen.
    pub(super) fn tell(&self, run: &str) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = waiting.get(run) {
            if sender.receiver_count() == 0 {
                waiting.remove(run);
            } else {
                sender.send_replace(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_is_woken_by_its_run_only() {
        let changes = Changes::default();
        let mut listener = changes.listen("a");
        changes.tell("b");
        assert!(!listener.has_changed().unwrap());
        changes.tell("a");
        listener.changed().await.unwrap();
        drop(listener);
        changes.tell("a");
        assert!(changes.0.lock().unwrap().is_empty(), "nobody listens any more");
    }

    #[test]
    fn runs_without_listeners_do_not_pile_up() {
        let changes = Changes::default();
        let kept = changes.listen("kept");
        for run in 0..3 * TIDY_FROM {
            drop(changes.listen(&run.to_string()));
        }
        let waiting = changes.0.lock().unwrap();
        assert!(waiting.len() <= TIDY_FROM && waiting.contains_key("kept"), "{}", waiting.len());
        drop(kept);
    }
}
