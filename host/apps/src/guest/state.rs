//! What the Store of a request holds beside the guest.

use crate::guest::runtime::Identity;
use crate::guest::stdio::stream;
use slipway_engine::Limits;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

/// The memory that the headers of one message may take, in bytes.
const FIELDS_BYTES_MAX: usize = 64 << 10;

/// The data of a Store.
pub(crate) struct State {
    /// What the guest may take.
    pub(crate) limits: Limits,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoNetwork,
}

impl State {
    /// The data for one request to this release.
    pub(crate) fn new(identity: &Identity, limits: Limits) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES_MAX);
        Self { limits, table: slipway_engine::resources(), wasi: wasi(identity), http, hooks: NoNetwork }
    }
}

impl AsMut<Limits> for State {
    fn as_mut(&mut self) -> &mut Limits {
        &mut self.limits
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

/// WASI with the host's log as its output, and without files.
fn wasi(identity: &Identity) -> WasiCtx {
    slipway_engine::wasi::context().stdout(stream(identity, "stdout")).stderr(stream(identity, "stderr")).build()
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
