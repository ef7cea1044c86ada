use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A control that answers each request with what `answer` makes of its head.
fn control(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut piece = [0; 4096];
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                let count = stream.read(&mut piece).unwrap();
                if count == 0 {
                    break;
                }
                head.extend_from_slice(&piece[..count]);
            }
            stream.write_all(&answer(&String::from_utf8_lossy(&head))).unwrap();
        }
    });
    url
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn proof() -> Proof {
    Proof { epoch: 7, key: "the-key".into() }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::new(digest_of(bytes)).unwrap()
}

fn text(mut file: File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn what_a_lease_may_read_is_fetched_once_and_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&heads);
    let url = control(move |head| {
        asked.lock().unwrap().push(head.to_owned());
        ok(b"bytes")
    });
    let transfer = Transfer::new(&url, "token", folder.path().to_owned()).unwrap();
    let wanted = digest(b"bytes");
    assert_eq!(text(transfer.artifact(&proof(), &wanted).await.unwrap()), "bytes");
    assert_eq!(text(transfer.artifact(&proof(), &wanted).await.unwrap()), "bytes");
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with(&format!("GET /worker/v1/leases/7/blobs/{wanted} ")), "{}", heads[0]);
    assert!(heads[0].contains("slipway-lease: the-key") && heads[0].contains("authorization: Bearer token"));
}

#[tokio::test]
async fn other_bytes_than_were_asked_for_are_refused_and_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let url = control(|_| ok(b"other"));
    let transfer = Transfer::new(&url, "token", folder.path().to_owned()).unwrap();
    let wanted = digest(b"bytes");
    assert!(matches!(transfer.artifact(&proof(), &wanted).await, Err(Error::WrongDigest { .. })));
    assert!(matches!(transfer.component(&wanted, None).await, Err(Error::WrongDigest { .. })));
    assert_eq!(std::fs::read_dir(folder.path().join("artifacts")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_control() {
    let folder = tempfile::tempdir().unwrap();
    let url = control(|_| b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno".to_vec());
    let transfer = Transfer::new(&url, "token", folder.path().to_owned()).unwrap();
    let error = transfer.source(&proof(), "0123").await.unwrap_err();
    assert_eq!(error.to_string(), "control refused revision `0123`: 403 no");
}

#[tokio::test]
async fn more_inputs_than_are_kept_are_all_there_for_who_asked() {
    let folder = tempfile::tempdir().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let served = Arc::clone(&count);
    let url = control(move |_| ok(served.fetch_add(1, Ordering::Relaxed).to_string().as_bytes()));
    let transfer = Transfer::new(&url, "token", folder.path().to_owned()).unwrap();
    let mut files = Vec::new();
    for number in 0..KEPT + 10 {
        files.push(transfer.artifact(&proof(), &digest(number.to_string().as_bytes())).await.unwrap());
    }
    let kept = std::fs::read_dir(folder.path().join("artifacts")).unwrap().count();
    assert!(kept <= KEPT, "{kept}");
    for (number, file) in files.into_iter().enumerate() {
        assert_eq!(text(file), number.to_string());
    }
}

#[tokio::test]
async fn control_takes_its_time_with_uploads_and_revisions_and_with_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let idle = Duration::from_millis(100);
    let asked = Arc::new(AtomicUsize::new(0));
    let slow = Arc::clone(&asked);
    let url = control(move |_| {
        slow.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(idle * 3);
        ok(br#"{"digest": "d", "size": 5}"#)
    });
    let transfer = Transfer::within(&url, "token", folder.path().to_owned(), idle).unwrap();
    let uploaded = transfer.upload(&proof(), || Ok("bytes".into())).await.unwrap();
    assert_eq!((uploaded.size, asked.load(Ordering::Relaxed)), (5, 1));
    transfer.source(&proof(), "0123").await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    let wanted = digest(b"bytes");
    let fetched = tokio::time::timeout(idle * 20, transfer.artifact(&proof(), &wanted)).await;
    assert!(fetched.is_err() && asked.load(Ordering::Relaxed) > 3, "it is asked again and again");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let url = control(move |_| {
        let whole = ok(b"bytes");
        // Of every second answer the end is missing.
        let breaks = count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        if breaks { whole[..whole.len() - 2].to_vec() } else { whole }
    });
    let transfer = Transfer::new(&url, "token", folder.path().to_owned()).unwrap();
    let wanted = digest(b"bytes");
    assert_eq!(text(transfer.source(&proof(), "0123").await.unwrap()), "bytes");
    assert_eq!(text(transfer.artifact(&proof(), &wanted).await.unwrap()), "bytes");
    assert_eq!(transfer.component(&wanted, None).await.unwrap(), b"bytes");
    assert_eq!(asked.load(Ordering::Relaxed), 6);
}
