//! The head of a request from bytes (RFC 9112, 3 to 6): what is asked, how the
//! body is framed and whether the connection may carry another.
//!
//! Where two readings are possible there is none: what two servers could take
//! for different requests is refused, with words of its own.

use http::Method;
use http::uri::{InvalidUri, PathAndQuery, Uri};

use super::MAX_HEAD;
use crate::error::{Error, Kind};
use crate::gateway::Head;
use crate::http1::line::{self, RequestLine, Stop};
use crate::http1::{Fields, Framing, Malformed, Name, NameSet, Parsed, told};

/// Fields that a head may have. SDKs send 20, browsers behind proxies 50.
const MAX_FIELDS: usize = 256;

/// A request whose head has come.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) head: Head,
    /// How its body is told from what follows.
    pub(super) framing: Framing,
    /// Its caller waits for a word before it sends the body (RFC 9110, 10.1.1).
    pub(super) expects: bool,
    pub(super) manner: Manner,
}

/// How its caller takes the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// The method is HEAD: the answer has no body, whatever it announces.
    pub(super) to_head: bool,
    /// It speaks HTTP/1.0, which has no chunks.
    pub(super) is_old: bool,
    /// It would ask more on this connection.
    pub(super) keeps: bool,
}

/// A request that is not one: what of its head could be read, and why.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Box<Head>, pub(super) Error);

/// Reads the head that `bytes` begin with; its length too. `None` where not all
/// of it has come.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(usize, Asked)>, Refused> {
    let (line, parsed) = match lines(bytes) {
        Ok(read) => read,
        Err(Stop::Partial) if bytes.len() <= MAX_HEAD => return Ok(None),
        Err(Stop::Partial) => return Err(refused(bytes, too_large("over 128 KiB"))),
        Err(Stop::Wrong(why)) => return Err(refused(bytes, malformed(why))),
    };
    let length = line.length + parsed.length;
    if length > MAX_HEAD {
        return Err(refused(bytes, too_large("over 128 KiB")));
    }
    let is_old = line.is_old;
    let is_bare = line.is_bare || parsed.is_bare;
    let (method, target) = to_ask(&line).map_err(|why| refused(bytes, why))?;
    let head = Head {
        method,
        target,
        fields: parsed.fields,
        is_two: false,
    };
    match heed(&head.fields, is_old, is_bare) {
        Ok((framing, expects)) => {
            let manner = Manner {
                to_head: head.method == Method::HEAD,
                is_old,
                keeps: told::keeps(&head.fields, is_old),
            };
            let asked = Asked {
                head,
                framing,
                expects,
                manner,
            };
            Ok(Some((length, asked)))
        }
        Err(why) => Err(Refused(Box::new(head), why)),
    }
}

fn lines(bytes: &[u8]) -> Result<(RequestLine<'_>, Parsed), Stop> {
    let line = line::request(bytes)?;
    let fields = Fields::parse(&bytes[line.length..], MAX_FIELDS, (0, 0))?;
    Ok((line, fields))
}

/// What the first line asks for.
fn to_ask(line: &RequestLine<'_>) -> Result<(Method, PathAndQuery), Error> {
    let method = Method::from_bytes(line.method);
    let method = method.map_err(|_| unclear("its method is not one"))?;
    Ok((method, to_path(line.target)?))
}

/// The path a target asks for (RFC 9112, 3.2).
fn to_path(target: &[u8]) -> Result<PathAndQuery, Error> {
    let wrong = |fault: InvalidUri| match target.len() > MAX_TARGET {
        true => Error::new(
            Kind::TargetTooLong,
            "the request's target has over 64 KiB: send what is long in the body",
        ),
        false => of_target().because(fault),
    };
    if target.starts_with(b"/") || target == b"*" {
        return PathAndQuery::try_from(target).map_err(wrong);
    }
    // As a proxy is asked: the authority is ours, whatever it is.
    let uri = Uri::try_from(target).map_err(wrong)?;
    if uri.scheme().is_none() {
        return Err(of_target());
    }
    let path = uri.into_parts().path_and_query;
    Ok(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
}

/// What the `http` crate takes.
const MAX_TARGET: usize = (1 << 16) - 2;

/// What says how a body is framed.
const OF_FRAMING: NameSet =
    NameSet::of(&[Name::ContentLength, Name::TransferEncoding, Name::Expect]);

/// How the body is framed, and whether its caller waits to be told to send it.
fn heed(fields: &Fields, is_old: bool, is_bare: bool) -> Result<(Framing, bool), Error> {
    // RFC 9112, 2.2: where one server ends a line at a bare line feed another
    // reads on.
    if is_bare {
        return Err(unclear("a line of its head does not end in CR LF"));
    }
    let mut hosts = fields.all(Name::Host);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => {}
        (Some(_), None) => return Err(unclear("its host is not one")),
        (Some(_), Some(_)) => return Err(unclear("it has several hosts")),
        (None, _) if is_old => {}
        (None, _) => return Err(unclear("it has no host")),
    }
    if !fields.may_have(OF_FRAMING) {
        return Ok((Framing::Length(0), false));
    }
    let framing = framing(fields, is_old)?;
    let mut expectations = fields.list(Name::Expect);
    let expects = !is_old && expectations.any(|it| told::is_token(it, b"100-continue"));
    Ok((framing, expects))
}

/// How the body is framed: by one length, or in chunks and nothing else (RFC
/// 9112, 6.1 and 6.3).
fn framing(fields: &Fields, is_old: bool) -> Result<Framing, Error> {
    let mut lengths = fields.all(Name::ContentLength);
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(unclear("it has several content-lengths"));
    }
    let mut codings = fields.list(Name::TransferEncoding);
    match (codings.next(), codings.next(), length) {
        (None, _, None) => Ok(Framing::Length(0)),
        (None, _, Some(digits)) => match told::number(digits) {
            Some(length) => Ok(Framing::Length(length)),
            None => Err(unclear("its content-length is not a number")),
        },
        (Some(_), _, _) if is_old => Err(unclear("HTTP/1.0 has no transfer-encoding")),
        (Some(_), _, Some(_)) => Err(unclear(
            "it has both a content-length and a transfer-encoding",
        )),
        (Some(one), None, None) if told::is_token(one, b"chunked") => Ok(Framing::Chunked),
        (Some(_), _, None) => Err(unclear("its transfer-encoding is not chunked alone")),
    }
}

/// Whether it may be a host and a port (RFC 3986, 3.2.2).
fn is_host(host: &[u8]) -> bool {
    host.iter()
        .all(|byte| byte.is_ascii_graphic() && !b",/?#@\\".contains(byte))
}

/// A request that two servers could read in two ways.
fn unclear(what: &str) -> Error {
    Error::invalid(format!(
        "the request can't be read: {what}: check what stands between the client and this gateway"
    ))
}

fn of_target() -> Error {
    unclear("its target is neither a path nor a URL")
}

/// A head that is more than this server holds.
pub(super) fn too_large(what: &str) -> Error {
    Error::new(
        Kind::HeadTooLarge,
        format!("the request's head has {what}: send fewer and shorter fields"),
    )
}

fn malformed(why: Malformed) -> Error {
    match why {
        Malformed::TooManyFields => too_large("over 256 fields"),
        Malformed::Version => Error::new(
            Kind::VersionNotSupported,
            "the request is of another version of HTTP: send HTTP/1.1, or HTTP/2",
        ),
        why => unclear(&why.to_string()),
    }
}

/// A request that is refused before its fields could be read.
pub(super) fn refused(bytes: &[u8], why: Error) -> Refused {
    Refused(Box::new(glean(bytes)), why)
}

/// What the first line tells, for the books and for the dialect of the refusal.
fn glean(bytes: &[u8]) -> Head {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
    let method = words.next().and_then(|it| Method::from_bytes(it).ok());
    let target = words.next().map(|it| &it[..it.len().min(1024)]);
    let path = target.filter(|it| it.starts_with(b"/"));
    Head {
        method: method.unwrap_or_default(),
        target: path
            .and_then(|it| PathAndQuery::try_from(it).ok())
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
        fields: Fields::default(),
        is_two: false,
    }
}
