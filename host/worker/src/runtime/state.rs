//! What a Store holds beside the guest.

use crate::runtime::limits::{Limits, RANDOM_BYTES_MAX, RESOURCES_MAX};
use crate::runtime::stdio::LogStream;
use crate::session::Session;
use sha2::{Digest as _, Sha256};
use slipway_domain::plugin::Kind;
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
    wasi: WasiCtx,
}

impl State {
    /// The data for one call under a lease.
    pub fn new(session: Arc<Session>) -> Self {
        let limits = Limits::new(session.lease.limits.memory_bytes);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let wasi = wasi(&session);
        Self { session, limits, table, wasi }
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

impl wasmtime_wasi_io::IoView for State {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// WASI without environment, arguments, standard input, network and, at first, files.
fn wasi(session: &Session) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .initial_cwd("/work")
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES_MAX)
        .stdout(LogStream::new(Arc::clone(&session.log), "stdout"))
        .stderr(LogStream::new(Arc::clone(&session.log), "stderr"));
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
