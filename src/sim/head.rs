//! Response heads: the headers real providers send, with believable values.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use tokio::time::Duration;

use super::dice::Dice;
use super::refusal::Accent;
use super::script::id;

/// What a head says beyond its status.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    pub(crate) accent: Accent,
    pub(crate) request_id: &'a str,
    pub(crate) content_type: &'static str,
    /// From the request to this head.
    pub(crate) took: Duration,
    /// Tokens read.
    pub(crate) input: u64,
    /// Seconds, where the caller is to try again.
    pub(crate) retry_after: Option<u64>,
}

/// The id a provider gives a request.
pub(crate) fn request_id(accent: Accent, dice: &mut Dice) -> String {
    match accent {
        Accent::OpenAi => format!("req_{:016x}{:016x}", dice.roll(), dice.roll()),
        Accent::Anthropic => format!("req_01{}", id(22, dice)),
    }
}

/// Seconds since 1970, now.
pub(crate) fn now() -> u64 {
    // A clock before 1970 is wrong anyway; nothing here depends on it.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Head<'_> {
    /// An answer with this head.
    pub(crate) fn with<B>(&self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.reserve(18);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        match self.accent {
            Accent::OpenAi => self.openai(headers),
            Accent::Anthropic => self.anthropic(headers),
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }

    fn openai(&self, headers: &mut HeaderMap) {
        text(headers, "x-request-id", self.request_id);
        let took = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        headers.insert("openai-processing-ms", HeaderValue::from(took));
        fixed(headers, "openai-version", "2020-10-01");
        fixed(headers, "openai-organization", "sim");
        let (requests, tokens) = self.remaining();
        fixed(headers, "x-ratelimit-limit-requests", "10000");
        fixed(headers, "x-ratelimit-limit-tokens", "2000000");
        headers.insert(
            "x-ratelimit-remaining-requests",
            HeaderValue::from(requests),
        );
        headers.insert("x-ratelimit-remaining-tokens", HeaderValue::from(tokens));
        fixed(headers, "x-ratelimit-reset-requests", "6ms");
        fixed(headers, "x-ratelimit-reset-tokens", "0s");
    }

    fn anthropic(&self, headers: &mut HeaderMap) {
        text(headers, "request-id", self.request_id);
        fixed(
            headers,
            "anthropic-organization-id",
            "00000000-0000-4000-8000-000000000000",
        );
        if self.content_type.starts_with("text/event-stream") {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        let (requests, tokens) = self.remaining();
        let reset = rfc3339(now());
        fixed(headers, "anthropic-ratelimit-requests-limit", "10000");
        fixed(headers, "anthropic-ratelimit-tokens-limit", "2000000");
        headers.insert(
            "anthropic-ratelimit-requests-remaining",
            HeaderValue::from(requests),
        );
        headers.insert(
            "anthropic-ratelimit-tokens-remaining",
            HeaderValue::from(tokens),
        );
        text(headers, "anthropic-ratelimit-requests-reset", &reset);
        text(headers, "anthropic-ratelimit-tokens-reset", &reset);
        if self.retry_after.is_some() {
            fixed(headers, "x-should-retry", "true");
        }
    }

    /// Requests and tokens that are left.
    fn remaining(&self) -> (u64, u64) {
        match self.status {
            429 => (0, 0),
            _ => (9_999, 2_000_000u64.saturating_sub(self.input)),
        }
    }
}

fn fixed(headers: &mut HeaderMap, name: &'static str, value: &'static str) {
    headers.insert(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
}

fn text(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // Everything that comes here is made of letters and digits.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// `2026-01-02T03:04:05Z` of seconds since 1970 (proleptic Gregorian calendar;
/// the year is counted from March, so that the leap day comes last).
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in rows {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
