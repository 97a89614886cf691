//! Which outbound connections go through a proxy.
//!
//! The variables every other tool honours: `HTTPS_PROXY`, `HTTP_PROXY`,
//! `ALL_PROXY` and `NO_PROXY`, the lower-case form first, as curl does. No
//! name is looked up: `NO_PROXY` is compared with what the URL says.

use std::net::IpAddr;

use crate::provider::{Secret, redacted};

use super::env::Environment;
use super::problem::{Place, Report};
use super::units::quoted;

/// The proxies, and what does not go through them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyRules {
    http: Option<ProxyUrl>,
    https: Option<ProxyUrl>,
    except: Vec<Except>,
}

/// A proxy to `CONNECT` through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl {
    /// Whether the proxy itself is spoken to over TLS.
    pub https: bool,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// Always set.
    pub port: u16,
    /// `user:password`, decoded: what `Proxy-Authorization: Basic` encodes.
    pub credentials: Option<Secret>,
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Except {
    Everything,
    /// A name with all names below it, or an address.
    Host(String, Option<u16>),
    Network(IpAddr, u8, Option<u16>),
}

impl ProxyRules {
    /// The proxy for a connection, if it goes through one. `host` is a name, or
    /// an address without brackets. Loopback addresses never do.
    pub fn proxy_for(&self, https: bool, host: &str, port: u16) -> Option<&ProxyUrl> {
        let proxy = if https {
            self.https.as_ref()
        } else {
            self.http.as_ref()
        }?;
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let is_local = host == "localhost"
            || host.ends_with(".localhost")
            || address.is_some_and(|address| address.to_canonical().is_loopback());
        let is_excepted = self
            .except
            .iter()
            .any(|except| except.covers(&host, address, port));
        (!is_local && !is_excepted).then_some(proxy)
    }

    pub(super) fn of(env: &Environment, report: &Report) -> Self {
        let any = proxy(env, "ALL_PROXY", report);
        Self {
            https: proxy(env, "HTTPS_PROXY", report).or_else(|| any.clone()),
            http: proxy(env, "HTTP_PROXY", report).or(any),
            except: variable(env, "NO_PROXY").map_or_else(Vec::new, |(_, text)| exceptions(text)),
        }
    }
}

/// A variable in lower case, else in upper case.
fn variable<'a>(env: &'a Environment, name: &str) -> Option<(String, &'a str)> {
    [name.to_ascii_lowercase(), name.to_owned()]
        .into_iter()
        .find_map(|name| env.filled(&name).map(|text| (name, text)))
}

fn proxy(env: &Environment, name: &str, report: &Report) -> Option<ProxyUrl> {
    let (name, text) = variable(env, name)?;
    let place = Place::whole(name);
    match parse(text) {
        Ok(proxy) => Some(proxy),
        Err(Unfit::Scheme) => {
            let shown = quoted(&redacted(text));
            let message =
                format!("{shown} is ignored: only http:// and https:// proxies are spoken to");
            report.notice(&place, "", message);
            None
        }
        Err(Unfit::Malformed) => {
            let shown = quoted(&redacted(text));
            report.problem(
                &place,
                "",
                format!("{shown} is not a proxy; write http://HOST:PORT"),
            );
            None
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Scheme,
    Malformed,
}

fn parse(text: &str) -> Result<ProxyUrl, Unfit> {
    let (https, rest) = match text.split_once("://") {
        None => (false, text),
        Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, rest),
            "https" => (true, rest),
            _ => return Err(Unfit::Scheme),
        },
    };
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (
            Some(Secret::new(decode(user).ok_or(Unfit::Malformed)?)),
            rest,
        ),
        None => (None, rest),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = split_port(authority).ok_or(Unfit::Malformed)?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(is_host) {
        return Err(Unfit::Malformed);
    }
    Ok(ProxyUrl {
        https,
        host: host.to_ascii_lowercase(),
        port: port.unwrap_or(if https { 443 } else { 80 }),
        credentials,
    })
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, and a bare `v6`.
pub(super) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':')?)),
            }
        }
        None if text.matches(':').count() == 1 => {
            let (host, port) = text.split_once(':')?;
            (host, Some(port))
        }
        None => (text, None),
    };
    match port {
        None => Some((host, None)),
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .map(|port| (host, Some(port))),
    }
}

/// Undoes percent-encoding, in which a password's `@` and `:` are written.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = rest
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

/// What cannot be read is no reason not to start: other tools skip it too.
fn exceptions(text: &str) -> Vec<Except> {
    text.split([',', ' '])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .filter_map(exception)
        .collect()
}

fn exception(entry: &str) -> Option<Except> {
    if entry == "*" {
        return Some(Except::Everything);
    }
    let (network, port) = match entry.split_once('/') {
        Some(_) => (entry, None),
        None => split_port(entry)?,
    };
    if let Some((address, bits)) = network.split_once('/') {
        let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
        return Some(Except::Network(address, bits, port));
    }
    let name = network
        .trim_start_matches('*')
        .trim_matches('.')
        .to_ascii_lowercase();
    (!name.is_empty()).then_some(Except::Host(name, port))
}

impl Except {
    fn covers(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let has_port = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::Everything => true,
            Self::Host(name, wanted) => {
                let is_below = || {
                    address.is_none()
                        && host
                            .strip_suffix(name.as_str())
                            .is_some_and(|above| above.ends_with('.'))
                };
                has_port(wanted) && (host == name || is_below())
            }
            Self::Network(network, bits, wanted) => {
                has_port(wanted)
                    && address.is_some_and(|address| in_network(address, *network, *bits))
            }
        }
    }
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address.to_canonical(), network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            (a.to_bits() ^ b.to_bits()) & mask == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            (a.to_bits() ^ b.to_bits()) & mask == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(variables: &[(&str, &str)]) -> ProxyRules {
        let env = Environment::from_iter(variables.iter().copied());
        ProxyRules::of(&env, &Report::default())
    }

    #[test]
    fn proxies_are_read() {
        type Parts<'a> = (bool, &'a str, u16, Option<&'a str>);
        let rows: [(&str, Result<Parts<'_>, Unfit>); 14] = [
            ("http://proxy:3128", Ok((false, "proxy", 3128, None))),
            ("proxy:3128", Ok((false, "proxy", 3128, None))),
            ("Proxy", Ok((false, "proxy", 80, None))),
            ("https://proxy/", Ok((true, "proxy", 443, None))),
            ("http://[::1]:3128", Ok((false, "::1", 3128, None))),
            (
                "http://me:se%40same@proxy:1",
                Ok((false, "proxy", 1, Some("me:se@same"))),
            ),
            (
                "http://me:a@b@proxy:1",
                Ok((false, "proxy", 1, Some("me:a@b"))),
            ),
            ("socks5://proxy:1080", Err(Unfit::Scheme)),
            ("http://", Err(Unfit::Malformed)),
            ("http://proxy:x", Err(Unfit::Malformed)),
            ("http://proxy:0", Err(Unfit::Malformed)),
            ("http://a b", Err(Unfit::Malformed)),
            ("http://[::1", Err(Unfit::Malformed)),
            ("http://me:%4@proxy", Err(Unfit::Malformed)),
        ];
        for (text, expected) in rows {
            let read = parse(text);
            let shown = read.as_ref().map(|proxy| {
                let credentials = proxy.credentials.as_ref().map(Secret::expose);
                (proxy.https, proxy.host.as_str(), proxy.port, credentials)
            });
            assert_eq!(shown, expected.as_ref().copied(), "{text}");
        }
    }

    #[test]
    fn exceptions_are_honoured() {
        // (NO_PROXY, host, port, whether it goes through the proxy)
        let rows = [
            ("", "api.openai.com", 443, true),
            ("*", "api.openai.com", 443, false),
            ("openai.com", "api.openai.com", 443, false),
            (".openai.com", "api.openai.com", 443, false),
            ("*.openai.com", "api.openai.com", 443, false),
            ("openai.com", "openai.com", 443, false),
            ("OpenAI.com", "API.openai.com.", 443, false),
            ("openai.com", "notopenai.com", 443, true),
            ("a.b, openai.com", "openai.com", 443, false),
            ("a.b openai.com", "openai.com", 443, false),
            ("openai.com:8443", "openai.com", 443, true),
            ("openai.com:443", "openai.com", 443, false),
            ("10.0.0.0/8", "10.1.2.3", 443, false),
            ("10.0.0.0/8", "11.1.2.3", 443, true),
            ("10.0.0.0/8", "10.example", 443, true),
            ("0.0.0.0/0", "9.9.9.9", 443, false),
            ("10.0.0.5", "10.0.0.5", 443, false),
            ("0.5", "10.0.0.5", 443, true),
            ("fd00::/8", "fd12::1", 443, false),
            ("[fd12::1]:443", "fd12::1", 443, false),
            ("10.0.0.0/99", "10.1.2.3", 443, true),
            ("", "localhost", 443, false),
            ("", "127.0.0.9", 443, false),
            ("", "::1", 443, false),
        ];
        for (except, host, port, expected) in rows {
            let rules = rules(&[("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", except)]);
            let through = rules.proxy_for(true, host, port).is_some();
            assert_eq!(through, expected, "{except} {host}");
        }
    }

    #[test]
    fn variables_have_an_order() {
        let host = |rules: &ProxyRules, https| {
            rules
                .proxy_for(https, "h", 1)
                .map(|proxy| proxy.host.clone())
        };
        let all = rules(&[
            ("ALL_PROXY", "all"),
            ("HTTPS_PROXY", "upper"),
            ("https_proxy", "lower"),
        ]);
        assert_eq!(
            (host(&all, true), host(&all, false)),
            (Some("lower".into()), Some("all".into()))
        );
        assert_eq!(host(&rules(&[("https_proxy", "")]), true), None);
    }

    #[test]
    fn a_password_is_not_shown() {
        let env = Environment::from_iter([
            ("HTTPS_PROXY", "http://me:sesame@proxy:x"),
            ("ALL_PROXY", "socks5://me:sesame@p"),
        ]);
        let report = Report::default();
        let rules = ProxyRules::of(&env, &report);
        let problems = report.close().expect_err("a bad port").to_string();
        assert!(problems.starts_with("HTTPS_PROXY: \"http://[hidden]@proxy:x\" is not a proxy"));
        assert!(!format!("{rules:?} {problems}").contains("sesame"));
    }
}
