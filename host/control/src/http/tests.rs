use super::*;
use slipway_domain::address::Range;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that answers each connection with the same text, and counts them.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heard: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::default()));
        let server = Self { address, connections: Arc::clone(&connections), heard: Arc::clone(&heard) };
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
                tokio::spawn(async move {
                    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
                    loop {
                        // One request after the other, each without its body.
                        let end = received.windows(4).position(|four| four == b"\r\n\r\n");
                        if let Some(end) = end {
                            let request = String::from_utf8_lossy(&received[..end + 2]).into_owned();
                            received.clear();
                            let answer = answer(&request);
                            heard.lock().unwrap().push(request);
                            if stream.write_all(answer.as_bytes()).await.is_err() {
                                return;
                            }
                        }
                        match stream.read(&mut buffer).await {
                            Ok(read) if read > 0 => received.extend_from_slice(&buffer[..read]),
                            Ok(_) | Err(_) => return,
                        }
                    }
                });
            }
        });
        server
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn loopback() -> Reach {
    Reach(vec![Range::parse("127.0.0.0/8").unwrap()])
}

/// A client for which every name is at one address.
pub(crate) fn client(
    reach: Reach,
    folder: &std::path::Path,
    answer: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static,
) -> Client {
    let blobs = Blobs::local(folder).unwrap();
    Client::with(Resolver::answering(reach.clone(), answer), reach, blobs).unwrap()
}

fn here(_name: &str) -> Vec<IpAddr> {
    vec!["127.0.0.1".parse().unwrap()]
}

fn get(url: &str) -> Request {
    let body = Body::Bytes(Bytes::new());
    Request { method: Method::GET, uri: url.parse().unwrap(), headers: HeaderMap::new(), body }
}

#[tokio::test]
async fn an_answer_is_read_whole_and_its_status_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::answering(|_| "HTTP/1.1 404 No\r\nx-one: 1\r\ncontent-length: 4\r\n\r\ngone".into()).await;
    let client = client(loopback(), folder.path(), here);
    let port = server.address.port();
    for url in [format!("http://{}/x", server.address), format!("http://a.test:{port}/x")] {
        let response = client.send(get(&url)).await.unwrap();
        assert_eq!((response.status, response.body.as_slice()), (404, &b"gone"[..]));
        assert_eq!(response.headers["x-one"], "1");
    }
}

/// Threat T13: however a private address is written, and wherever a name leads, nothing is connected to.
#[tokio::test]
async fn no_address_of_a_private_network_is_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::answering(|_| ok("secret")).await;
    let port = server.address.port();
    let everywhere = client(Reach::default(), folder.path(), |name| {
        let address = if name.starts_with("six") { "::1" } else { "127.0.0.1" };
        // One that may be reached goes before the one that may not.
        if name.starts_with("two") {
            vec!["1.1.1.1".parse().unwrap(), address.parse().unwrap()]
        } else {
            vec![address.parse().unwrap()]
        }
    });
    let hosts = [
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.255",
        "0.0.0.0",
        "localhost",
        "a.test",
        "two.test",
        "six.test",
        "metadata.internal",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001::7f00:1]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ];
    for host in hosts {
        let refused = everywhere.send(get(&format!("http://{host}:{port}/"))).await.unwrap_err();
        assert!(matches!(refused, Error::Address { .. }), "{host}: {refused}");
    }
    assert_eq!(server.connections(), 0);
    // The same server, once its network was added.
    assert!(client(loopback(), folder.path(), here).send(get(&format!("http://a.test:{port}/"))).await.is_ok());
}

/// A name that leads elsewhere each time it is asked for (DNS rebinding).
#[tokio::test]
async fn a_name_that_turns_is_judged_by_the_address_that_is_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::answering(|_| ok("secret")).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let turning = client(Reach::default(), folder.path(), move |_| {
        // First one that may be reached and where nobody is, then this machine.
        let address = if count.fetch_add(1, Ordering::SeqCst) == 0 { "198.51.100.7" } else { "127.0.0.1" };
        vec![address.parse().unwrap()]
    });
    for _ in 0..3 {
        let url = format!("http://turning.test:{}/", server.address.port());
        assert!(matches!(turning.send(get(&url)).await, Err(Error::Address { .. })));
    }
    assert_eq!((server.connections(), asked.load(Ordering::SeqCst)), (0, 3), "each time the name is asked for anew");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let big = "x".repeat(BODY_BYTES_MAX + 1);
    let server = Server::answering(move |request| match request.starts_with("GET /head ") {
        // Several times as large: what is read at once may go a little beyond the limit.
        true => format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {}\r\n\r\n", "x".repeat(4 * HEAD_BYTES_MAX)),
        false => ok(&big),
    })
    .await;
    let client = client(loopback(), folder.path(), here);
    let body = client.send(get(&format!("http://{}/", server.address))).await;
    assert!(matches!(body, Err(Error::TooLarge { .. })));
    let head = client.send(get(&format!("http://{}/head", server.address))).await;
    assert!(matches!(head, Err(Error::Unreachable { .. })));
}

#[tokio::test]
async fn an_artifact_is_sent_with_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::answering(|_| ok("")).await;
    let client = client(loopback(), folder.path(), here);
    let stored = client.blobs.put(Bytes::from_static(b"artifact")).await.unwrap();
    let request =
        Request { method: Method::PUT, body: Body::Blob(stored.digest), ..get(&format!("http://{}/", server.address)) };
    client.send(request).await.unwrap();
    assert!(server.heard()[0].contains("content-length: 8"), "{:?}", server.heard());
    let unknown = Digest::new(format!("sha256:{:064}", 7)).unwrap();
    let request =
        Request { method: Method::PUT, body: Body::Blob(unknown), ..get(&format!("http://{}/", server.address)) };
    assert!(matches!(client.send(request).await, Err(Error::Artifact(_))));
}

#[tokio::test]
async fn nobody_there_is_told_with_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = client(loopback(), folder.path(), here).send(get(&format!("http://a.test:{port}/"))).await.unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
}
