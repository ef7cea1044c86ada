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

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_domain::AppName;
    use slipway_domain::name::ReleaseId;
    use wasmtime::ResourceLimiter;
    use wasmtime_wasi_http::p2::bindings::http::types::HostFields;

    fn state() -> State {
        let identity = Identity {
            app: AppName::new("shop").unwrap(),
            release: ReleaseId::new("01K00000000000000000000001").unwrap(),
        };
        State::new(&identity, Limits::new(1 << 16))
    }

    #[test]
    fn a_request_has_the_limits_that_it_was_given() {
        let mut state = state();
        let limits: &mut Limits = state.as_mut();
        assert!(limits.memory_growing(0, 1 << 16, None).unwrap());
        assert!(!limits.memory_growing(0, 1, None).unwrap());
        for _resource in 0..4_096 {
            state.table.push(()).unwrap();
        }
        assert!(state.table.push(()).is_err());
    }

    #[test]
    fn the_headers_of_one_message_have_a_limit() {
        for (bytes, fits) in [(60 << 10, true), (64 << 10, false)] {
            let mut state = state();
            let mut http = state.http();
            let fields = http.new().unwrap();
            let appended = http.append(fields, "name".into(), vec![b'x'; bytes]);
            assert_eq!(appended.is_ok(), fits, "{bytes} bytes");
        }
    }
}
