//! `log`: what the guest says, and the steps it names.

use super::slipway::stage::log;
use crate::log::LINE_BYTES_MAX;
use crate::runtime::state::State;
use slipway_domain::text::cut;
use wasmtime::component::Resource;

/// The most fields that one entry carries.
const FIELDS_MAX: usize = 64;
/// The longest name of a field, in bytes.
const FIELD_NAME_BYTES_MAX: usize = 128;
/// The most bytes of all fields of an entry.
const FIELDS_BYTES_MAX: usize = LINE_BYTES_MAX;
/// The longest name of a step, in bytes.
const STEP_NAME_BYTES_MAX: usize = 1 << 10;

/// A step that a guest has begun.
pub struct Step {
    id: u64,
    name: String,
    failed: bool,
}

impl log::Host for State {
    async fn write(&mut self, level: String, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let level = match level.as_str() {
            "debug" | "warn" | "error" => level.as_str(),
            _ => "info",
        };
        self.session.log.write("stage", level, message, bounded(fields));
        Ok(())
    }
}

impl log::HostStep for State {
    async fn new(&mut self, name: String) -> wasmtime::Result<Resource<Step>> {
        let (id, name) = (self.session.next_step(), cut(name, STEP_NAME_BYTES_MAX));
        self.session.log.write("stage", "step", name.clone(), vec![("step".into(), id.to_string())]);
        Ok(self.table.push(Step { id, name, failed: false })?)
    }

    async fn progress(&mut self, step: Resource<Step>, done: u64, total: Option<u64>) -> wasmtime::Result<()> {
        let step = self.table.get(&step)?;
        let mut fields = vec![("step".into(), step.id.to_string()), ("done".into(), done.to_string())];
        fields.extend(total.map(|total| ("total".into(), total.to_string())));
        self.session.log.write("stage", "progress", step.name.clone(), fields);
        Ok(())
    }

    async fn fail(&mut self, step: Resource<Step>, message: String) -> wasmtime::Result<()> {
        let step = self.table.get_mut(&step)?;
        step.failed = true;
        let fields = vec![("step".into(), step.id.to_string()), ("name".into(), step.name.clone())];
        self.session.log.write("stage", "failed", message, fields);
        Ok(())
    }

    async fn drop(&mut self, step: Resource<Step>) -> wasmtime::Result<()> {
        let step = self.table.delete(step)?;
        if !step.failed {
            self.session.log.write("stage", "done", step.name, vec![("step".into(), step.id.to_string())]);
        }
        Ok(())
    }
}

/// Fields kept within bounds: so many, and so many bytes together.
fn bounded(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut left = FIELDS_BYTES_MAX;
    let fields = fields.into_iter().take(FIELDS_MAX).map_while(|(name, value)| {
        if left == 0 {
            return None;
        }
        let name = cut(name, FIELD_NAME_BYTES_MAX.min(left));
        left = left.saturating_sub(name.len());
        let value = cut(value, left);
        left = left.saturating_sub(value.len());
        Some((name, value))
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_bounded_in_number_and_all_together() {
        let field = |name: usize, value: usize| ("n".repeat(name), "v".repeat(value));
        assert_eq!(bounded(vec![field(1, 1); 65]).len(), FIELDS_MAX);
        let kept = bounded(vec![field(200, 1), field(4, 60_000), field(4, 60_000), field(4, 1)]);
        assert!(kept[0].0.ends_with("n … (72 bytes cut)"), "{}", kept[0].0);
        assert_eq!(kept[1], field(4, 60_000));
        assert!(kept[2].1.ends_with("bytes cut)"), "the third is cut");
        assert_eq!(kept.len(), 3, "and nothing is left for the fourth");
        let bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes <= FIELDS_BYTES_MAX + 64, "{bytes}");
    }
}
