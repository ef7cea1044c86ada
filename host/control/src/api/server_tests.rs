use super::*;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

/// A listener of few places.
const SMALL: Limits =
    Limits { headers: Duration::from_secs(10), body_idle: Duration::from_millis(50), connections: 3, reserved: 2 };

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

async fn serve_small() -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let api = Router::new()
        .route("/api", get(async || "api"))
        .route("/body", post(async |body: Bytes| format!("{} bytes", body.len())));
    let workers = Router::new().route("/worker", get(async || "worker"));
    let stopping = stop.clone();
    let serving = tokio::spawn(async move { serve_within(&SMALL, listener, api, workers, stopping).await });
    Served { address, stop, serving }
}

/// A connection that stays open.
struct Client(TcpStream);

impl Client {
    async fn connect(served: &Served) -> Self {
        Self(TcpStream::connect(served.address).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The status of the next answer, all of which is read.
    async fn status(&mut self) -> u16 {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    async fn get(&mut self, path: &str) -> u16 {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        self.status().await
    }

    /// Waits until the server has closed it.
    async fn closed(mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
    }
}

#[tokio::test]
async fn a_crowd_is_refused_while_workers_are_served() {
    let served = serve_small().await;
    let mut client = Client::connect(&served).await;
    assert_eq!(client.get("/api").await, 200);
    let mut crowd = Vec::new();
    for _ in 0..3 {
        let mut another = Client::connect(&served).await;
        assert_eq!(another.get("/worker").await, 200);
        crowd.push(another);
    }
    assert_eq!(client.get("/api").await, 503);
    assert_eq!(crowd[0].get("/worker").await, 200);
    drop(crowd);
    // The server hears of it in its own time.
    while client.get("/api").await != 200 {}
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let served = serve_small().await;
    let mut client = Client::connect(&served).await;
    client.send("POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert!((400..500).contains(&client.status().await));
    client.closed().await;
    let mut client = Client::connect(&served).await;
    client.send("POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nhalf").await;
    assert_eq!(client.status().await, 200);
}

#[tokio::test]
async fn a_server_stops_while_every_place_is_taken() {
    let served = serve_small().await;
    let mut crowd = Vec::new();
    for _ in 0..SMALL.connections + SMALL.reserved {
        let mut client = Client::connect(&served).await;
        assert_eq!(client.get("/worker").await, 200);
        crowd.push(client);
    }
    served.stop.cancel();
    for client in crowd {
        client.closed().await;
    }
    served.serving.await.unwrap();
}
