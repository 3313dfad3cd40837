//! Plain requests over raw connections: what is kept, what is refused, and
//! what clients and endpoints that misbehave can do to others.

mod stage;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use self::stage::{After, Endpoint, Wire, reply};
use crate::ingress::tests::{backend, dead, edge};

const GET: &str = "GET /a HTTP/1.1\r\nhost: shop.local\r\n\r\n";

#[tokio::test]
async fn requests_of_one_client_share_a_connection_to_the_endpoint() {
    let endpoint = Endpoint::start(|_| (reply("hello"), After::Keep)).await;
    let edge = edge(&[endpoint.address]);
    let mut wire = Wire::open(edge.address).await;
    for _ in 0..3 {
        wire.send(GET).await;
        let (head, body) = wire.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(body, "hello");
    }
    // Two at once are answered one after the other.
    let post = "POST /b HTTP/1.1\r\nhost: shop.local\r\ncontent-length: 3\r\n\r\nabc";
    wire.send(&format!("{post}{GET}")).await;
    assert_eq!(wire.answer().await.1, "hello");
    assert_eq!(wire.answer().await.1, "hello");
    assert_eq!(endpoint.connections(), 1);
    let asked = endpoint.requests();
    assert_eq!(asked.len(), 5);
    assert!(asked[3].starts_with("POST /b HTTP/1.1\r\n") && asked[3].ends_with("\r\n\r\nabc"));
    assert!(
        asked[4]
            .starts_with("GET /a HTTP/1.1\r\nhost: shop.local\r\nx-forwarded-for: 127.0.0.1\r\n")
    );
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let edge = edge(&[backend("one").await]);
    let mut wire = Wire::open(edge.address).await;
    let post = "POST /b HTTP/1.1\r\nhost: shop.local\r\ncontent-length: 3\r\n\r\nabc";
    for byte in post.as_bytes() {
        wire.stream.write_all(&[*byte]).await.unwrap();
    }
    assert!(wire.answer().await.1.ends_with("body=abc"));
}

#[tokio::test]
async fn requests_with_two_meanings_are_refused_and_reach_nobody() {
    let endpoint = Endpoint::start(|_| (reply("hello"), After::Keep)).await;
    let edge = edge(&[endpoint.address]);
    for (fields, why) in [
        (
            "host: shop.local\r\ncontent-length: 4\r\ntransfer-encoding: chunked",
            "it has both a length and a transfer encoding",
        ),
        (
            "host: shop.local\r\ntransfer-encoding: identity\r\ncontent-length: 4",
            "it has both a length and a transfer encoding",
        ),
        (
            "host: shop.local\r\ncontent-length: 4\r\ncontent-length: 40",
            "it says its length more than once",
        ),
        (
            "host: shop.local\r\ncontent-length: +4",
            "its length is no number",
        ),
        (
            "host: shop.local\r\nhost: other.local",
            "it names more than one host",
        ),
        ("host: shop.local/x", "its host is no name"),
        ("accept: text/plain", "it names no host"),
    ] {
        let mut wire = Wire::open(edge.address).await;
        // What follows could be taken for a request of somebody else.
        wire.send(&format!(
            "POST / HTTP/1.1\r\n{fields}\r\n\r\n0\r\n\r\n{GET}"
        ))
        .await;
        let (head, body) = wire.answer().await;
        assert!(
            head.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{fields}: {head}"
        );
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert_eq!(body, format!("the request is refused: {why}\n"));
        assert_eq!(wire.rest().await, "", "nothing more is answered");
    }
    for lines in [
        "GET / HTTP/1.1\r\nhost: shop.local\r\nx : y",
        "GET / HTTP/1.1\r\nhost: shop.local\r\nx: y\r\n folded",
        "GET / HTTP/1.1\r\nhost: shop.local\r\ntransfer-encoding: chunked, x",
        "GET / HTTP/9.1\r\nhost: shop.local",
    ] {
        let mut wire = Wire::open(edge.address).await;
        wire.send(&format!("{lines}\r\n\r\n")).await;
        let answer = wire.rest().await;
        assert!(!answer.contains(" 200 "), "{lines}: {answer}");
    }
    assert_eq!(endpoint.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn the_general_way_takes_over_and_keeps_the_order() {
    let endpoint = Endpoint::start(|_| (reply("hello"), After::Keep)).await;
    let edge = edge(&[endpoint.address]);
    let mut wire = Wire::open(edge.address).await;
    let chunked = "POST /c HTTP/1.1\r\nhost: shop.local\r\ntransfer-encoding: chunked\r\n\r\n";
    wire.send(&format!("{GET}{chunked}3\r\nabc\r\n0\r\n\r\n{GET}"))
        .await;
    for _ in 0..3 {
        assert_eq!(wire.answer().await.1, "hello");
    }
    // From now on the general way reads: it, too, lets nobody in behind another.
    let both = "POST /d HTTP/1.1\r\nhost: shop.local\r\ncontent-length: 30\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    wire.send(&format!("{both}{GET}")).await;
    // It takes the chunks, forgets the length, and trusts nothing behind them.
    assert_eq!(wire.answer().await.1, "hello");
    assert_eq!(wire.rest().await, "");
    let asked = endpoint.requests();
    assert!(
        asked[1].starts_with("POST /c ") && asked[1].contains("abc"),
        "{asked:?}"
    );
    assert!(asked[2].starts_with("GET /a "), "{asked:?}");
    assert!(!asked[3].contains("content-length"), "{asked:?}");
    assert_eq!(asked.len(), 4);
}

#[tokio::test]
async fn bodies_larger_than_every_buffer_arrive_whole() {
    let edge = edge(&[backend("one").await]);
    let mut wire = Wire::open(edge.address).await;
    let large = "x".repeat(1024 * 1024);
    for body in ["y", large.as_str(), "z"] {
        let length = body.len();
        let head =
            format!("POST / HTTP/1.1\r\nhost: shop.local\r\ncontent-length: {length}\r\n\r\n");
        wire.send(&format!("{head}{body}")).await;
        let (_, answer) = wire.answer().await;
        assert!(answer.ends_with(&format!("body={body}")), "{length}");
    }
}

#[tokio::test]
async fn answers_in_chunks_pass_as_they_come() {
    let endpoint = Endpoint::start(|_| {
        let head = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        (format!("{head}5\r\nhello\r\n"), After::WaitThen("0\r\n\r\n"))
    })
    .await;
    let edge = edge(&[endpoint.address]);
    let mut wire = Wire::open(edge.address).await;
    for _ in 0..2 {
        wire.send(GET).await;
        let head = wire.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        // The end comes only when the beginning was seen.
        wire.expect("5\r\nhello\r\n").await;
        endpoint.release();
        wire.expect("0\r\n\r\n").await;
    }
    assert_eq!(endpoint.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_has_an_end_for_the_client() {
    let endpoint =
        Endpoint::start(|_| ("HTTP/1.0 200 OK\r\n\r\nhello".to_owned(), After::Close)).await;
    let edge = edge(&[endpoint.address]);
    let mut wire = Wire::open(edge.address).await;
    for _ in 0..2 {
        wire.send(GET).await;
        assert_eq!(wire.answer().await.1, "hello");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_complete() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for (said, after) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello".to_owned(),
            After::Close,
        ),
        (chunked.to_owned(), After::Close),
        (format!("{chunked}-1\r\n"), After::Keep),
        ("HTTP/1.0 200 OK\r\n\r\nhello".to_owned(), After::Reset),
    ] {
        let words = said.clone();
        let endpoint = Endpoint::start(move |_| (words.clone(), after)).await;
        let edge = edge(&[endpoint.address]);
        let mut wire = Wire::open(edge.address).await;
        wire.send(GET).await;
        let answer = wire.rest().await;
        assert!(!answer.ends_with("0\r\n\r\n"), "{said:?}: {answer:?}");
        assert!(
            !answer.contains("content-length: 5"),
            "{said:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn answers_nobody_understands_are_told_as_such() {
    for (said, why) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
            "gave an answer with both a length and a transfer encoding",
        ),
        (
            "HTTP/1.1 101 Yes\r\n\r\n",
            "switched to a protocol nobody asked for",
        ),
        (
            "SSH-2.0-OpenSSH\r\n\r\n",
            "gave an answer that is not HTTP/1.1",
        ),
    ] {
        let endpoint = Endpoint::start(move |_| (said.to_owned(), After::Keep)).await;
        let edge = edge(&[endpoint.address]);
        let mut wire = Wire::open(edge.address).await;
        wire.send(GET).await;
        let (head, body) = wire.answer().await;
        assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
        assert_eq!(body, format!("service dev/web port 80 {why}\n"));
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_endpoint_closes_costs_nobody_a_request() {
    let endpoint = Endpoint::start(|_| (reply("hello"), After::Close)).await;
    let edge = edge(&[endpoint.address]);
    let mut wire = Wire::open(edge.address).await;
    for _ in 0..5 {
        wire.send(GET).await;
        let (head, body) = wire.answer().await;
        assert_eq!(body, "hello", "{head}");
        // Seen by the kernel, if not yet by the ingress.
        endpoint.until_closed().await;
        let post = GET.replace("GET", "POST");
        wire.send(&post).await;
        assert_eq!(wire.answer().await.1, "hello");
        endpoint.until_closed().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_endpoint() {
    let endpoint = Endpoint::start(|_| (String::new(), After::WaitThen(""))).await;
    let edge = edge(&[endpoint.address]);
    let mut wire = Wire::open(edge.address).await;
    wire.send(GET).await;
    endpoint.until_asked(1).await;
    drop(wire);
    endpoint.until_closed().await;
}

#[tokio::test]
async fn head_and_refusals_have_no_body_and_the_connection_goes_on() {
    let (here, gone) = (edge(&[backend("one").await]), edge(&[dead()]));
    let mut wire = Wire::open(here.address).await;
    wire.send("HEAD / HTTP/1.1\r\nhost: shop.local\r\n\r\n")
        .await;
    let head = wire.head().await;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("content-length: "),
        "{head}"
    );
    wire.send("HEAD / HTTP/1.1\r\nhost: other.local\r\n\r\n")
        .await;
    let head = wire.head().await;
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    wire.send(GET).await;
    assert!(wire.answer().await.1.starts_with("one GET /a"));
    let mut wire = Wire::open(gone.address).await;
    for _ in 0..2 {
        wire.send(GET).await;
        let (head, body) = wire.answer().await;
        assert!(head.contains("\r\nretry-after: 1\r\n"), "{head}");
        assert_eq!(
            body,
            "service dev/web port 80 has no endpoint that answers\n"
        );
    }
}

#[tokio::test]
async fn at_the_end_requests_under_way_finish_and_waiting_clients_are_let_go() {
    let endpoint = Endpoint::start(|_| {
        (
            String::new(),
            After::WaitThen("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        )
    })
    .await;
    let edge = edge(&[endpoint.address]);
    let (mut busy, mut idle) = (
        Wire::open(edge.address).await,
        TcpStream::connect(edge.address).await.unwrap(),
    );
    // It has to be known as a client that waits.
    idle.write_all(b"GET / HTTP/1.1\r\nhost: other.local\r\n\r\n")
        .await
        .unwrap();
    let mut idle = Wire::of(idle);
    idle.answer().await;
    busy.send(GET).await;
    endpoint.until_asked(1).await;
    drop(edge);
    assert_eq!(idle.rest().await, "");
    endpoint.release();
    let (head, body) = busy.answer().await;
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(body, "hello");
    assert_eq!(busy.rest().await, "");
}
