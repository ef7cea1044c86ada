//! `run`: what the stage is about, from its lease.

use super::slipway::stage::run;
use super::{Answer, Failure, done, failure};
use crate::runtime::state::State;
use crate::session::Session;
use slipway_protocol::Call;
use slipway_protocol::lease::Input;

impl run::Host for State {
    async fn id(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.run.clone())
    }

    async fn pipeline(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.pipeline.clone())
    }

    async fn stage(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.stage.clone())
    }

    async fn attempt(&mut self) -> wasmtime::Result<u32> {
        Ok(self.session.lease.attempt)
    }

    async fn revision(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.revision.clone())
    }

    async fn reference(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.reference.clone())
    }

    async fn version(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.session.lease.version.clone())
    }

    async fn environment(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.session.lease.environment.clone())
    }

    async fn config(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.config.clone())
    }

    async fn parameter(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.session.lease.parameters.get(&name).cloned())
    }

    async fn set_output(&mut self, name: String, value: String) -> Answer<()> {
        let call = Call::SetOutput { name: name.clone(), value: value.clone() };
        let answer = done(&self.session, call).await?;
        if answer.is_ok() {
            self.session.set(name, value);
        }
        Ok(answer)
    }

    async fn inputs(&mut self) -> wasmtime::Result<Vec<String>> {
        let lease = &self.session.lease;
        let stages = lease.inputs.iter().map(|input| &input.stage);
        Ok(stages.filter(|stage| **stage != lease.stage).cloned().collect())
    }

    async fn input(&mut self, stage: String, name: String) -> Answer<Option<String>> {
        Ok(input(&self.session, &stage, |input| input.outputs.get(&name).cloned()))
    }

    async fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.session.remaining().as_millis()).unwrap_or(u64::MAX))
    }

    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.session.is_cancelled())
    }
}

/// What an earlier stage left, when this one needs it, or what this one left itself.
pub(super) fn input<T>(session: &Session, stage: &str, read: impl FnOnce(&Input) -> T) -> Result<T, Failure> {
    session.input(stage, read).ok_or_else(|| {
        failure(
            "not-an-input",
            format!(
                "stage `{}` does not need `{}`: add it to `needs` to read what it left",
                session.lease.stage,
                stage.escape_debug()
            ),
        )
    })
}
