//! `run`: outputs.

use super::{Done, Keep};
use crate::scheduler::CallContext;
use crate::store::Write;
use slipway_domain::key::{NAME_RULE, is_name};
use slipway_protocol::Reply;

/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// The most outputs of a stage.
const OUTPUTS_MAX: usize = 256;

pub(super) fn set_output(context: &CallContext, name: &str, value: &str) -> Done {
    if !is_name(name) {
        return Done::refused("invalid-name", format!("`{}` cannot name an output: {NAME_RULE}", name.escape_debug()));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Done::refused(
            "too-large",
            format!("output `{name}` has {} bytes, more than {VALUE_BYTES_MAX}", value.len()),
        );
    }
    if context.left.outputs.len() >= OUTPUTS_MAX && !context.left.outputs.contains_key(name) {
        return Done::refused("too-many", format!("a stage has at most {OUTPUTS_MAX} outputs"));
    }
    Done {
        reply: Reply::Done,
        writes: vec![Write::Output {
            run: context.run.to_string(),
            stage: context.stage.to_string(),
            name: name.to_owned(),
            epoch: context.epoch,
            value: value.to_owned(),
        }],
        keep: Keep::Output(context.epoch, name.to_owned(), value.to_owned()),
    }
}
