//! Where an upstream is, and through what it is reached.

use std::fmt;

use http::HeaderValue;
use http::uri::{Authority, Scheme};

use super::fault::{Fault, FaultKind};

/// Scheme, host and port: what a connection is opened to and a certificate is
/// checked against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// TLS, or cleartext.
    pub https: bool,
    /// A name or an address literal; IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Origin {
    /// An origin from its parts; brackets around an IPv6 literal are dropped.
    pub fn new(https: bool, host: impl Into<String>, port: u16) -> Self {
        let host: String = host.into();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = bare.map(str::to_owned).unwrap_or(host);
        Self { https, host, port }
    }

    /// `host:port`, with brackets where an IPv6 literal needs them.
    pub fn host_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// What requests carry as their authority: the port only where it is not
    /// the scheme's own.
    pub(super) fn names(&self) -> Result<Names, Fault> {
        let usual = if self.https { 443 } else { 80 };
        let full = self.host_port();
        let text = if self.port == usual {
            full.rsplit_once(':')
                .map_or(full.as_str(), |(host, _)| host)
        } else {
            full.as_str()
        };
        let wrong = |_| Fault::new(FaultKind::Resolve, format!("{text:?} is not a host name"));
        let authority: Authority = text.parse().map_err(|_| wrong(()))?;
        let host = HeaderValue::from_str(text).map_err(|_| wrong(()))?;
        let scheme = if self.https {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        Ok(Names {
            host,
            authority,
            scheme,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host_port())
    }
}

/// An origin as requests name it, made once.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) host: HeaderValue,
    pub(super) authority: Authority,
    pub(super) scheme: Scheme,
}

/// An HTTP proxy that TLS origins are reached through by `CONNECT`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// A name or an address literal.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The value of `proxy-authorization`, e.g. `Basic …`; never printed.
    pub auth: Option<HeaderValue>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("auth", &self.auth.as_ref().map(|_| "…"))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_the_port_only_where_it_is_unusual() {
        for (https, host, port, expected) in [
            (true, "api.openai.com", 443, "api.openai.com"),
            (false, "api.openai.com", 443, "api.openai.com:443"),
            (false, "localhost", 8080, "localhost:8080"),
            (true, "[::1]", 443, "[::1]"),
            (false, "::1", 8080, "[::1]:8080"),
        ] {
            let names = Origin::new(https, host, port).names().unwrap();
            assert_eq!(names.host, expected);
        }
        assert!(Origin::new(true, "no such host", 1).names().is_err());
    }

    #[test]
    fn a_proxy_does_not_print_its_password() {
        let proxy = Proxy {
            host: "proxy".into(),
            port: 3128,
            auth: Some(HeaderValue::from_static("Basic c2VjcmV0")),
        };
        assert!(!format!("{proxy:?}").contains("c2V"));
    }
}
