//! `log`: what the guest says, and the steps it names.

use super::slipway::stage::log;
use crate::runtime::state::State;
use wasmtime::component::Resource;

/// The most fields that one entry carries.
const FIELDS_MAX: usize = 64;

/// A step that a guest has begun.
pub struct Step {
    id: u64,
    name: String,
    failed: bool,
}

impl log::Host for State {
    async fn write(
        &mut self,
        level: String,
        message: String,
        mut fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level.as_str() {
            "debug" | "warn" | "error" => level.as_str(),
            _ => "info",
        };
        fields.truncate(FIELDS_MAX);
        self.session.log.write("stage", level, message, fields);
        Ok(())
    }
}

impl log::HostStep for State {
    async fn new(&mut self, name: String) -> wasmtime::Result<Resource<Step>> {
        let id = self.session.next_step();
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
