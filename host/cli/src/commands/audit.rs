//! `slipway audit`: who did what about grants and secrets, and what was refused.

use crate::args::Audit;
use crate::client::{Api, path, shown};
use crate::output;
use serde_json::Value;

pub(super) async fn run(args: &Audit, as_json: bool) -> anyhow::Result<()> {
    let mut address = path(&["audit"]).query("limit", args.limit);
    if args.refused {
        address = address.query("outcome", "refused");
    }
    if let Some(run) = &args.run {
        address = address.query("run", run);
    }
    let found = Api::new(&args.server)?.get(&address).await?;
    if as_json {
        output::json(&found);
        return Ok(());
    }
    let entries = found.get("entries").and_then(Value::as_array).cloned().unwrap_or_default();
    if entries.is_empty() {
        output::note("there is nothing of that in the audit");
    }
    for entry in &entries {
        output::line(format!(
            "{}  {:<7}  {}  {}  {}",
            shown(entry, "at"),
            shown(entry, "outcome"),
            shown(entry, "actor"),
            shown(entry, "action"),
            shown(entry, "object")
        ));
    }
    if found.get("next").is_some_and(Value::is_string) {
        output::note("there are older ones: `--limit` shows more, up to 200");
    }
    Ok(())
}
