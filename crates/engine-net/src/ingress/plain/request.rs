//! The head of a request: judged strictly, and written anew for an endpoint; pure.
//!
//! What is copied is what was understood: an endpoint never sees a byte whose
//! meaning it could read in another way.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

/// Header fields of one request; those with more take the general way.
const FIELDS: usize = 64;
/// The longest body that is gathered before the request is passed on; others
/// take the general way, which streams.
pub(super) const BODY: usize = 32 * 1024;
/// Digits of a length that fits its number.
const DIGITS: usize = 18;

/// Who asks, as endpoints are told.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: String,
    pub(super) scheme: &'static str,
}

/// What is to be done with the bytes a client sent so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement<'b> {
    /// There is more to come.
    Partial,
    /// Not for this way; the general one also says what is wrong, if something is.
    Unusual,
    /// Two readers could disagree about where it ends or whom it is for.
    Refused(&'static str),
    Plain(Request<'b>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'b> {
    pub(super) host: &'b str,
    pub(super) path: &'b str,
    /// Bytes of head and body together.
    pub(super) length: usize,
    /// Whether the client wants to go on afterwards.
    pub(super) keeps: bool,
    pub(super) is_head: bool,
    /// Whether it may be sent again when nobody knows what became of it.
    pub(super) is_repeatable: bool,
}

/// Judges what was sent; a plain request stands in `out` as the endpoint gets it.
pub(super) fn judge<'b>(bytes: &'b [u8], peer: &Peer, out: &mut Vec<u8>) -> Judgement<'b> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let head = match parsed.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(Status::Complete(head)) => head,
        Ok(Status::Partial) => return Judgement::Partial,
        Err(_) => return Judgement::Unusual,
    };
    let (Some(method), Some(target), Some(1)) = (parsed.method, parsed.path, parsed.version) else {
        return Judgement::Unusual;
    };
    if method == "CONNECT" || !is_plain_target(target) {
        return Judgement::Unusual;
    }
    let facts = match Facts::of(parsed.headers) {
        Ok(facts) => facts,
        Err(other) => return other,
    };
    let length = head + facts.body;
    if bytes.len() < length {
        return Judgement::Partial;
    }
    out.clear();
    write(
        out,
        &[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"],
    );
    facts.write(out, peer);
    for field in parsed.headers.iter() {
        if Kind::of(field.name) == Kind::Other {
            write(out, &[field.name.as_bytes(), b": ", field.value, b"\r\n"]);
        }
    }
    write(out, &[b"\r\n", &bytes[head..length]]);
    Judgement::Plain(Request {
        host: facts.host,
        path: target.split_once('?').map_or(target, |(path, _)| path),
        length,
        keeps: facts.keeps,
        is_head: method == "HEAD",
        is_repeatable: facts.body == 0 && matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE"),
    })
}

/// Whether it is a path of visible characters, as nearly all are.
fn is_plain_target(target: &str) -> bool {
    target.starts_with('/')
        && target.bytes().all(|byte| {
            byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\' | b'"' | b'<' | b'>')
        })
}

/// What the fields say that matters on the way.
struct Facts<'h, 'b> {
    fields: &'h [Header<'b>],
    host: &'b str,
    body: usize,
    says_length: bool,
    keeps: bool,
}

impl<'h, 'b> Facts<'h, 'b> {
    fn of(fields: &'h [Header<'b>]) -> Result<Self, Judgement<'b>> {
        let refused = |why| Err(Judgement::Refused(why));
        let (mut host, mut length, mut is_coded, mut is_unusual) = (None, None, false, false);
        let mut keeps = true;
        for field in fields {
            match Kind::of(field.name) {
                Kind::Host if host.is_some() => return refused("it names more than one host"),
                Kind::Host => match host_name(field.value) {
                    Some(name) => host = Some(name),
                    None => return refused("its host is no name"),
                },
                Kind::Length if length.is_some() => {
                    return refused("it says its length more than once");
                }
                Kind::Length => match number(field.value) {
                    Some(number) => length = Some(number),
                    None => return refused("its length is no number"),
                },
                Kind::Encoding => is_coded = true,
                Kind::Connection => {
                    for token in tokens(field.value) {
                        keeps &= !token.eq_ignore_ascii_case(b"close");
                        is_unusual |= !is_about_keeping(token);
                    }
                }
                Kind::Unusual => is_unusual = true,
                Kind::Hop | Kind::Chain | Kind::Replaced | Kind::Other => {}
            }
        }
        if is_coded && length.is_some() {
            return refused("it has both a length and a transfer encoding");
        }
        let Some(host) = host else {
            return refused("it names no host");
        };
        let body = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
        if is_coded || is_unusual || body > BODY {
            return Err(Judgement::Unusual);
        }
        Ok(Self {
            fields,
            host,
            body,
            says_length: length.is_some(),
            keeps,
        })
    }

    /// Writes the fields that are ours to say.
    fn write(&self, out: &mut Vec<u8>, peer: &Peer) {
        let (host, address) = (self.host.as_bytes(), peer.address.as_bytes());
        write(out, &[b"host: ", host, b"\r\nx-forwarded-for: "]);
        for field in self.fields {
            if Kind::of(field.name) == Kind::Chain && field.value.is_ascii() {
                write(out, &[field.value, b", "]);
            }
        }
        write(out, &[address, b"\r\nx-forwarded-host: ", host]);
        write(out, &[b"\r\nx-forwarded-proto: ", peer.scheme.as_bytes()]);
        write(out, &[b"\r\nx-real-ip: ", address, b"\r\n"]);
        if self.says_length {
            let length = self.body.to_string();
            write(out, &[b"content-length: ", length.as_bytes(), b"\r\n"]);
        }
    }
}

pub(super) fn write(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// What a field is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Host,
    Length,
    Encoding,
    Connection,
    /// Asks for something that the general way does.
    Unusual,
    /// Speaks of one connection only.
    Hop,
    /// Addresses of earlier proxies.
    Chain,
    /// Ours to say, whatever a client claims.
    Replaced,
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is("te") => Self::Hop,
            4 if is("host") => Self::Host,
            6 if is("expect") => Self::Unusual,
            7 if is("upgrade") => Self::Unusual,
            7 if is("trailer") => Self::Hop,
            9 if is("x-real-ip") => Self::Replaced,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::Hop,
            14 if is("content-length") => Self::Length,
            15 if is("x-forwarded-for") => Self::Chain,
            16 if is("proxy-connection") => Self::Hop,
            16 if is("x-forwarded-host") => Self::Replaced,
            17 if is("transfer-encoding") => Self::Encoding,
            17 if is("x-forwarded-proto") => Self::Replaced,
            19 if is("proxy-authorization") => Self::Hop,
            _ => Self::Other,
        }
    }
}

/// The words of a list such as that of `Connection`.
pub(super) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Whether a word of `Connection` names no field.
pub(super) fn is_about_keeping(token: &[u8]) -> bool {
    token.is_empty()
        || token.eq_ignore_ascii_case(b"close")
        || token.eq_ignore_ascii_case(b"keep-alive")
}

/// A length: digits and nothing else.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?;
    let is_number =
        (1..=DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// A host name or address, with or without a port.
fn host_name(value: &[u8]) -> Option<&str> {
    let is_name = value.iter().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']' | b'~' | b'%')
    });
    is_name.then(|| std::str::from_utf8(value).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer {
            address: "127.0.0.1".to_owned(),
            scheme: "http",
        }
    }

    #[track_caller]
    fn refused(request: &str, why: &'static str) {
        let told = judge(request.as_bytes(), &peer(), &mut Vec::new());
        assert_eq!(told, Judgement::Refused(why), "{request}");
    }

    #[track_caller]
    fn unusual(request: &str) {
        let told = judge(request.as_bytes(), &peer(), &mut Vec::new());
        assert_eq!(told, Judgement::Unusual, "{request}");
    }

    #[test]
    fn a_request_is_written_anew_with_what_we_know_of_the_client() {
        let sent = "POST /cart?id=1 HTTP/1.1\r\nHost: shop.local:80\r\nX-Forwarded-For: 1.2.3.4\r\n\
             X-Forwarded-Proto: https\r\nX-Real-IP: 9.9.9.9\r\nTE: trailers\r\nKeep-Alive: 5\r\n\
             Connection: keep-alive\r\nContent-Length: 006\r\nAccept:  a, b \r\n\r\napplesGET /next";
        let mut out = Vec::new();
        let told = judge(sent.as_bytes(), &peer(), &mut out);
        let expected = Request {
            host: "shop.local:80",
            path: "/cart",
            length: sent.len() - "GET /next".len(),
            keeps: true,
            is_head: false,
            is_repeatable: false,
        };
        assert_eq!(told, Judgement::Plain(expected));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /cart?id=1 HTTP/1.1\r\nhost: shop.local:80\r\nx-forwarded-for: 1.2.3.4, 127.0.0.1\r\n\
             x-forwarded-host: shop.local:80\r\nx-forwarded-proto: http\r\nx-real-ip: 127.0.0.1\r\n\
             content-length: 6\r\nAccept: a, b\r\n\r\napples"
        );
    }

    #[test]
    fn every_beginning_of_a_request_waits_for_the_rest() {
        let sent = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
        for end in 0..sent.len() {
            let told = judge(&sent.as_bytes()[..end], &peer(), &mut Vec::new());
            assert_eq!(told, Judgement::Partial, "{end}");
        }
        let told = judge(sent.as_bytes(), &peer(), &mut Vec::new());
        assert!(matches!(told, Judgement::Plain(_)), "{told:?}");
    }

    #[test]
    fn whether_it_may_be_sent_again_follows_method_and_body() {
        for (start, length, expected) in [
            ("GET", "", true),
            ("HEAD", "", true),
            ("GET", "content-length: 1\r\n", false),
            ("DELETE", "", false),
            ("POST", "content-length: 0\r\n", false),
        ] {
            let sent = format!("{start} / HTTP/1.1\r\nhost: a\r\n{length}\r\nx");
            match judge(sent.as_bytes(), &peer(), &mut Vec::new()) {
                Judgement::Plain(request) => assert_eq!(request.is_repeatable, expected, "{sent}"),
                other => panic!("{sent}: {other:?}"),
            }
        }
    }

    #[test]
    fn requests_that_can_be_read_in_two_ways_are_refused() {
        let with = |fields: &str| format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n");
        let both = "it has both a length and a transfer encoding";
        refused(
            &with("content-length: 4\r\ntransfer-encoding: chunked"),
            both,
        );
        refused(
            &with("Transfer-Encoding: xchunked\r\nContent-Length: 4"),
            both,
        );
        let twice = "it says its length more than once";
        refused(&with("content-length: 4\r\ncontent-length: 4"), twice);
        refused(&with("content-length: 4\r\nContent-Length: 5"), twice);
        for length in [
            "+4",
            "-1",
            "4, 4",
            "0x4",
            "4 4",
            "",
            "9999999999999999999999",
        ] {
            refused(
                &with(&format!("content-length: {length}")),
                "its length is no number",
            );
        }
        refused(&with("host: b"), "it names more than one host");
        refused("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", "its host is no name");
        refused(
            "GET / HTTP/1.1\r\nhost: a/b@c\r\n\r\n",
            "its host is no name",
        );
        refused("GET / HTTP/1.1\r\naccept: x\r\n\r\n", "it names no host");
    }

    #[test]
    fn what_is_rare_takes_the_general_way() {
        let with =
            |fields: &str| unusual(&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n"));
        with("connection: Upgrade\r\nupgrade: websocket");
        with("connection: close, x-hop");
        with("expect: 100-continue");
        with("transfer-encoding: chunked");
        with("content-length: 32769");
        for field in [
            "a : b",
            " a: b",
            "a\u{0}: b",
            "content-length\u{b}: 4",
            "folded: a\r\n b",
        ] {
            with(field);
        }
        let many: Vec<String> = (0..80).map(|number| format!("x-{number}: 1")).collect();
        let many = many.join(
            "
",
        );
        unusual(&format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n\r\n"));
        for line in [
            "GET / HTTP/1.0",
            "GET / HTTP/2.0",
            "PRI * HTTP/2.0",
            "GET http://a/ HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "CONNECT a:80 HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET /a b HTTP/1.1",
            "G\u{1}T / HTTP/1.1",
        ] {
            unusual(&format!("{line}\r\nhost: a\r\n\r\n"));
        }
    }
}
