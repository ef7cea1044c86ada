//! The table of what a pipeline's stages may do, tier by tier.

use crate::client::text;
use crate::output;
use serde_json::Value;
use slipway_domain::check::Row;
use slipway_domain::grant::{Refusal, Tier};

/// A row as it is shown.
pub(crate) struct Shown {
    stage: String,
    interface: String,
    capability: String,
    /// In each tier, who refuses it; empty where it is granted.
    refused: [String; 3],
    /// For the tiers that the policy refuses, the line of the policy that would allow it.
    allowed_by: Option<(Tier, String)>,
}

impl From<&Row> for Shown {
    fn from(row: &Row) -> Self {
        let refusal = |tier: Tier| row.by_tier.get(&tier).copied().flatten();
        let by_policy = |tier: &Tier| matches!(refusal(*tier), Some(Refusal::Policy(_)));
        Self {
            stage: row.stage.to_string(),
            interface: row.capability.interface().to_string(),
            capability: row.capability.text(),
            refused: Tier::ALL.map(|tier| refusal(tier).map_or("", Refusal::as_str).to_owned()),
            allowed_by: Tier::ALL.into_iter().find(by_policy).map(|tier| (tier, row.capability.policy_line())),
        }
    }
}

impl Shown {
    /// Reads the rows of a server's answer.
    pub(crate) fn all(checked: &Value) -> Vec<Self> {
        let rows = checked.get("table").and_then(Value::as_array).into_iter().flatten();
        let row = |row: &Value| {
            let refused = |tier: Tier| row.get("refused").and_then(|by_tier| by_tier.get(tier.as_str()));
            let by = |tier: Tier| refused(tier).map(|refused| text(refused, "by").to_owned()).unwrap_or_default();
            let line = |tier: Tier| {
                let line = refused(tier)?.get("allowed_by")?.as_str()?.to_owned();
                Some((tier, line))
            };
            Self {
                stage: text(row, "stage").to_owned(),
                interface: text(row, "interface").to_owned(),
                capability: text(row, "capability").to_owned(),
                refused: Tier::ALL.map(by),
                allowed_by: Tier::ALL.into_iter().find_map(line),
            }
        };
        rows.map(row).collect()
    }
}

/// Prints the table. What is not in it, no stage may do.
pub(crate) fn print(rows: &[Shown]) {
    if rows.is_empty() {
        return;
    }
    let width = |of: fn(&Shown) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let stage = width(|row| &row.stage);
    let interface = width(|row| &row.interface);
    let capability = width(|row| &row.capability).min(60);
    let [untrusted, trusted, protected] = Tier::ALL.map(Tier::as_str);
    let head = "what the stages may do";
    let indent = stage + interface + capability + 6;
    output::line(format!("{head:<indent$}  {untrusted:<14}{trusted:<14}{protected}"));
    for row in rows {
        let tiers: Vec<String> = row
            .refused
            .iter()
            .map(|refused| format!("{:<14}", if refused.is_empty() { "yes".into() } else { output::plain(refused) }))
            .collect();
        output::line(
            format!(
                "  {:<stage$}  {:<interface$}  {:<capability$}  {}",
                output::plain(&row.stage),
                output::plain(&row.interface),
                output::plain(&row.capability),
                tiers.concat()
            )
            .trim_end(),
        );
    }
    for (tier, line) in rows.iter().filter_map(|row| row.allowed_by.as_ref()) {
        output::line(format!("  policy: `{}` in `[{}]` would allow it there", output::plain(line), tier.as_str()));
    }
}
