//! `secrets`: handles of what the guest may use and never sees.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other reply than a call's own is one case: a fault of the host"
)]

use super::slipway::stage::secrets;
use super::{Answer, done, odd};
use crate::runtime::state::State;
use slipway_protocol::{Call, Reply};
use wasmtime::component::Resource;

/// A secret that a guest may point at.
pub struct Secret {
    pub(super) name: String,
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

    async fn read(&mut self, secret: Resource<Secret>) -> Answer<Vec<u8>> {
        let name = self.table.get(&secret)?.name.clone();
        match self.session.call(Call::ReadSecret { name }).await? {
            Reply::Secret { value } => Ok(Ok(value.expose().to_vec())),
            Reply::Refused(failure) => Ok(Err(failure.into())),
            other => odd(&other),
        }
    }

    async fn drop(&mut self, secret: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}
