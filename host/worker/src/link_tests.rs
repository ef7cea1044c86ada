use super::*;
use tokio::net::TcpListener;

/// Duties that take leases and do nothing.
struct Idle;

impl Duties for Idle {
    fn run(&self, _lease: Lease, _outbox: Arc<Outbox>) {}
    fn describe(&self, _component: Component, _answer: Box<dyn FnOnce(Result<Description, Undescribed>) + Send>) {}
}

fn held(leases: &Leases, epoch: u64, renewed: Instant) -> Arc<Outbox> {
    let (wire, _said) = mpsc::unbounded_channel();
    let outbox = Arc::new(Outbox::new(epoch, wire));
    leases.lock().insert(epoch, Held { outbox: Arc::clone(&outbox), renewed });
    outbox
}

fn link(control: String) -> (Link<Idle>, Arc<Leases>) {
    let leases = Arc::new(Leases::default());
    let identity = Identity { control, token: "t".into(), worker: "w".into(), slots: 1 };
    (Link::new(identity, Idle, Arc::clone(&leases)), leases)
}

#[test]
fn a_lease_that_is_not_renewed_in_time_is_stopped_and_the_others_are_not() {
    let leases = Leases::default();
    let now = clock::instant();
    let late = held(&leases, 1, now);
    let fresh = held(&leases, 2, now + Duration::from_secs(1));
    leases.fence_overdue(now + Duration::from_secs(SELF_FENCE_SECONDS));
    assert_eq!(leases.count(), 2);
    leases.fence_overdue(now + Duration::from_secs(SELF_FENCE_SECONDS) + Duration::from_millis(1));
    assert_eq!(leases.epochs(), [2]);
    assert_eq!(*late.standing().borrow(), crate::outbox::Standing::Lost);
    assert_eq!(*fresh.standing().borrow(), crate::outbox::Standing::Held);
}

#[test]
fn the_thread_that_watches_ends_with_the_leases() {
    let leases = Leases::watched().unwrap();
    let watched = Arc::downgrade(&leases);
    drop(leases);
    // It holds them only for a look.
    while watched.upgrade().is_some() {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_control_that_takes_the_connection_and_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (link, _leases) = link(format!("http://{}", listener.local_addr().unwrap()));
    let accepted = tokio::spawn(async move { listener.accept().await.unwrap() });
    let connecting = tokio::spawn(async move { link.connect().await });
    let _open = accepted.await.unwrap();
    // From here on only time passes.
    tokio::time::pause();
    let error = connecting.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error}");
}

#[tokio::test]
async fn a_control_that_falls_silent_is_dialled_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut link, _leases) = link(format!("http://{}", listener.local_addr().unwrap()));
    let control = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let hello = socket.next().await.unwrap().unwrap();
        (socket, hello)
    });
    let socket = link.connect().await.unwrap();
    let serving = tokio::spawn(async move {
        let (mut pause, mut complaints) = (PAUSES.1, Complaints::default());
        link.serve(socket, &mut pause, &mut complaints).await
    });
    let (_open, hello) = control.await.unwrap();
    let Ok(FromWorker::Hello { worker, .. }) = decode(&hello.into_data()) else { panic!("it says hello first") };
    assert_eq!(worker, "w");
    tokio::time::pause();
    let End::Broken(tungstenite::Error::Io(error)) = serving.await.unwrap() else { panic!("the silence breaks it") };
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_control_that_does_not_accept_the_worker_is_not_dialled_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut link, _leases) = link(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let refusal = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, refusal).await.unwrap();
        stream
    });
    assert!(matches!(link.run().await, Error::NotAccepted { status: 401, .. }));
}

/// Takes connections, hears a hello on each, and closes it with a code and a reason.
async fn closing(listener: TcpListener, code: u16, reason: &'static str) -> u32 {
    let mut dialled = 0;
    while let Ok(Ok((stream, _))) = tokio::time::timeout(Duration::from_secs(12), listener.accept()).await {
        dialled += 1;
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.next().await.unwrap().unwrap();
        let close = tungstenite::protocol::CloseFrame { code: code.into(), reason: reason.into() };
        socket.close(Some(close)).await.unwrap();
    }
    dialled
}

#[tokio::test]
async fn a_worker_that_is_sent_away_tells_why_and_does_not_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut link, _leases) = link(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(closing(listener, SENT_AWAY, "another version\u{1b}[2J"));
    let error = link.run().await;
    let Error::SentAway { reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "another version\\u{1b}[2J", "and it acts on no terminal");
}

#[tokio::test]
async fn a_control_that_closes_before_its_welcome_is_dialled_again_after_longer_and_longer_pauses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut link, _leases) = link(format!("http://{}", listener.local_addr().unwrap()));
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let dialled = tokio::spawn(closing(listener, 1012, "restarting"));
    // 50 ms, twice as long each time, but never more than 5 s: eleven connections in about 22 s.
    let ended = tokio::time::timeout(Duration::from_secs(22), link.run()).await;
    assert!(ended.is_err(), "it goes on dialling");
    drop(link);
    let dialled = dialled.await.unwrap();
    assert!((8..=12).contains(&dialled), "{dialled} in {:?}", began.elapsed());
}
