//! `reports`: test cases and planned changes.

use super::{Done, Keep};
use crate::scheduler::{CallContext, Reports};
use crate::store::Write;
use crate::store::rows::{ChangeRow, TestCaseRow};
use slipway_domain::text::cut;
use slipway_protocol::Reply;
use slipway_protocol::call::TestCase;

/// The most reports of a stage.
const REPORTS_MAX: u64 = 100_000;
/// The most bytes of all reports of a stage: they are shown together.
const BYTES_MAX: u64 = 16 << 20;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 1 << 10;
/// The most facts of a test.
const DETAILS_MAX: usize = 32;
/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

pub(super) fn test_cases(context: &CallContext, cases: &[TestCase]) -> Done {
    if let Some(case) = cases.iter().find(|case| !matches!(case.outcome.as_str(), "passed" | "failed" | "skipped")) {
        let message =
            format!("`{}` is no outcome: use `passed`, `failed` or `skipped`", cut(&case.outcome, 64).escape_debug());
        return Done::refused("invalid-outcome", message);
    }
    let before = context.left.reported().count;
    let after = before + cases.len() as u64;
    if after > REPORTS_MAX {
        return Done::refused("too-many", format!("a stage reports at most {REPORTS_MAX} tests"));
    }
    let mut bytes = 0;
    let mut writes = Vec::with_capacity(cases.len());
    for (seq, case) in (before + 1..).zip(cases) {
        let case = TestCase {
            suite: cut(&case.suite, NAME_BYTES_MAX),
            name: cut(&case.name, NAME_BYTES_MAX),
            outcome: case.outcome.clone(),
            time_us: case.time_us,
            message: case.message.as_deref().map(|message| cut(message, MESSAGE_BYTES_MAX)),
            details: case
                .details
                .iter()
                .take(DETAILS_MAX)
                .map(|(name, value)| (cut(name, NAME_BYTES_MAX), cut(value, MESSAGE_BYTES_MAX)))
                .collect(),
        };
        let details = case.details.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let texts = [&case.suite, &case.name, case.message.as_deref().unwrap_or_default()].into_iter().chain(details);
        bytes += size(&texts.collect::<Vec<_>>());
        let (run, stage) = (context.run.to_string(), context.stage.to_string());
        writes.push(Write::TestCase(TestCaseRow { run, stage, epoch: context.epoch, seq, case }));
    }
    match fits(context, bytes) {
        Ok(()) => Done { reply: Reply::Done, writes, keep: reported(context, after - before, bytes) },
        Err(refused) => refused,
    }
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
    let seq = context.left.reported().count + 1;
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
    let texts = [&row.action, &row.object, row.before.as_deref().unwrap_or(""), row.after.as_deref().unwrap_or("")];
    let bytes = size(&texts);
    match fits(context, bytes) {
        Ok(()) => Done { reply: Reply::Done, writes: vec![Write::Change(row)], keep: reported(context, 1, bytes) },
        Err(refused) => refused,
    }
}

const fn reported(context: &CallContext, count: u64, bytes: u64) -> Keep {
    Keep::Reported(context.epoch, Reports { count, bytes })
}

/// What a report counts for, in bytes: its texts, and a little for itself.
fn size(texts: &[&str]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum::<u64>() + 64
}

fn fits(context: &CallContext, bytes: u64) -> Result<(), Done> {
    if context.left.reported().bytes.saturating_add(bytes) <= BYTES_MAX {
        return Ok(());
    }
    Err(Done::refused("too-large", format!("the reports of a stage have at most {} MiB", BYTES_MAX >> 20)))
}
