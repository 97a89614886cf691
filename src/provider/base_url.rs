//! A base URL in parts: what the provider's own SDK takes.
//!
//! What it refuses, it refuses without repeating what could be a secret: user
//! names, passwords and queries are cut out of every message.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// Where a provider is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// TLS or not.
    pub https: bool,
    /// A name in lower case, or an address; an IPv6 address without its
    /// brackets.
    pub host: String,
    /// Always set: 443 or 80 where the URL says nothing.
    pub port: u16,
    /// The path, with a leading and without a trailing slash; empty for none.
    pub prefix: String,
}

/// What is wrong with a base URL, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBaseUrl {
    /// Not a URL at all.
    #[error("is not a URL; write it like \"https://api.openai.com/v1\"")]
    Malformed,
    /// A scheme that is not HTTP's.
    #[error("does not start with https:// or http://")]
    Scheme,
    /// `user:password@`.
    #[error("carries a user name or password; put the key into api_key")]
    Credentials,
    /// `?…` or `#…`.
    #[error("carries a query or a fragment; leave out what follows the path")]
    Query,
}

impl BaseUrl {
    /// The placeholder that stands for the simulated provider inside this
    /// process. `.invalid` names never resolve (RFC 6761).
    pub fn in_process() -> Self {
        Self {
            https: false,
            host: "sim.invalid".to_owned(),
            port: 80,
            prefix: String::new(),
        }
    }

    /// `host`, or `host:port` where the port is not the scheme's own: the value
    /// of a `Host` header or `:authority`.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == default_port(self.https) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        // `Uri` drops a fragment in silence.
        if text.contains(['?', '#']) {
            return Err(InvalidBaseUrl::Query);
        }
        let https = match text.split_once("://").map(|(scheme, _)| scheme) {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => true,
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => false,
            Some(_) => return Err(InvalidBaseUrl::Scheme),
            None => return Err(InvalidBaseUrl::Malformed),
        };
        let uri: Uri = text.parse().map_err(|_| InvalidBaseUrl::Malformed)?;
        let authority = uri.authority().ok_or(InvalidBaseUrl::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(InvalidBaseUrl::Credentials);
        }
        let host = authority
            .host()
            .trim_matches(['[', ']'])
            .to_ascii_lowercase();
        // `Authority::port` takes a number out of range for no port at all.
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            None => default_port(https),
            Some(digits) => match digits.parse() {
                Ok(0) | Err(_) => return Err(InvalidBaseUrl::Malformed),
                Ok(port) => port,
            },
        };
        if host.is_empty() {
            return Err(InvalidBaseUrl::Malformed);
        }
        Ok(Self {
            https,
            host,
            port,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

/// A URL as it may be shown: without user name, password and query.
pub fn redacted(url: &str) -> String {
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match shown.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), shown),
    };
    // To the last `@`: a password with a slash or an `@` in it goes as well.
    match rest.rsplit_once('@') {
        Some((_, rest)) => format!("{scheme}[hidden]@{rest}"),
        None => format!("{scheme}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart_and_together_again() {
        let rows = [
            (
                "https://api.openai.com/v1",
                "https://api.openai.com/v1",
                443,
            ),
            (
                "https://api.openai.com/v1/",
                "https://api.openai.com/v1",
                443,
            ),
            (
                "https://API.anthropic.com",
                "https://api.anthropic.com",
                443,
            ),
            ("HTTP://10.0.0.5:8000/v1", "http://10.0.0.5:8000/v1", 8000),
            ("http://[::1]:8000/v1", "http://[::1]:8000/v1", 8000),
            ("http://[::1]", "http://[::1]", 80),
            ("https://h:443", "https://h", 443),
        ];
        for (text, shown, port) in rows {
            let url: BaseUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.port, port);
        }
        let url: BaseUrl = "http://[::1]:8000/v1".parse().expect("valid");
        assert_eq!((url.host.as_str(), url.prefix.as_str()), ("::1", "/v1"));
        assert_eq!(url.authority(), "[::1]:8000");
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        use InvalidBaseUrl::{Credentials, Malformed, Query, Scheme};
        let rows = [
            ("", Malformed),
            ("api.openai.com/v1", Malformed),
            ("http://", Malformed),
            ("http://:80", Malformed),
            ("http://h:/v1", Malformed),
            ("http://h:0", Malformed),
            ("http://h:99999", Malformed),
            ("http://a b/", Malformed),
            ("ftp://h/", Scheme),
            ("unix:///run/x", Scheme),
            ("https://me:sesame@h/v1", Credentials),
            ("https://h/v1?key=sesame", Query),
            ("https://h/v1#x", Query),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse::<BaseUrl>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_could_be_secret_is_not_shown() {
        let rows = [
            ("https://me:sesame@h/v1", "https://[hidden]@h/v1"),
            ("https://me:ses@me@h/v1?k=sesame", "https://[hidden]@h/v1"),
            ("redis://:sesame@h:6379", "redis://[hidden]@h:6379"),
            ("me:sesame@proxy:3128", "[hidden]@proxy:3128"),
            ("https://h/v1", "https://h/v1"),
        ];
        for (url, shown) in rows {
            assert_eq!(redacted(url), shown);
        }
    }
}
