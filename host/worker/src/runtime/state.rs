//! What a Store holds beside the guest.

use crate::runtime::stdio::{STDERR, stream};
use crate::runtime::wit::v0::Writing;
use crate::session::Session;
use sha2::{Digest as _, Sha256};
use slipway_domain::plugin::Kind;
use slipway_engine::Limits;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{
    Deterministic, FsPerms, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
};

/// The data of a Store.
pub struct State {
    /// What the attempt is about, and its way out.
    pub session: Arc<Session>,
    /// What the guest may take.
    pub limits: Limits,
    /// The guest's resources.
    pub table: ResourceTable,
    /// The artifacts that it is writing.
    pub writing: Writing,
    /// How many requests it is putting together.
    pub drafts: usize,
    wasi: WasiCtx,
}

impl State {
    /// The data for one call under a lease.
    pub fn new(session: Arc<Session>) -> Self {
        let limits = Limits::new(session.lease.limits.memory_bytes);
        let wasi = wasi(&session);
        Self { session, limits, table: slipway_engine::resources(), writing: Writing::default(), drafts: 0, wasi }
    }

    /// This state, for a host function that the guest has just called.
    pub fn called(&mut self) -> &mut Self {
        self.session.called();
        self
    }

    /// Shows the workspace to the guest. Called when it first looks for its folders.
    pub fn show_folders(&mut self) -> wasmtime::Result<()> {
        let perms = match self.session.kind {
            Kind::Build | Kind::Test => FsPerms::ReadWrite,
            Kind::Deploy => FsPerms::ReadOnly,
        };
        let mut builder = WasiCtxBuilder::new();
        builder.preopened_dir(self.session.workspace.work(), "/work", perms)?;
        builder.preopened_dir(self.session.workspace.inputs(), "/inputs", FsPerms::ReadOnly)?;
        *self.wasi.filesystem() = builder.build().filesystem().clone();
        Ok(())
    }
}

impl AsMut<Limits> for State {
    fn as_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.session.called();
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// WASI with the log as its output, and, at first, without files.
fn wasi(session: &Session) -> WasiCtx {
    let mut builder = slipway_engine::wasi::context();
    builder.initial_cwd("/work").stdout(stream(&session.log, "stdout")).stderr(stream(&session.log, STDERR));
    match session.kind {
        Kind::Build | Kind::Test => {}
        Kind::Deploy => {
            let seed = seed(session);
            builder
                .wall_clock(Still { at: Duration::from_micros(session.lease.began_at_us) })
                .monotonic_clock(Still { at: Duration::ZERO })
                .secure_random(Deterministic::new(seed.clone()))
                .insecure_random(Deterministic::new(seed))
                .insecure_random_seed(0);
        }
    }
    builder.build()
}

/// A clock that stands: a deploy that is taken up again sees the same time.
struct Still {
    at: Duration,
}

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.at
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        u64::try_from(self.at.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Bytes that follow from run and stage, four kibibytes before they repeat.
fn seed(session: &Session) -> Vec<u8> {
    let lease = &session.lease;
    (0u32..128)
        .flat_map(|block| {
            let text = format!("{}\0{}\0{}\0{block}", lease.run, lease.stage, lease.phase);
            Sha256::digest(text.as_bytes()).to_vec()
        })
        .collect()
}
