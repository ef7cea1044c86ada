//! `reports`: test cases and planned changes.

use super::{Done, Keep};
use crate::scheduler::CallContext;
use crate::store::Write;
use crate::store::rows::{ChangeRow, TestCaseRow};
use slipway_domain::text::cut;
use slipway_protocol::Reply;
use slipway_protocol::call::TestCase;

/// The most reports of a stage.
const REPORTS_MAX: u64 = 100_000;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 1 << 10;
/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

pub(super) fn test_cases(context: &CallContext, cases: &[TestCase]) -> Done {
    if let Some(case) = cases.iter().find(|case| !matches!(case.outcome.as_str(), "passed" | "failed" | "skipped")) {
        let message =
            format!("`{}` is no outcome: use `passed`, `failed` or `skipped`", cut(&case.outcome, 64).escape_debug());
        return Done::refused("invalid-outcome", message);
    }
    let before = context.left.reported;
    let after = before + cases.len() as u64;
    if after > REPORTS_MAX {
        return Done::refused("too-many", format!("a stage reports at most {REPORTS_MAX} tests"));
    }
    let writes = (before + 1..).zip(cases).map(|(seq, case)| {
        Write::TestCase(TestCaseRow {
            run: context.run.to_string(),
            stage: context.stage.to_string(),
            epoch: context.epoch,
            seq,
            case: TestCase {
                suite: cut(&case.suite, NAME_BYTES_MAX),
                name: cut(&case.name, NAME_BYTES_MAX),
                outcome: case.outcome.clone(),
                time_us: case.time_us,
                message: case.message.as_deref().map(|message| cut(message, MESSAGE_BYTES_MAX)),
            },
        })
    });
    Done { reply: Reply::Done, writes: writes.collect(), keep: Keep::Reported(before, after) }
}

pub(super) fn change(
    context: &CallContext,
    action: &str,
    object: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Done {
    if context.phase != "plan" {
        return Done::refused("not-in-this-phase", "only `plan` tells what would change");
    }
    let seq = context.left.reported + 1;
    if seq > REPORTS_MAX {
        return Done::refused("too-many", format!("a plan has at most {REPORTS_MAX} changes"));
    }
    let row = ChangeRow {
        run: context.run.to_string(),
        stage: context.stage.to_string(),
        epoch: context.epoch,
        seq,
        action: cut(action, 64),
        object: cut(object, NAME_BYTES_MAX),
        before: before.map(|text| cut(text, MESSAGE_BYTES_MAX)),
        after: after.map(|text| cut(text, MESSAGE_BYTES_MAX)),
    };
    Done { reply: Reply::Done, writes: vec![Write::Change(row)], keep: Keep::Reported(context.left.reported, seq) }
}
