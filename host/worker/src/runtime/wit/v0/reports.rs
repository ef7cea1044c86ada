//! `reports`: test cases and planned changes.

use super::slipway::stage::reports;
use super::{Answer, bounded, done};
use crate::runtime::state::State;
use slipway_protocol::Call;
use slipway_protocol::call::TestCase;

impl reports::Host for State {
    async fn test_cases(&mut self, cases: Vec<reports::TestCase>) -> Answer<()> {
        let cases = cases.into_iter().map(|case| TestCase {
            suite: case.suite,
            name: case.name,
            outcome: case.outcome,
            time_us: case.time_us,
            message: case.message,
            details: bounded(case.details),
        });
        done(&self.session, Call::TestCases { cases: cases.collect() }).await
    }

    async fn change(
        &mut self,
        action: String,
        object: String,
        before: Option<String>,
        after: Option<String>,
    ) -> Answer<()> {
        done(&self.session, Call::Change { action, object, before, after }).await
    }
}
