//! What the Store of a request holds beside the guest.

use crate::guest::limits::{Budget, FIELDS_BYTES_MAX, RANDOM_BYTES_MAX, RESOURCES_MAX, StoreLimits};
use crate::guest::runtime::Identity;
use crate::guest::stdio::LogStream;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

/// The data of a Store.
pub(crate) struct State {
    /// What the guest may take.
    pub(crate) limits: StoreLimits,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoNetwork,
}

impl State {
    /// The data for one request to this release.
    pub(crate) fn new(identity: &Identity, memory_bytes_max: u64, budget: Arc<Budget>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES_MAX);
        let limits = StoreLimits::new(memory_bytes_max, budget);
        Self { limits, table, wasi: wasi(identity), http, hooks: NoNetwork }
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

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// WASI without environment, arguments, standard input, files and network.
fn wasi(identity: &Identity) -> WasiCtx {
    let stream = |name| LogStream::new(identity.app.clone(), identity.release.clone(), name);
    WasiCtxBuilder::new()
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES_MAX)
        .stdout(stream("stdout"))
        .stderr(stream("stderr"))
        .build()
}

/// Requests of a guest go nowhere.
struct NoNetwork;

type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for NoNetwork {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
