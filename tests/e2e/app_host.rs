//! The real app host, held to what every app host does.

use crate::support::{root, slipway};
use bytes::Bytes;
use slipway_control::apps::{AppHost, HostError, HttpAppHost};
use slipway_control::children::{AppsOrders, AppsReady};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

#[path = "../../host/control/src/apps/contract.rs"]
mod contract;

/// The process, started as control starts it, and control's side of it.
struct Process {
    child: Child,
    host: HttpAppHost,
    apps: String,
    component: Bytes,
    client: reqwest::Client,
    _cache: tempfile::TempDir,
}

impl Process {
    fn start() -> Self {
        let cache = tempfile::tempdir().unwrap();
        let token = "a-token-for-tests".to_owned();
        let orders = AppsOrders {
            listen: ([127, 0, 0, 1], 0).into(),
            token: token.clone(),
            cache: cache.path().join("apps"),
            expected: Vec::new(),
        };
        let mut command = slipway();
        let mut child = command
            .args(["apps", "--embedded"])
            .env("SLIPWAY_LOG", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It stays open: the process ends when it closes.
        writeln!(child.stdin.as_mut().unwrap(), "{}", serde_json::to_string(&orders).unwrap()).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: AppsReady = serde_json::from_str(&line).unwrap();
        let host = HttpAppHost::default();
        host.set(Some((ready.admin, token)));
        let component = std::fs::read(root().join("target/guests/app/hello.wasm")).unwrap().into();
        let apps = format!("http://{}/health", ready.listen);
        Self { child, host, apps, component, client: reqwest::Client::new(), _cache: cache }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _reaped = self.child.wait().is_err();
    }
}

impl contract::Bench for Process {
    fn host(&self) -> &dyn AppHost {
        &self.host
    }

    fn component(&self) -> Bytes {
        self.component.clone()
    }

    async fn is_served(&self, app: &str) -> bool {
        let request = self.client.get(&self.apps).header("host", format!("{app}.localhost"));
        request.send().await.unwrap().status() == 200
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_app_host_does_what_every_app_host_does() {
    contract::keep(&Process::start()).await;
}
