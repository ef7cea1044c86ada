//! `secrets`: handles of what the guest may use and never sees.

use super::slipway::stage::secrets;
use super::{Answer, done};
use crate::runtime::state::State;
use slipway_protocol::Call;
use wasmtime::component::Resource;

/// A secret that a guest may point at.
pub struct Secret {
    name: String,
}

impl secrets::Host for State {
    async fn open(&mut self, name: String) -> Answer<Resource<Secret>> {
        match done(&self.session, Call::OpenSecret { name: name.clone() }).await? {
            Ok(()) => Ok(Ok(self.table.push(Secret { name })?)),
            Err(failure) => Ok(Err(failure)),
        }
    }
}

impl secrets::HostSecret for State {
    async fn name(&mut self, secret: Resource<Secret>) -> wasmtime::Result<String> {
        Ok(self.table.get(&secret)?.name.clone())
    }

    async fn drop(&mut self, secret: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}
