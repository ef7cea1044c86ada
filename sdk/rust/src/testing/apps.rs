//! The fake's app host.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::fake::refusal;
use crate::Failure;
use crate::apps::{Health, Release};

/// How a release answers a health check.
pub(super) type Answer = Rc<dyn Fn(&Release, &str) -> Health>;

/// Every app, its releases, and who has the traffic.
pub(super) struct Apps {
    apps: BTreeMap<String, App>,
    pub(super) answer: Answer,
    pub(super) checks: Vec<(String, String, u32)>,
}

#[derive(Default)]
struct App {
    before_run: Option<Release>,
    current: Option<Release>,
    candidates: Vec<Candidate>,
}

struct Candidate {
    release: Release,
    healthy: bool,
}

impl Apps {
    pub(super) fn new() -> Self {
        let answer = |_: &Release, _: &str| Health {
            healthy: true,
            status: 200,
            message: "ok".into(),
            time: Duration::from_millis(1),
            details: Vec::new(),
        };
        Self { apps: BTreeMap::new(), answer: Rc::new(answer), checks: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &str, release: Option<Release>) {
        let app = App { before_run: release.clone(), current: release, candidates: Vec::new() };
        self.apps.insert(name.into(), app);
    }

    pub(super) fn current(&self, app: &str) -> Option<Release> {
        self.apps.get(app)?.current.clone()
    }

    pub(super) fn release(&mut self, app: &str, version: &str, digest: &str) -> Release {
        let entry = self.apps.entry(app.into()).or_default();
        let known = entry.candidates.iter().find(|candidate| candidate.release.digest == digest);
        if let Some(candidate) = known {
            return candidate.release.clone();
        }
        let release = Release {
            id: format!("{app}-candidate-{}", entry.candidates.len() + 1),
            version: version.into(),
            digest: digest.into(),
            details: Vec::new(),
        };
        entry.candidates.push(Candidate { release: release.clone(), healthy: false });
        release
    }

    /// Returns how `release` is to be asked, and notes the question.
    pub(super) fn ask(&mut self, release: &str, path: &str, within_ms: u32) -> Result<(Release, Answer), Failure> {
        let found = self.find(release)?;
        self.checks.push((release.into(), path.into(), within_ms));
        Ok((found, Rc::clone(&self.answer)))
    }

    /// Notes what a candidate answered.
    pub(super) fn answered(&mut self, release: &str, healthy: bool) {
        for candidate in self.apps.values_mut().flat_map(|app| &mut app.candidates) {
            if candidate.release.id == release {
                candidate.healthy = healthy;
            }
        }
    }

    /// Returns the name of the app whose candidate `release` is.
    pub(super) fn app_of(&self, release: &str) -> Option<String> {
        let is_of = |app: &App| {
            app.current.iter().any(|current| current.id == release)
                || app.candidates.iter().any(|candidate| candidate.release.id == release)
        };
        self.apps.iter().find(|(_, app)| is_of(app)).map(|(name, _)| name.clone())
    }

    pub(super) fn switch(&mut self, release: &str) -> Result<(), Failure> {
        for app in self.apps.values_mut() {
            let candidate = app.candidates.iter().find(|candidate| candidate.release.id == release);
            match candidate {
                Some(candidate) if candidate.healthy => {
                    app.current = Some(candidate.release.clone());
                    return Ok(());
                }
                Some(_) => {
                    return Err(refusal("not-healthy", &format!("release `{release}` has not passed a health check")));
                }
                None => {}
            }
        }
        Err(unknown(release))
    }

    pub(super) fn restore(&mut self, app: &str) -> Option<Release> {
        let app = self.apps.get_mut(app)?;
        app.candidates.clear();
        app.current = app.before_run.clone();
        app.current.clone()
    }

    fn find(&self, release: &str) -> Result<Release, Failure> {
        self.apps
            .values()
            .flat_map(|app| {
                let candidates = app.candidates.iter().map(|candidate| &candidate.release);
                candidates.chain(&app.current)
            })
            .find(|found| found.id == release)
            .cloned()
            .ok_or_else(|| unknown(release))
    }
}

fn unknown(release: &str) -> Failure {
    refusal("unknown-release", &format!("there is no release `{release}`"))
}
