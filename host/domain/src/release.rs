//! Releases: what runs under an app's name, what ran before, and what may run next.

use crate::name::{AppName, Digest, ReleaseId, Revision, RunId};

/// Where a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseState {
    /// Made, without traffic yet.
    Candidate,
    /// Has the app's traffic.
    Live,
    /// Had the traffic and is kept ready.
    Previous,
    /// Had the traffic once; kept as history.
    Retired,
    /// Never got or was taken out of the traffic because it was not good.
    Rejected,
}

impl ReleaseState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Candidate, Self::Live, Self::Previous, Self::Retired, Self::Rejected];

    /// The word used in JSON, SQL and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Live => "live",
            Self::Previous => "previous",
            Self::Retired => "retired",
            Self::Rejected => "rejected",
        }
    }

    /// Reads the word written by [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One release of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// The app.
    pub app: AppName,
    /// The run that made it.
    pub run: RunId,
    /// The commit.
    pub revision: Revision,
    /// The version, when a tag gave one.
    pub version: Option<String>,
    /// The component that it runs.
    pub digest: Digest,
    /// Where it stands.
    pub state: ReleaseState,
}

/// The releases of one app, of which at most one is live and at most one previous.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Releases(Vec<Release>);

/// Why traffic cannot be moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such release of the app.
    #[error("there is no release `{0}` of this app")]
    Unknown(ReleaseId),
    /// The release was found not to be good.
    #[error("release `{0}` was rejected and gets no traffic")]
    Rejected(ReleaseId),
    /// It had the traffic once, and another run has released the app since.
    #[error("release `{0}` was replaced by another run's")]
    Replaced(ReleaseId),
    /// Nothing ran before.
    #[error("there is no earlier release to go back to")]
    NoPrevious,
}

impl Releases {
    /// Takes an app's releases, oldest first.
    pub const fn new(releases: Vec<Release>) -> Self {
        Self(releases)
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Release> {
        self.0.iter()
    }

    /// The one that has the traffic.
    pub fn live(&self) -> Option<&Release> {
        self.in_state(ReleaseState::Live)
    }

    /// The one that had it before and is kept ready.
    pub fn previous(&self) -> Option<&Release> {
        self.in_state(ReleaseState::Previous)
    }

    /// A release by id.
    pub fn get(&self, id: &ReleaseId) -> Option<&Release> {
        self.0.iter().find(|release| release.id == *id)
    }

    /// The candidate that a run made of an artifact, so that asking again makes no second.
    pub fn candidate(&self, run: &RunId, digest: &Digest) -> Option<&Release> {
        self.0
            .iter()
            .rev()
            .find(|release| release.run == *run && release.digest == *digest && release.state != ReleaseState::Rejected)
    }

    /// Adds a candidate.
    pub fn add(&mut self, release: Release) {
        self.0.push(Release { state: ReleaseState::Candidate, ..release });
    }

    /// Gives the traffic to a release. The one that had it becomes `previous`, and the
    /// previous one is retired. Nothing changes when it has the traffic already. A run that is
    /// taken up again does not take the traffic back from one that came later.
    /// Returns the releases whose state changed.
    pub fn switch(&mut self, id: &ReleaseId, by: &RunId) -> Result<Vec<Release>, Error> {
        let target = self.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        match target.state {
            ReleaseState::Live => return Ok(Vec::new()),
            ReleaseState::Rejected => return Err(Error::Rejected(id.clone())),
            ReleaseState::Previous | ReleaseState::Retired
                if target.run == *by && self.live().is_some_and(|live| live.run != *by) =>
            {
                return Err(Error::Replaced(id.clone()));
            }
            ReleaseState::Candidate | ReleaseState::Previous | ReleaseState::Retired => {}
        }
        let had_live = self.live().is_some();
        Ok(self.change(|release| {
            if release.id == *id {
                ReleaseState::Live
            } else {
                match release.state {
                    ReleaseState::Live => ReleaseState::Previous,
                    ReleaseState::Previous if had_live => ReleaseState::Retired,
                    state @ (ReleaseState::Previous
                    | ReleaseState::Candidate
                    | ReleaseState::Retired
                    | ReleaseState::Rejected) => state,
                }
            }
        }))
    }

    /// Takes back what a run did: its candidates are rejected, and when its release is live,
    /// the one before it becomes live again. One that another run has replaced meanwhile is not
    /// gone back to. Returns the releases whose state changed.
    pub fn restore(&mut self, run: &RunId) -> Vec<Release> {
        let took_live = self.live().is_some_and(|live| live.run == *run);
        self.change(|release| match release.state {
            ReleaseState::Candidate | ReleaseState::Live if release.run == *run => ReleaseState::Rejected,
            ReleaseState::Previous if took_live => ReleaseState::Live,
            ReleaseState::Previous if release.run == *run => ReleaseState::Rejected,
            state @ (ReleaseState::Candidate
            | ReleaseState::Live
            | ReleaseState::Previous
            | ReleaseState::Retired
            | ReleaseState::Rejected) => state,
        })
    }

    /// Goes back to the previous release, rejecting the live one.
    /// Returns the releases whose state changed.
    pub fn roll_back(&mut self) -> Result<Vec<Release>, Error> {
        if self.previous().is_none() {
            return Err(Error::NoPrevious);
        }
        Ok(self.change(|release| match release.state {
            ReleaseState::Live => ReleaseState::Rejected,
            ReleaseState::Previous => ReleaseState::Live,
            state @ (ReleaseState::Candidate | ReleaseState::Retired | ReleaseState::Rejected) => state,
        }))
    }

    fn in_state(&self, state: ReleaseState) -> Option<&Release> {
        self.0.iter().find(|release| release.state == state)
    }

    fn change(&mut self, to: impl Fn(&Release) -> ReleaseState) -> Vec<Release> {
        let mut changed = Vec::new();
        for release in &mut self.0 {
            let state = to(release);
            if state != release.state {
                release.state = state;
                changed.push(release.clone());
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: usize) -> ReleaseId {
        ReleaseId::new(format!("{number:026}")).unwrap()
    }

    fn release(number: usize) -> Release {
        Release {
            id: id(number),
            app: AppName::new("shop").unwrap(),
            run: RunId::new(format!("{number:026}")).unwrap(),
            revision: Revision::new("a".repeat(40)).unwrap(),
            version: None,
            digest: Digest::new(format!("sha256:{number:064}")).unwrap(),
            state: ReleaseState::Candidate,
        }
    }

    #[test]
    fn a_switch_keeps_the_one_before_ready() {
        let mut releases = Releases::default();
        for number in 0..3 {
            releases.add(release(number));
            releases.switch(&id(number), &release(number).run).unwrap();
        }
        assert_eq!(releases.live().unwrap().id, id(2));
        assert_eq!(releases.previous().unwrap().id, id(1));
        assert_eq!(releases.get(&id(0)).unwrap().state, ReleaseState::Retired);
    }

    #[test]
    fn a_rejected_release_gets_no_traffic_again() {
        let mut releases = Releases::default();
        releases.add(release(0));
        releases.switch(&id(0), &release(0).run).unwrap();
        releases.add(release(1));
        releases.switch(&id(1), &release(1).run).unwrap();
        releases.roll_back().unwrap();
        assert_eq!(releases.live().unwrap().id, id(0));
        assert_eq!(releases.switch(&id(1), &release(1).run), Err(Error::Rejected(id(1))));
        assert_eq!(releases.roll_back(), Err(Error::NoPrevious));
    }

    #[test]
    fn restoring_a_run_that_did_not_switch_leaves_the_live_one() {
        let mut releases = Releases::default();
        releases.add(release(0));
        releases.switch(&id(0), &release(0).run).unwrap();
        releases.add(release(1));
        let changed = releases.restore(&release(1).run);
        assert_eq!(changed.len(), 1);
        assert_eq!(releases.live().unwrap().id, id(0));
    }

    #[test]
    fn what_another_run_has_replaced_is_neither_taken_back_to_nor_left_ready() {
        let mut releases = Releases::default();
        for number in 0..2 {
            releases.add(release(number));
            releases.switch(&id(number), &release(number).run).unwrap();
        }
        // The first run, taken up again, finds its release replaced; a person's wish is another thing.
        assert_eq!(releases.switch(&id(0), &release(0).run), Err(Error::Replaced(id(0))));
        assert_eq!(releases.live().unwrap().id, id(1));
        assert!(releases.clone().switch(&id(0), &release(2).run).is_ok());
        // It was not good: nobody goes back to it.
        releases.restore(&release(0).run);
        assert_eq!(releases.live().unwrap().id, id(1));
        assert_eq!(releases.get(&id(0)).unwrap().state, ReleaseState::Rejected);
        assert_eq!(releases.roll_back(), Err(Error::NoPrevious));
    }

    proptest! {
        /// Whatever is done in whatever order, at most one release is live and one previous,
        /// and once something was live something stays live unless the first one is restored.
        #[test]
        fn one_live_and_one_previous(steps in proptest::collection::vec((0usize..5, 0usize..4), 0..60)) {
            let mut releases = Releases::default();
            for (number, what) in steps {
                match what {
                    0 => if releases.get(&id(number)).is_none() { releases.add(release(number)) },
                    1 => { let _ignored = releases.switch(&id(number), &release(number).run); }
                    2 => { let _ignored = releases.restore(&release(number).run); }
                    _ => { let _ignored = releases.roll_back(); }
                }
                let count = |state| releases.iter().filter(|release| release.state == state).count();
                prop_assert!(count(ReleaseState::Live) <= 1);
                prop_assert!(count(ReleaseState::Previous) <= 1);
            }
        }
    }
}
